// The kernels' exports. Outputs come first, as typed arrays the caller allocated. The last argument, when given, is a
// cancel flag: the call then runs on the compute thread and returns a promise. Lengths, offsets and indices are checked
// here, where memory safety depends on them; index arrays are copied first, as JavaScript may change them meanwhile.
#include <vector>

#include "binding/args.h"
#include "binding/exports.h"
#include "binding/worker.h"
#include "cpu/bandwidth.h"

namespace pk {

namespace {

using Indices = std::vector<int32_t>;
constexpr int64_t kMostElements = int64_t{1} << 31;

struct Nothing {};
Napi::Value finish_nothing(Napi::Env env, const Nothing&) { return env.Undefined(); }

// work(context) now, or on the compute thread when a cancel flag is given at `flag`.
template <class Work, class Finish>
Napi::Value run_kernel(const Napi::CallbackInfo& call, size_t flag, Work work, Finish finish) {
  Napi::Env env = call.Env();
  if (absent(call[flag])) {
    try {
      return finish(env, work(JobContext{}));
    } catch (...) {
      throw to_js_error(env, std::current_exception());
    }
  }
  if (!call[flag].IsTypedArray()) throw Napi::TypeError::New(env, "cancel must be an Int32Array.");
  std::vector<Napi::Value> keep;
  for (size_t i = 0; i < flag; ++i)
    if (call[i].IsTypedArray()) keep.push_back(call[i]);
  auto scoped = [work = std::move(work)](JobContext& context) mutable {
    JobScope scope(context);
    return work(context);
  };
  return run_job(env, {call[flag], env.Undefined()}, std::move(keep), std::move(scoped), std::move(finish));
}

Indices read_indices(const Napi::Value& value, const char* name, int64_t expected = -1) {
  Span<int32_t> span = expected < 0 ? read_array<int32_t>(value, name) : read_array<int32_t>(value, name, expected);
  return Indices(span.data, span.data + span.size);
}

Indices read_offsets(const Napi::Value& value, const char* name, int64_t total) {
  Indices offsets = read_indices(value, name);
  check_offsets(value.Env(), {offsets.data(), static_cast<int64_t>(offsets.size())}, total, name);
  return offsets;
}

Indices read_targets(const Napi::Value& value, int64_t vocab) {
  Indices targets = read_indices(value, "targets");
  for (size_t i = 0; i < targets.size(); ++i)
    if (targets[i] < 0 || targets[i] >= vocab)
      throw Napi::RangeError::New(value.Env(), "targets must be from 0 to " + std::to_string(vocab - 1) + ", but targets[" + std::to_string(i) + "] is " + std::to_string(targets[i]) + ".");
  return targets;
}

// Groups of whole rows; each holds at least `least` rows, or none.
Indices read_groups(const Napi::Value& value, int64_t rows, int32_t least) {
  Indices groups = read_offsets(value, "groupOffsets", rows);
  for (size_t p = 1; p < groups.size(); ++p) {
    int32_t size = groups[p] - groups[p - 1];
    if (size > 0 && size < least) throw Napi::RangeError::New(value.Env(), "Every group must have at least " + std::to_string(least) + " rows, but group " + std::to_string(p - 1) + " has " + std::to_string(size) + ".");
  }
  return groups;
}

int64_t rows_of(const Indices& offsets) { return static_cast<int64_t>(offsets.size()) - 1; }
int64_t tokens_of(const Indices& offsets) { return offsets.back(); }

double read_in_range(const Napi::Value& value, const char* name, double low, double high) {
  double number = read_number(value, name);
  if (number < low || number > high)
    throw Napi::RangeError::New(value.Env(), std::string(name) + " must be from " + std::to_string(low) + " to " + std::to_string(high) + ", but is " + std::to_string(number) + ".");
  return number;
}

float read_temperature(const Napi::Value& value) { return static_cast<float>(read_in_range(value, "temperature", 1e-6, 1e6)); }
double read_beta(const Napi::Value& value) { return read_in_range(value, "beta", 1e-30, 1e30); }
float read_coefficient(const Napi::Value& value, const char* name) { return static_cast<float>(read_in_range(value, name, -1e30, 1e30)); }

// [n, 1] log-probs, float32 or float64.
Tensor read_log_probs(const Napi::Value& value, const char* name, int64_t n) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float64_array) return {read_array<double>(value, name, n).data, DType::f64, n, 1};
  return {read_array<float>(value, name, n).data, n, 1};
}
Tensor read_log_probs_like(const Napi::Value& value, const char* name, const Tensor& other) {
  Tensor tensor = read_log_probs(value, name, other.rows);
  if (tensor.dtype != other.dtype) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be of the same type as the other log-probs.");
  return tensor;
}

