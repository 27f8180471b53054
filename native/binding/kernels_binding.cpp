// Exports of the rewards, advantages and losses; as in logprobs_binding.cpp, outputs come first and a cancel flag may come last.
#include "binding/kernels_args.h"
#include "cpu/bandwidth.h"

namespace pk {

namespace {

// (rewards, q, scores, prmLogprobs, refLogprobs, offsets, beta, cancel?)
Napi::Value implicit_rewards(const Napi::CallbackInfo& call) {
  Indices offsets = read_offsets(call[5], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  Tensor prm = read_log_probs(call[3], "prmLogprobs", n), ref = read_log_probs_like(call[4], "refLogprobs", prm);
  float *rewards = read_array<float>(call[0], "rewards", n).data, *q = read_array<float>(call[1], "q", n).data,
        *scores = read_array<float>(call[2], "scores", rows).data;
  double beta = read_beta(call[6]);
  return run_kernel(
      call, 7,
      [=, offsets = std::move(offsets)](const JobContext&) {
        cpu_backend().implicit_rewards(rewards, q, scores, prm, ref, offsets.data(), rows, beta);
        return Nothing{};
      },
      finish_nothing);
}

// (cumulative, perStep, q, offsets, stepEnds, stepOffsets, cancel?)
Napi::Value step_rewards(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  Indices offsets = read_offsets(call[3], "offsets", -1), step_ends = read_indices(call[4], "stepEnds");
  Indices step_offsets = read_offsets(call[5], "stepOffsets", static_cast<int64_t>(step_ends.size()));
  int64_t rows = rows_of(offsets), steps = static_cast<int64_t>(step_ends.size());
  if (rows_of(step_offsets) != rows)
    throw Napi::RangeError::New(env, "stepOffsets must have " + std::to_string(rows + 1) + " elements, but has " + std::to_string(step_offsets.size()) + ".");
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t s = step_offsets[i]; s < step_offsets[i + 1]; ++s)
      if (step_ends[s] < 0 || step_ends[s] >= offsets[i + 1] - offsets[i])
        throw Napi::RangeError::New(env, "stepEnds must be positions inside their row, but stepEnds[" + std::to_string(s) + "] is " +
                                             std::to_string(step_ends[s]) + " in a row of " + std::to_string(offsets[i + 1] - offsets[i]) + " tokens.");
  const float* q = read_array<float>(call[2], "q", tokens_of(offsets)).data;
  float *cumulative = read_array<float>(call[0], "cumulative", steps).data, *per_step = read_array<float>(call[1], "perStep", steps).data;
  return run_kernel(
      call, 6,
      [=, offsets = std::move(offsets), step_ends = std::move(step_ends), step_offsets = std::move(step_offsets)](const JobContext&) {
        cpu_backend().step_rewards(cumulative, per_step, q, offsets.data(), step_ends.data(), step_offsets.data(), rows);
        return Nothing{};
      },
      finish_nothing);
}

// (advantages, returns, processRewards?, outcomeRewards?, offsets, groupOffsets, gammaProcess, gammaOutcome, processCoef, outcomeCoef, released,
// normalizeBatch, whiten, cancel?)
Napi::Value prime_advantages(const Napi::CallbackInfo& call) {
  Indices offsets = read_offsets(call[4], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  Indices groups = read_groups(call[5], rows, 2);
  float *advantages = read_array<float>(call[0], "advantages", n).data, *returns = read_array<float>(call[1], "returns", n).data;
  const float* process = read_optional_array<float>(call[2], "processRewards", n).data;
  const float* outcome = read_optional_array<float>(call[3], "outcomeRewards", rows).data;
  AdvantageSettings settings{};
  settings.gamma_process = static_cast<float>(read_in_range(call[6], "gammaProcess", 0, 1));
  settings.gamma_outcome = static_cast<float>(read_in_range(call[7], "gammaOutcome", 0, 1));
  settings.process_coef = read_coefficient(call[8], "processCoef");
  settings.outcome_coef = read_coefficient(call[9], "outcomeCoef");
  settings.baseline = read_bool(call[10], "released") ? Baseline::released : Baseline::leave_one_out;
  settings.normalize_process_batch = read_bool(call[11], "normalizeBatch");
  settings.whiten = read_bool(call[12], "whiten");
  return run_kernel(
      call, 13,
      [=, offsets = std::move(offsets), groups = std::move(groups)](const JobContext&) {
        cpu_backend().prime_advantages(advantages, returns, process, outcome, offsets.data(), rows, groups.data(), rows_of(groups), settings);
        return Nothing{};
      },
      finish_nothing);
}

// (dLogprobs, dEntropy?, logprobs, oldLogprobs, advantages, entropy?, refLogprobs?, offsets, clipLow, clipHigh, aggregate, dualClip, entropyCoef, klCoef,
// normalizer, cancel?)
Napi::Value ppo_clip_loss(const Napi::CallbackInfo& call) {
  Indices offsets = read_offsets(call[7], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  float* d_logprobs = read_array<float>(call[0], "dLogprobs", n).data;
  float* d_entropy = read_optional_array<float>(call[1], "dEntropy", n).data;
  Tensor logprobs = read_log_probs(call[2], "logprobs", n), old = read_log_probs_like(call[3], "oldLogprobs", logprobs);
  const float* advantages = read_array<float>(call[4], "advantages", n).data;
  const float* entropy = read_optional_array<float>(call[5], "entropy", n).data;
  Tensor ref = absent(call[6]) ? Tensor() : read_log_probs_like(call[6], "refLogprobs", logprobs);
  PpoSettings settings{};
  settings.clip_low = static_cast<float>(read_in_range(call[8], "clipLow", 0, 1e30));
  settings.clip_high = static_cast<float>(read_in_range(call[9], "clipHigh", 0, 1e30));
  settings.aggregate = static_cast<Aggregate>(read_integer(call[10], "aggregate", 0, 2));
  settings.dual_clip = static_cast<float>(read_in_range(call[11], "dualClip", 0, 1e30));
  settings.entropy_coef = read_coefficient(call[12], "entropyCoef");
  settings.kl_coef = read_coefficient(call[13], "klCoef");
  settings.normalizer = read_in_range(call[14], "normalizer", 0, 1e30);
  auto work = [=, offsets = std::move(offsets)](const JobContext&) {
    return cpu_backend().ppo_clip_loss(d_logprobs, d_entropy, logprobs, old, advantages, entropy, ref, offsets.data(), rows, settings);
  };
  return run_kernel(call, 15, std::move(work), [](Napi::Env env, const PpoResult& r) -> Napi::Value {
    return numbers(
        env, {{"loss", r.loss}, {"clipFraction", r.clip_fraction}, {"approxKl", r.approx_kl}, {"ratioMax", r.ratio_max}, {"kl", r.kl}, {"entropy", r.entropy}});
  });
}

Napi::Value finish_prm(Napi::Env env, const PrmResult& r) { return numbers(env, {{"loss", r.loss}, {"accuracy", r.accuracy}}); }

// (dLogprobs, probabilities, prmLogprobs, refLogprobs, offsets, labels, beta, normalizer, cancel?)
Napi::Value prm_cross_entropy_loss(const Napi::CallbackInfo& call) {
  Indices offsets = read_offsets(call[4], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  float *d_logprobs = read_array<float>(call[0], "dLogprobs", n).data, *probabilities = read_array<float>(call[1], "probabilities", rows).data;
  Tensor prm = read_log_probs(call[2], "prmLogprobs", n), ref = read_log_probs_like(call[3], "refLogprobs", prm);
  const float* labels = read_array<float>(call[5], "labels", rows).data;
  double beta = read_beta(call[6]), normalizer = read_in_range(call[7], "normalizer", 0, 1e30);
  return run_kernel(
      call, 8,
      [=, offsets = std::move(offsets)](const JobContext&) {
        return cpu_backend().prm_cross_entropy_loss(d_logprobs, probabilities, prm, ref, offsets.data(), rows, labels, beta, normalizer);
      },
      finish_prm);
}

// (dLogprobs, prmLogprobs, refLogprobs, offsets, labels, groupOffsets, groupScores?, beta, cancel?)
Napi::Value prm_dpo_loss(const Napi::CallbackInfo& call) {
  Indices offsets = read_offsets(call[3], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  Indices groups = read_groups(call[5], rows, 1);
  float* d_logprobs = read_array<float>(call[0], "dLogprobs", n).data;
  Tensor prm = read_log_probs(call[1], "prmLogprobs", n), ref = read_log_probs_like(call[2], "refLogprobs", prm);
  const float* labels = read_array<float>(call[4], "labels", rows).data;
  const float* group_scores = read_optional_array<float>(call[6], "groupScores", rows).data;
  double beta = read_beta(call[7]);
  return run_kernel(
      call, 8,
      [=, offsets = std::move(offsets), groups = std::move(groups)](const JobContext&) {
        return cpu_backend().prm_dpo_loss(d_logprobs, prm, ref, offsets.data(), rows, labels, groups.data(), rows_of(groups), group_scores, beta);
      },
      finish_prm);
}

// (megabytes, repeats): bytes per second that all threads read, and copy
Napi::Value memory_bandwidth(const Napi::CallbackInfo& call) {
  Bandwidth b = measure_bandwidth(read_integer(call[0], "megabytes", 1, 1024) << 20, static_cast<int>(read_integer(call[1], "repeats", 1, 20)));
  return numbers(call.Env(), {{"read", b.read}, {"copy", b.copy}});
}

}  // namespace

void export_kernels(Napi::Env env, Napi::Object exports) {
  export_logprobs(env, exports);
  auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) { exports.Set(name, Napi::Function::New(env, function, name)); };
  add("implicitRewards", implicit_rewards);
  add("stepRewards", step_rewards);
  add("primeAdvantages", prime_advantages);
  add("ppoClipLoss", ppo_clip_loss);
  add("prmCrossEntropyLoss", prm_cross_entropy_loss);
  add("prmDpoLoss", prm_dpo_loss);
  add("memoryBandwidth", memory_bandwidth);
}

}  // namespace pk
