// primekit's public API. The kernels alone are in ./kernels.ts, for trainers that need no more.

export { absoluteAccuracy, pairwiseAccuracy } from "./algo/accuracy.ts";
export { type AdvantageInput, type AdvantageOptions, algorithms, type Estimator } from "./algo/estimators.ts";
export { type PolicyData, type PolicyOptions, updatePolicy } from "./algo/policy.ts";
export { type PrmData, type PrmOptions, prmLosses, trainPrm } from "./algo/prm.ts";
export { processRewards } from "./algo/process_rewards.ts";
export { type ArithmeticOptions, arithmeticTask } from "./data/arithmetic.ts";
export type { Task } from "./data/task.ts";
export type { Example, ExampleSource, Problem, ProblemSource, StepCheck } from "./data/types.ts";
export { type ErrorCode, PrimekitError } from "./errors.ts";
export { type Accuracy, measureAccuracy } from "./eval/accuracy.ts";
export { type SampleAnswer, sampleAnswers } from "./eval/answers.ts";
export * from "./kernels.ts";
export * from "./model.ts";
export { sampleGroups } from "./rollout/sample.ts";
export { scoreRows } from "./rollout/score.ts";
export type { Group, Row, Sample } from "./rollout/types.ts";
export { RunFolder } from "./run/run_folder.ts";
export type { ChatMessage } from "./tokenizer/chat.ts";
export { Tokenizer } from "./tokenizer/tokenizer.ts";
export { type PrimeConfig, parsePrimeConfig, parseSftConfig, primeConfigSchema, type SftConfig, sftConfigSchema } from "./train/config.ts";
export type { OnEvent, ResumePoint, TrainEvent } from "./train/events.ts";
export { type PrimeResult, type PrimeRunOptions, runPrime } from "./train/prime.ts";
export { runSft, type SftResult, type SftRunOptions } from "./train/sft.ts";
export { arithmeticVerifier } from "./verifiers/arithmetic.ts";
export { lastBoxed } from "./verifiers/boxed.ts";
export type { Item, Verdict, Verifier, VerifyOptions } from "./verifiers/types.ts";
export { VERSION } from "./version.ts";