// [rows, cols] activations or weights: Float32Array, or Uint16Array holding bfloat16.
Tensor read_matrix(const Napi::Value& value, const char* name, int64_t rows, int64_t cols) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint16_array) return {read_array<uint16_t>(value, name, rows * cols).data, DType::bf16, rows, cols};
  return {read_array<float>(value, name, rows * cols).data, rows, cols};
}

Napi::Object numbers(Napi::Env env, std::initializer_list<std::pair<const char*, double>> fields) {
  auto object = Napi::Object::New(env);
  for (auto& [name, value] : fields) object.Set(name, Napi::Number::New(env, value));
  return object;
}

// --- token log-probs --------------------------------------------------------------------------------------------------

// body(first, count) over rows, a few milliseconds each, with a look at the cancel flag between.
template <class Body>
void rows_in_pieces(const JobContext& context, int64_t n, int64_t row_elements, const Body& body) {
  int64_t piece = std::max<int64_t>(1, (int64_t{32} << 20) / row_elements);
  for (int64_t at = 0; at < n; at += piece) {
    context.check();
    body(at, std::min(piece, n - at));
  }
}

// (logprobs, entropy?, logits, targets, vocab, stride, temperature, cancel?)
Napi::Value token_logprobs(const Napi::CallbackInfo& call) {
  int64_t vocab = read_integer(call[4], "vocabSize", 1, kMostElements - 1), stride = read_integer(call[5], "rowStride", vocab, kMostElements - 1);
  Indices targets = read_targets(call[3], vocab);
  int64_t n = static_cast<int64_t>(targets.size());
  float* logprobs = read_array<float>(call[0], "logprobs", n).data;
  float* entropy = read_optional_array<float>(call[1], "entropy", n).data;
  const float* logits = read_array<float>(call[2], "logits", n * stride).data;
  float temperature = read_temperature(call[6]);
  return run_kernel(call, 7, [=, targets = std::move(targets)](const JobContext& context) {
    rows_in_pieces(context, n, stride, [&](int64_t at, int64_t count) {
      cpu_backend().token_logprobs_forward(logprobs + at, entropy ? entropy + at : nullptr, logits + at * stride, targets.data() + at, count, vocab, stride, temperature);
    });
    return Nothing{};
  }, finish_nothing);
}

// (dLogits, logits, targets, dLogprobs, dEntropy?, vocab, stride, temperature, cancel?)
Napi::Value token_logprobs_backward(const Napi::CallbackInfo& call) {
  int64_t vocab = read_integer(call[5], "vocabSize", 1, kMostElements - 1), stride = read_integer(call[6], "rowStride", vocab, kMostElements - 1);
  Indices targets = read_targets(call[2], vocab);
  int64_t n = static_cast<int64_t>(targets.size());
  float* d_logits = read_array<float>(call[0], "dLogits", n * stride).data;
  const float* logits = read_array<float>(call[1], "logits", n * stride).data;
  const float* d_logprobs = read_array<float>(call[3], "dLogprobs", n).data;
  const float* d_entropy = read_optional_array<float>(call[4], "dEntropy", n).data;
  float temperature = read_temperature(call[7]);
  return run_kernel(call, 8, [=, targets = std::move(targets)](const JobContext& context) {
    rows_in_pieces(context, n, stride, [&](int64_t at, int64_t count) {
      cpu_backend().token_logprobs_backward(d_logits + at * stride, logits + at * stride, targets.data() + at, d_logprobs + at, d_entropy ? d_entropy + at : nullptr, count, vocab, stride, temperature);
    });
    return Nothing{};
  }, finish_nothing);
}

struct LinearArguments {
  Indices targets;
  Tensor hidden, weight;
  float temperature;
};

