// Exports of the token log-probs, from logits and from hidden states. Outputs come first, as arrays the caller made; with a
// cancel flag after the arguments a call runs on the compute thread and returns a promise; a device, "cpu" or "cuda", may come after that.
#include "binding/kernels_args.h"

namespace pk {

namespace {

// body(first, count) over rows: on the CPU a few milliseconds each, with a look at the cancel flag between; on a GPU all at once.
template <class Body>
void rows_in_pieces(const PlacedArrays& at, const JobContext& context, int64_t n, int64_t row_elements, const Body& body) {
  int64_t piece = at.on_gpu() ? n : std::max<int64_t>(1, (int64_t{32} << 20) / row_elements);
  for (int64_t first = 0; first < n; first += piece) {
    context.check();
    body(first, std::min(piece, n - first));
  }
}

// (logprobs, entropy?, logits, targets, vocab, stride, temperature, cancel?, device?)
Napi::Value token_logprobs(const Napi::CallbackInfo& call) {
  KernelArrays arrays(call);
  int64_t vocab = read_integer(call[4], "vocabSize", 1, kMostElements - 1), stride = read_integer(call[5], "rowStride", vocab, kMostElements - 1);
  Indices targets = read_targets(call[3], vocab);
  int64_t n = static_cast<int64_t>(targets.size());
  auto logits = arrays.matrix(2, "logits", n, stride);
  auto logprobs = arrays.floats(0, "logprobs", n, Use::out), entropy = arrays.optional_floats(1, "entropy", n, Use::out);
  float temperature = read_temperature(call[6]);
  return run_kernel(
      call, 7, std::move(arrays),
      [=, targets = std::move(targets)](PlacedArrays& at, const JobContext& context) {
        const int32_t* ids = at.put(targets);
        float *out = at.f32(logprobs), *h = at.f32(entropy);
        rows_in_pieces(at, context, n, stride, [&](int64_t first, int64_t count) {
          at.backend().token_logprobs_forward(out + first, h ? h + first : nullptr, at(logits).slice_rows(first, count), ids + first, vocab, temperature);
        });
        return Nothing{};
      },
      finish_nothing);
}

// (dLogits, logits, targets, dLogprobs, dEntropy?, vocab, stride, temperature, cancel?, device?)
Napi::Value token_logprobs_backward(const Napi::CallbackInfo& call) {
  KernelArrays arrays(call);
  int64_t vocab = read_integer(call[5], "vocabSize", 1, kMostElements - 1), stride = read_integer(call[6], "rowStride", vocab, kMostElements - 1);
  Indices targets = read_targets(call[2], vocab);
  int64_t n = static_cast<int64_t>(targets.size());
  auto logits = arrays.matrix(1, "logits", n, stride), d_logits = arrays.matrix(0, "dLogits", n, stride, Use::out);
  if (d_logits.dtype == DType::bf16 && logits.dtype != DType::bf16) throw type_error(call.Env(), "dLogits must be float32 where logits are.");
  auto d_logprobs = arrays.floats(3, "dLogprobs", n), d_entropy = arrays.optional_floats(4, "dEntropy", n);
  float temperature = read_temperature(call[7]);
  return run_kernel(
      call, 8, std::move(arrays),
      [=, targets = std::move(targets)](PlacedArrays& at, const JobContext& context) {
        const int32_t* ids = at.put(targets);
        const float *d = at.f32(d_logprobs), *dh = at.f32(d_entropy);
        rows_in_pieces(at, context, n, stride, [&](int64_t first, int64_t count) {
          at.backend().token_logprobs_backward(at(d_logits).slice_rows(first, count), at(logits).slice_rows(first, count), ids + first, d + first,
                                               dh ? dh + first : nullptr, vocab, temperature);
        });
        return Nothing{};
      },
      finish_nothing);
}

struct LinearArguments {
  Indices targets;
  KernelArrays::Slot hidden, weight;
  float temperature;
};

// hidden, weight and targets, from position `first` on; vocabSize, hiddenSize and temperature from `sizes` on.
LinearArguments read_linear(KernelArrays& arrays, const Napi::CallbackInfo& call, size_t first, size_t sizes) {
  int64_t vocab = read_integer(call[sizes], "vocabSize", 1, kMostElements - 1), channels = read_integer(call[sizes + 1], "hiddenSize", 1, 1 << 24);
  LinearArguments a;
  a.targets = read_targets(call[first + 2], vocab);
  a.hidden = arrays.matrix(first, "hidden", static_cast<int64_t>(a.targets.size()), channels);
  a.weight = arrays.matrix(first + 1, "weight", vocab, channels);
  if (a.hidden.dtype != a.weight.dtype) throw Napi::TypeError::New(call.Env(), "hidden and weight must be arrays of the same type.");
  a.temperature = read_temperature(call[sizes + 2]);
  return a;
}

// (logprobs, entropy?, logSumExp, hidden, weight, targets, vocab, hiddenSize, temperature, cancel?, device?)
Napi::Value linear_logprobs(const Napi::CallbackInfo& call) {
  KernelArrays arrays(call);
  LinearArguments a = read_linear(arrays, call, 3, 6);
  int64_t n = a.hidden.rows;
  auto logprobs = arrays.floats(0, "logprobs", n, Use::out), entropy = arrays.optional_floats(1, "entropy", n, Use::out);
  auto lse = arrays.floats(2, "logSumExp", n, Use::out);
  return run_kernel(
      call, 9, std::move(arrays),
      [=, a = std::move(a)](PlacedArrays& at, const JobContext&) {
        at.backend().linear_logprobs_forward(at.f32(logprobs), at.f32(entropy), at.f32(lse), at(a.hidden), at(a.weight), at.put(a.targets), a.temperature);
        return Nothing{};
      },
      finish_nothing);
}

// (dHidden, dWeight, hidden, weight, targets, logSumExp, entropy?, dLogprobs, dEntropy?, vocab, hiddenSize, temperature, accumulate, cancel?, device?);
// dWeight accumulates where accumulate says so
Napi::Value linear_logprobs_backward(const Napi::CallbackInfo& call) {
  KernelArrays arrays(call);
  LinearArguments a = read_linear(arrays, call, 2, 9);
  bool accumulate = read_bool(call[12], "accumulate");
  int64_t n = a.hidden.rows;
  auto lse = arrays.floats(5, "logSumExp", n), entropy = arrays.optional_floats(6, "entropy", n);
  auto d_logprobs = arrays.floats(7, "dLogprobs", n), d_entropy = arrays.optional_floats(8, "dEntropy", n);
  auto d_hidden = arrays.floats(0, "dHidden", n, Use::out, a.hidden.cols);
  auto d_weight = arrays.floats(1, "dWeight", a.weight.rows, accumulate ? Use::in_out : Use::out, a.weight.cols);
  if (d_entropy.given() && !entropy.given()) throw Napi::TypeError::New(call.Env(), "entropy must be given with dEntropy.");
  return run_kernel(
      call, 13, std::move(arrays),
      [=, a = std::move(a)](PlacedArrays& at, const JobContext&) {
        if (!accumulate) at.backend().zero(at(d_weight).data, at(d_weight).bytes());
        at.backend().linear_logprobs_backward(at(d_hidden), at(d_weight), at(a.hidden), at(a.weight), at.put(a.targets), at.f32(lse), at.f32(entropy),
                                              at.f32(d_logprobs), at.f32(d_entropy), a.temperature);
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
