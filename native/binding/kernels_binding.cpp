// Exports of the rewards, advantages and losses; as in logprobs_binding.cpp, outputs come first and a cancel flag and a device may come last.
#include "binding/kernels_args.h"
#include "cpu/bandwidth.h"

namespace pk {

namespace {

// (rewards, q, scores, prmLogprobs, refLogprobs, offsets, beta, cancel?, device?)
Napi::Value implicit_rewards(const Napi::CallbackInfo& call) {
  KernelArrays arrays(call);
  Indices offsets = read_offsets(call[5], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  auto prm = arrays.log_probs(3, "prmLogprobs", n), ref = arrays.log_probs_like(4, "refLogprobs", prm);
  auto rewards = arrays.floats(0, "rewards", n, Use::out), q = arrays.floats(1, "q", n, Use::out), scores = arrays.floats(2, "scores", rows, Use::out);
  double beta = read_beta(call[6]);
  return run_kernel(
      call, 7, std::move(arrays),
      [=, offsets = std::move(offsets)](PlacedArrays& at, const JobContext&) {
        at.backend().implicit_rewards(at.f32(rewards), at.f32(q), at.f32(scores), at(prm), at(ref), at.put(offsets), rows, beta);
        return Nothing{};
      },
      finish_nothing);
}

// (cumulative, perStep, q, offsets, stepEnds, stepOffsets, cancel?, device?)
Napi::Value step_rewards(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  KernelArrays arrays(call);
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
  auto q = arrays.floats(2, "q", tokens_of(offsets));
  auto cumulative = arrays.floats(0, "cumulative", steps, Use::out), per_step = arrays.floats(1, "perStep", steps, Use::out);
  return run_kernel(
      call, 6, std::move(arrays),
      [=, offsets = std::move(offsets), step_ends = std::move(step_ends), step_offsets = std::move(step_offsets)](PlacedArrays& at, const JobContext&) {
        at.backend().step_rewards(at.f32(cumulative), at.f32(per_step), at.f32(q), at.put(offsets), at.put(step_ends), at.put(step_offsets), rows);
        return Nothing{};
      },
      finish_nothing);
}

// (advantages, returns, processRewards?, outcomeRewards?, offsets, groupOffsets, gammaProcess, gammaOutcome, processCoef, outcomeCoef, released,
// normalizeBatch, whiten, cancel?, device?)
Napi::Value prime_advantages(const Napi::CallbackInfo& call) {
  KernelArrays arrays(call);
  Indices offsets = read_offsets(call[4], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  Indices groups = read_groups(call[5], rows, 2);
  auto process = arrays.optional_floats(2, "processRewards", n), outcome = arrays.optional_floats(3, "outcomeRewards", rows);
  auto advantages = arrays.floats(0, "advantages", n, Use::out), returns = arrays.floats(1, "returns", n, Use::out);
  AdvantageSettings settings{};
  settings.gamma_process = static_cast<float>(read_in_range(call[6], "gammaProcess", 0, 1));
  settings.gamma_outcome = static_cast<float>(read_in_range(call[7], "gammaOutcome", 0, 1));
  settings.process_coef = read_coefficient(call[8], "processCoef");
  settings.outcome_coef = read_coefficient(call[9], "outcomeCoef");
  settings.baseline = read_bool(call[10], "released") ? Baseline::released : Baseline::leave_one_out;
  settings.normalize_process_batch = read_bool(call[11], "normalizeBatch");
  settings.whiten = read_bool(call[12], "whiten");
  return run_kernel(
      call, 13, std::move(arrays),
      [=, offsets = std::move(offsets), groups = std::move(groups)](PlacedArrays& at, const JobContext&) {
        at.backend().prime_advantages(at.f32(advantages), at.f32(returns), at.f32(process), at.f32(outcome), at.put(offsets), rows, at.put(groups),
                                      rows_of(groups), settings);
        return Nothing{};
      },
      finish_nothing);
}

// (dLogprobs, dEntropy?, logprobs, oldLogprobs, advantages, entropy?, refLogprobs?, offsets, clipLow, clipHigh, aggregate, dualClip, entropyCoef, klCoef,
// normalizer, cancel?, device?)
Napi::Value ppo_clip_loss(const Napi::CallbackInfo& call) {
  KernelArrays arrays(call);
  Indices offsets = read_offsets(call[7], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  auto logprobs = arrays.log_probs(2, "logprobs", n), old = arrays.log_probs_like(3, "oldLogprobs", logprobs);
  auto advantages = arrays.floats(4, "advantages", n), entropy = arrays.optional_floats(5, "entropy", n);
  auto ref = absent(call[6]) ? KernelArrays::Slot{} : arrays.log_probs_like(6, "refLogprobs", logprobs);
  auto d_logprobs = arrays.floats(0, "dLogprobs", n, Use::out), d_entropy = arrays.optional_floats(1, "dEntropy", n, Use::out);
  PpoSettings settings{};
  settings.clip_low = static_cast<float>(read_in_range(call[8], "clipLow", 0, 1e30));
  settings.clip_high = static_cast<float>(read_in_range(call[9], "clipHigh", 0, 1e30));
  settings.aggregate = static_cast<Aggregate>(read_integer(call[10], "aggregate", 0, 2));
  settings.dual_clip = static_cast<float>(read_in_range(call[11], "dualClip", 0, 1e30));
  settings.entropy_coef = read_coefficient(call[12], "entropyCoef");
  settings.kl_coef = read_coefficient(call[13], "klCoef");
  settings.normalizer = read_in_range(call[14], "normalizer", 0, 1e30);
  auto work = [=, offsets = std::move(offsets)](PlacedArrays& at, const JobContext&) {
    return at.backend().ppo_clip_loss(at.f32(d_logprobs), at.f32(d_entropy), at(logprobs), at(old), at.f32(advantages), at.f32(entropy),
                                      ref.given() ? at(ref) : Tensor(), at.put(offsets), rows, settings);
  };
  return run_kernel(call, 15, std::move(arrays), std::move(work), [](Napi::Env env, const PpoResult& r) -> Napi::Value {
    return numbers(
        env, {{"loss", r.loss}, {"clipFraction", r.clip_fraction}, {"approxKl", r.approx_kl}, {"ratioMax", r.ratio_max}, {"kl", r.kl}, {"entropy", r.entropy}});
  });
}

Napi::Value finish_prm(Napi::Env env, const PrmResult& r) { return numbers(env, {{"loss", r.loss}, {"accuracy", r.accuracy}}); }

// (dLogprobs, probabilities, prmLogprobs, refLogprobs, offsets, labels, beta, normalizer, cancel?, device?)
Napi::Value prm_cross_entropy_loss(const Napi::CallbackInfo& call) {
  KernelArrays arrays(call);
  Indices offsets = read_offsets(call[4], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  auto prm = arrays.log_probs(2, "prmLogprobs", n), ref = arrays.log_probs_like(3, "refLogprobs", prm);
  auto labels = arrays.floats(5, "labels", rows);
  auto d_logprobs = arrays.floats(0, "dLogprobs", n, Use::out), probabilities = arrays.floats(1, "probabilities", rows, Use::out);
  double beta = read_beta(call[6]), normalizer = read_in_range(call[7], "normalizer", 0, 1e30);
  return run_kernel(
      call, 8, std::move(arrays),
      [=, offsets = std::move(offsets)](PlacedArrays& at, const JobContext&) {
        return at.backend().prm_cross_entropy_loss(at.f32(d_logprobs), at.f32(probabilities), at(prm), at(ref), at.put(offsets), rows, at.f32(labels), beta,
                                                   normalizer);
      },
      finish_prm);
}

// (dLogprobs, prmLogprobs, refLogprobs, offsets, labels, groupOffsets, groupScores?, beta, cancel?, device?)
Napi::Value prm_dpo_loss(const Napi::CallbackInfo& call) {
  KernelArrays arrays(call);
  Indices offsets = read_offsets(call[3], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  Indices groups = read_groups(call[5], rows, 1);
  auto prm = arrays.log_probs(1, "prmLogprobs", n), ref = arrays.log_probs_like(2, "refLogprobs", prm);
  auto labels = arrays.floats(4, "labels", rows), group_scores = arrays.optional_floats(6, "groupScores", rows);
  auto d_logprobs = arrays.floats(0, "dLogprobs", n, Use::out);
  double beta = read_beta(call[7]);
  return run_kernel(
      call, 8, std::move(arrays),
      [=, offsets = std::move(offsets), groups = std::move(groups)](PlacedArrays& at, const JobContext&) {
        return at.backend().prm_dpo_loss(at.f32(d_logprobs), at(prm), at(ref), at.put(offsets), rows, at.f32(labels), at.put(groups), rows_of(groups),
                                         at.f32(group_scores), beta);
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
