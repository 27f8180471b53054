// primekit's public API. The kernels alone are in ./kernels.ts, for trainers that need no more.

export { absoluteAccuracy, pairwiseAccuracy } from "./algo/accuracy.ts";
export { type AdvantageInput, type AdvantageOptions, algorithms, type Estimator } from "./algo/estimators.ts";
export { type PolicyData, type PolicyOptions, updatePolicy } from "./algo/policy.ts";
export { type PrmData, type PrmOptions, prmLosses, trainPrm } from "./algo/prm.ts";
export type { PrmLoss, PrmLossInput, PrmLossResult } from "./algo/prm_losses.ts";
export { areaUnderCurve, calibrationError, type ScoreQuality, scoreMargin, scoreQuality } from "./algo/prm_metrics.ts";
export { type PrmStepLoss, type PrmStepLossInput, prmStepLoss } from "./algo/prm_steps.ts";
export { type LabelledRow, type PrmUpdateOptions, updatePrm } from "./algo/prm_update.ts";
export { processRewards } from "./algo/process_rewards.ts";
export type { SkipCounter, UpdateResult } from "./algo/update.ts";
export { type ArithmeticOptions, arithmeticTask } from "./data/arithmetic.ts";
export { solutionWithError, solutionWithSlip, type WorkedSolution, workedSolution } from "./data/arithmetic_errors.ts";
export { Dataset, type DatasetOptions, type DatasetReport, type DatasetRow } from "./data/dataset.ts";
export { type DatasetTask, type DatasetTaskOptions, datasetTask } from "./data/dataset_task.ts";
export type { FieldMapping, MappedRow, MapRow } from "./data/mappings/index.ts";
export { rowAt } from "./data/order.ts";
export { type EncodedExample, type EncodeOptions, encodeExample, type PromptFormat } from "./data/prm/encode.ts";
export { alignSteps, type PrmExample, type SplitRule, splitRules, splitSteps } from "./data/prm/example.ts";
export { type PrmMapping, type PrmMappingName, prmMappings } from "./data/prm/mappings.ts";
export { type ReadPrmOptions, readPrmExamples } from "./data/prm/read.ts";
export { type BadRow, type Format, type ReadOptions, readRecords, type SourceRecord } from "./data/records/read_records.ts";
export type { Task } from "./data/task.ts";
export type { Example, ExampleSource, Problem, ProblemSource, StepCheck } from "./data/types.ts";
export { type ErrorCode, PrimekitError } from "./errors.ts";
export { type Accuracy, type AccuracyOptions, measureAccuracy } from "./eval/accuracy.ts";
export { type AnswersOptions, type SampleAnswer, sampleAnswers } from "./eval/answers.ts";
export type { StoredAnswer } from "./eval/benchmark/answer_store.ts";
export { type Benchmark, type BenchmarkName, benchmarks, findBenchmark, readBenchmark } from "./eval/benchmark/benchmarks.ts";
export { type EvaluateOptions, evaluateBenchmark } from "./eval/benchmark/evaluate.ts";
export { linesOf, renderBars, renderSvg } from "./eval/benchmark/plot.ts";
export { type BenchmarkResult, type EvalReport, renderMarkdown } from "./eval/benchmark/report.ts";
export { cachedLogprobs, type LogprobCache, modelIdentity } from "./eval/logprob_cache.ts";
export { type AnswerSet, type CurvePoint, curves } from "./eval/pick/curves.ts";
export { bootstrap, type Estimate } from "./eval/pick/interval.ts";
export { type Aggregation, aggregate, bestOfN, type Candidate, majorityVote, meanScore, passAtK, weightedBestOfN } from "./eval/pick/metrics.ts";
export { type JudgeOptions, judgeAnswers, type ScoredAnswer, type ScoredStep, type ScoredToken } from "./eval/process.ts";
export { type ReportOptions, renderReport } from "./eval/report/page.ts";
export { renderAnswerText, type TextReportOptions } from "./eval/report/text.ts";
export { resolveDataset, resolveModel } from "./hub/resolve.ts";
export type { HubOptions, HubProgress } from "./hub/settings.ts";
export * from "./kernels.ts";
export * from "./model.ts";
export { endTokens, type SampleOptions, sampleGroups } from "./rollout/sample.ts";
export { type ScoreOptions, scoreRows } from "./rollout/score.ts";
export { generateText, promptIds, type TextAnswer, type TextOptions } from "./rollout/text.ts";
export type { Group, Row, Sample } from "./rollout/types.ts";
export { RunFolder } from "./run/run_folder.ts";
export type { ChatMessage } from "./tokenizer/chat.ts";
export { encodeCompletion, encodeConversation, type LearnedTokens } from "./tokenizer/conversation.ts";
export { type PromptStyle, promptStyles, styleMessages } from "./tokenizer/prompts.ts";
export { StreamDecoder } from "./tokenizer/stream.ts";
export { Tokenizer } from "./tokenizer/tokenizer.ts";
export {
  type PrimeConfig,
  type PrimeConfigInput,
  parsePrimeConfig,
  parseSftConfig,
  primeConfigSchema,
  type SftConfig,
  type SftConfigInput,
  sftConfigSchema,
} from "./train/config.ts";
export type { OnEvent, ResumePoint, TrainEvent } from "./train/events.ts";
export { type MetricName, metricNames } from "./train/metrics.ts";
export { type PrimeResult, type PrimeRunOptions, runPrime } from "./train/prime.ts";
export { type PrmResult, type PrmRunOptions, runPrm } from "./train/prm.ts";
export { type PrmConfig, type PrmConfigInput, parsePrmConfig, prmConfigSchema } from "./train/prm_config.ts";
export { runSft, type SftResult, type SftRunOptions } from "./train/sft.ts";
export { datasetSource, demonstrationSource, type RowOptions, type SftSource } from "./train/sft_source.ts";
export { arithmeticVerifier } from "./verifiers/arithmetic.ts";
export { lastBoxed } from "./verifiers/boxed.ts";
export { verifierByAbility } from "./verifiers/by_ability.ts";
export { extractCode } from "./verifiers/code/extract.ts";
export { type CodeVerifierOptions, codeVerifier } from "./verifiers/code.ts";
export { type CreateVerifierOptions, createVerifier, type VerifierName } from "./verifiers/create.ts";
export { type MathVerifierOptions, mathVerifier } from "./verifiers/math.ts";
export type { Item, Verdict, Verifier, VerifyOptions } from "./verifiers/types.ts";
export { VERSION } from "./version.ts";