// hidden, weight and targets, from position `first` on; vocabSize, hiddenSize and temperature from `sizes` on.
LinearArguments read_linear(const Napi::CallbackInfo& call, size_t first, size_t sizes) {
  int64_t vocab = read_integer(call[sizes], "vocabSize", 1, kMostElements - 1), channels = read_integer(call[sizes + 1], "hiddenSize", 1, 1 << 24);
  LinearArguments a;
  a.targets = read_targets(call[first + 2], vocab);
  a.hidden = read_matrix(call[first], "hidden", static_cast<int64_t>(a.targets.size()), channels);
  a.weight = read_matrix(call[first + 1], "weight", vocab, channels);
  if (a.hidden.dtype != a.weight.dtype) throw Napi::TypeError::New(call.Env(), "hidden and weight must be arrays of the same type.");
  a.temperature = read_temperature(call[sizes + 2]);
  return a;
}

// (logprobs, entropy?, logSumExp, hidden, weight, targets, vocab, hiddenSize, temperature, cancel?)
Napi::Value linear_logprobs(const Napi::CallbackInfo& call) {
  LinearArguments a = read_linear(call, 3, 6);
  int64_t n = a.hidden.rows;
  float* logprobs = read_array<float>(call[0], "logprobs", n).data;
  float* entropy = read_optional_array<float>(call[1], "entropy", n).data;
  float* lse = read_array<float>(call[2], "logSumExp", n).data;
  return run_kernel(call, 9, [=, a = std::move(a)](const JobContext&) {
    cpu_backend().linear_logprobs_forward(logprobs, entropy, lse, a.hidden, a.weight, a.targets.data(), a.temperature);
    return Nothing{};
  }, finish_nothing);
}

// (dHidden, dWeight, hidden, weight, targets, logSumExp, entropy?, dLogprobs, dEntropy?, vocab, hiddenSize, temperature, cancel?); dWeight accumulates
Napi::Value linear_logprobs_backward(const Napi::CallbackInfo& call) {
  LinearArguments a = read_linear(call, 2, 9);
  int64_t n = a.hidden.rows;
  Tensor d_hidden(read_array<float>(call[0], "dHidden", a.hidden.size()).data, n, a.hidden.cols);
  Tensor d_weight(read_array<float>(call[1], "dWeight", a.weight.size()).data, a.weight.rows, a.weight.cols);
  const float* lse = read_array<float>(call[5], "logSumExp", n).data;
  const float* entropy = read_optional_array<float>(call[6], "entropy", n).data;
  const float* d_logprobs = read_array<float>(call[7], "dLogprobs", n).data;
  const float* d_entropy = read_optional_array<float>(call[8], "dEntropy", n).data;
  if (d_entropy && !entropy) throw Napi::TypeError::New(call.Env(), "entropy must be given with dEntropy.");
  return run_kernel(call, 12, [=, a = std::move(a)](const JobContext&) {
    cpu_backend().linear_logprobs_backward(d_hidden, d_weight, a.hidden, a.weight, a.targets.data(), lse, entropy, d_logprobs, d_entropy, a.temperature);
    return Nothing{};
  }, finish_nothing);
}

// --- rewards and losses -----------------------------------------------------------------------------------------------

// (rewards, q, scores, prmLogprobs, refLogprobs, offsets, beta, cancel?)
Napi::Value implicit_rewards(const Napi::CallbackInfo& call) {
  Indices offsets = read_offsets(call[5], "offsets", -1);
  int64_t n = tokens_of(offsets), rows = rows_of(offsets);
  Tensor prm = read_log_probs(call[3], "prmLogprobs", n), ref = read_log_probs_like(call[4], "refLogprobs", prm);
  float *rewards = read_array<float>(call[0], "rewards", n).data, *q = read_array<float>(call[1], "q", n).data, *scores = read_array<float>(call[2], "scores", rows).data;
  double beta = read_beta(call[6]);
  return run_kernel(call, 7, [=, offsets = std::move(offsets)](const JobContext&) {
    cpu_backend().implicit_rewards(rewards, q, scores, prm, ref, offsets.data(), rows, beta);
    return Nothing{};
  }, finish_nothing);
}

