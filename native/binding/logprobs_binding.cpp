// Exports of the token log-probs, from logits and from hidden states. Outputs come first, as typed arrays the caller allocated;
// with a cancel flag as last argument a call runs on the compute thread and returns a promise.
#include "binding/kernels_args.h"

namespace pk {

namespace {

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
  Tensor logits = read_matrix(call[2], "logits", n, stride);
  float temperature = read_temperature(call[6]);
  return run_kernel(
      call, 7,
      [=, targets = std::move(targets)](const JobContext& context) {
        rows_in_pieces(context, n, stride, [&](int64_t at, int64_t count) {
          cpu_backend().token_logprobs_forward(logprobs + at, entropy ? entropy + at : nullptr, logits.slice_rows(at, count), targets.data() + at, vocab,
                                               temperature);
        });
        return Nothing{};
      },
      finish_nothing);
}

// (dLogits, logits, targets, dLogprobs, dEntropy?, vocab, stride, temperature, cancel?)
Napi::Value token_logprobs_backward(const Napi::CallbackInfo& call) {
  int64_t vocab = read_integer(call[5], "vocabSize", 1, kMostElements - 1), stride = read_integer(call[6], "rowStride", vocab, kMostElements - 1);
  Indices targets = read_targets(call[2], vocab);
  int64_t n = static_cast<int64_t>(targets.size());
  Tensor d_logits = read_matrix(call[0], "dLogits", n, stride), logits = read_matrix(call[1], "logits", n, stride);
  if (d_logits.dtype == DType::bf16 && logits.dtype != DType::bf16) throw type_error(call.Env(), "dLogits must be a Float32Array where logits is one.");
  const float* d_logprobs = read_array<float>(call[3], "dLogprobs", n).data;
  const float* d_entropy = read_optional_array<float>(call[4], "dEntropy", n).data;
  float temperature = read_temperature(call[7]);
  return run_kernel(
      call, 8,
      [=, targets = std::move(targets)](const JobContext& context) {
        rows_in_pieces(context, n, stride, [&](int64_t at, int64_t count) {
          cpu_backend().token_logprobs_backward(d_logits.slice_rows(at, count), logits.slice_rows(at, count), targets.data() + at, d_logprobs + at,
                                                d_entropy ? d_entropy + at : nullptr, vocab, temperature);
        });
        return Nothing{};
      },
      finish_nothing);
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
  return run_kernel(
      call, 9,
      [=, a = std::move(a)](const JobContext&) {
        cpu_backend().linear_logprobs_forward(logprobs, entropy, lse, a.hidden, a.weight, a.targets.data(), a.temperature);
        return Nothing{};
      },
      finish_nothing);
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
  return run_kernel(
      call, 12,
      [=, a = std::move(a)](const JobContext&) {
        cpu_backend().linear_logprobs_backward(d_hidden, d_weight, a.hidden, a.weight, a.targets.data(), lse, entropy, d_logprobs, d_entropy, a.temperature);
        return Nothing{};
      },
      finish_nothing);
}

}  // namespace

void export_logprobs(Napi::Env env, Napi::Object exports) {
  auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) { exports.Set(name, Napi::Function::New(env, function, name)); };
  add("tokenLogprobs", token_logprobs);
  add("tokenLogprobsBackward", token_logprobs_backward);
  add("linearLogprobs", linear_logprobs);
  add("linearLogprobsBackward", linear_logprobs_backward);
}

}  // namespace pk