// (cumulative, perStep, q, offsets, stepEnds, stepOffsets, cancel?)
Napi::Value step_rewards(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  Indices offsets = read_offsets(call[3], "offsets", -1), step_ends = read_indices(call[4], "stepEnds");
  Indices step_offsets = read_offsets(call[5], "stepOffsets", static_cast<int64_t>(step_ends.size()));
  int64_t rows = rows_of(offsets), steps = static_cast<int64_t>(step_ends.size());
  if (rows_of(step_offsets) != rows) throw Napi::RangeError::New(env, "stepOffsets must have " + std::to_string(rows + 1) + " elements, but has " + std::to_string(step_offsets.size()) + ".");
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t s = step_offsets[i]; s < step_offsets[i + 1]; ++s)
      if (step_ends[s] < 0 || step_ends[s] >= offsets[i + 1] - offsets[i])
        throw Napi::RangeError::New(env, "stepEnds must be positions inside their row, but stepEnds[" + std::to_string(s) + "] is " + std::to_string(step_ends[s]) + " in a row of " + std::to_string(offsets[i + 1] - offsets[i]) + " tokens.");
  const float* q = read_array<float>(call[2], "q", tokens_of(offsets)).data;
  float *cumulative = read_array<float>(call[0], "cumulative", steps).data, *per_step = read_array<float>(call[1], "perStep", steps).data;
  return run_kernel(call, 6, [=, offsets = std::move(offsets), step_ends = std::move(step_ends), step_offsets = std::move(step_offsets)](const JobContext&) {
    cpu_backend().step_rewards(cumulative, per_step, q, offsets.data(), step_ends.data(), step_offsets.data(), rows);
    return Nothing{};
  }, finish_nothing);
}

// (advantages, returns, processRewards?, outcomeRewards?, offsets, groupOffsets, gammaProcess, gammaOutcome, processCoef, outcomeCoef, released, normalizeBatch, whiten, cancel?)
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
  return run_kernel(call, 13, [=, offsets = std::move(offsets), groups = std::move(groups)](const JobContext&) {
    cpu_backend().prime_advantages(advantages, returns, process, outcome, offsets.data(), rows, groups.data(), rows_of(groups), settings);
    return Nothing{};
  }, finish_nothing);
}

// (dLogprobs, dEntropy?, logprobs, oldLogprobs, advantages, entropy?, refLogprobs?, offsets, clipLow, clipHigh, aggregate, dualClip, entropyCoef, klCoef, normalizer, cancel?)
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
  auto work = [=, offsets = std::move(offsets)](const JobContext&) { return cpu_backend().ppo_clip_loss(d_logprobs, d_entropy, logprobs, old, advantages, entropy, ref, offsets.data(), rows, settings); };
  return run_kernel(call, 15, std::move(work), [](Napi::Env env, const PpoResult& r) -> Napi::Value {
    return numbers(env, {{"loss", r.loss}, {"clipFraction", r.clip_fraction}, {"approxKl", r.approx_kl}, {"ratioMax", r.ratio_max}, {"kl", r.kl}, {"entropy", r.entropy}});
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
  return run_kernel(call, 8, [=, offsets = std::move(offsets)](const JobContext&) {
    return cpu_backend().prm_cross_entropy_loss(d_logprobs, probabilities, prm, ref, offsets.data(), rows, labels, beta, normalizer);
  }, finish_prm);
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
  return run_kernel(call, 8, [=, offsets = std::move(offsets), groups = std::move(groups)](const JobContext&) {
    return cpu_backend().prm_dpo_loss(d_logprobs, prm, ref, offsets.data(), rows, labels, groups.data(), rows_of(groups), group_scores, beta);
  }, finish_prm);
}

// (megabytes, repeats): bytes per second that all threads read, and copy
Napi::Value memory_bandwidth(const Napi::CallbackInfo& call) {
  Bandwidth b = measure_bandwidth(read_integer(call[0], "megabytes", 1, 1024) << 20, static_cast<int>(read_integer(call[1], "repeats", 1, 20)));
  return numbers(call.Env(), {{"read", b.read}, {"copy", b.copy}});
}

}  // namespace

void export_kernels(Napi::Env env, Napi::Object exports) {
  auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) { exports.Set(name, Napi::Function::New(env, function, name)); };
  add("tokenLogprobs", token_logprobs);
  add("tokenLogprobsBackward", token_logprobs_backward);
  add("linearLogprobs", linear_logprobs);
  add("linearLogprobsBackward", linear_logprobs_backward);
  add("implicitRewards", implicit_rewards);
  add("stepRewards", step_rewards);
  add("primeAdvantages", prime_advantages);
  add("ppoClipLoss", ppo_clip_loss);
  add("prmCrossEntropyLoss", prm_cross_entropy_loss);
  add("prmDpoLoss", prm_dpo_loss);
  add("memoryBandwidth", memory_bandwidth);
}

}  // namespace pk
