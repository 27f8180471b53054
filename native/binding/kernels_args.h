// Reading the kernels' arguments, and running a kernel now or on the compute thread. Lengths, offsets and indices are checked
// here, where memory safety depends on them; index arrays are copied first, as JavaScript may change them meanwhile.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "binding/args.h"
#include "binding/exports.h"
#include "binding/worker.h"

namespace pk {

using Indices = std::vector<int32_t>;
inline constexpr int64_t kMostElements = int64_t{1} << 31;

struct Nothing {};
inline Napi::Value finish_nothing(Napi::Env env, const Nothing&) { return env.Undefined(); }

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

inline Indices read_indices(const Napi::Value& value, const char* name, int64_t expected = -1) {
  Span<int32_t> span = expected < 0 ? read_array<int32_t>(value, name) : read_array<int32_t>(value, name, expected);
  return Indices(span.data, span.data + span.size);
}

inline Indices read_offsets(const Napi::Value& value, const char* name, int64_t total) {
  Indices offsets = read_indices(value, name);
  check_offsets(value.Env(), {offsets.data(), static_cast<int64_t>(offsets.size())}, total, name);
  return offsets;
}

inline Indices read_targets(const Napi::Value& value, int64_t vocab) {
  Indices targets = read_indices(value, "targets");
  for (size_t i = 0; i < targets.size(); ++i)
    if (targets[i] < 0 || targets[i] >= vocab)
      throw Napi::RangeError::New(value.Env(), "targets must be from 0 to " + std::to_string(vocab - 1) + ", but targets[" + std::to_string(i) + "] is " +
                                                   std::to_string(targets[i]) + ".");
  return targets;
}

// Groups of whole rows; each holds at least `least` rows, or none.
inline Indices read_groups(const Napi::Value& value, int64_t rows, int32_t least) {
  Indices groups = read_offsets(value, "groupOffsets", rows);
  for (size_t p = 1; p < groups.size(); ++p) {
    int32_t size = groups[p] - groups[p - 1];
    if (size > 0 && size < least)
      throw Napi::RangeError::New(value.Env(), "Every group must have at least " + std::to_string(least) + " rows, but group " + std::to_string(p - 1) +
                                                   " has " + std::to_string(size) + ".");
  }
  return groups;
}

inline int64_t rows_of(const Indices& offsets) { return static_cast<int64_t>(offsets.size()) - 1; }
inline int64_t tokens_of(const Indices& offsets) { return offsets.back(); }

inline double read_in_range(const Napi::Value& value, const char* name, double low, double high) {
  double number = read_number(value, name);
  if (number < low || number > high)
    throw Napi::RangeError::New(
        value.Env(), std::string(name) + " must be from " + std::to_string(low) + " to " + std::to_string(high) + ", but is " + std::to_string(number) + ".");
  return number;
}

inline float read_temperature(const Napi::Value& value) { return static_cast<float>(read_in_range(value, "temperature", 1e-6, 1e6)); }
inline double read_beta(const Napi::Value& value) { return read_in_range(value, "beta", 1e-30, 1e30); }
inline float read_coefficient(const Napi::Value& value, const char* name) { return static_cast<float>(read_in_range(value, name, -1e30, 1e30)); }

// [n, 1] log-probs, float32 or float64.
inline Tensor read_log_probs(const Napi::Value& value, const char* name, int64_t n) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float64_array)
    return {read_array<double>(value, name, n).data, DType::f64, n, 1};
  return {read_array<float>(value, name, n).data, n, 1};
}
inline Tensor read_log_probs_like(const Napi::Value& value, const char* name, const Tensor& other) {
  Tensor tensor = read_log_probs(value, name, other.rows);
  if (tensor.dtype != other.dtype) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be of the same type as the other log-probs.");
  return tensor;
}

// [rows, cols] activations or weights: Float32Array, or Uint16Array holding bfloat16.
inline Tensor read_matrix(const Napi::Value& value, const char* name, int64_t rows, int64_t cols) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint16_array)
    return {read_array<uint16_t>(value, name, rows * cols).data, DType::bf16, rows, cols};
  return {read_array<float>(value, name, rows * cols).data, rows, cols};
}

inline Napi::Object numbers(Napi::Env env, std::initializer_list<std::pair<const char*, double>> fields) {
  auto object = Napi::Object::New(env);
  for (auto& [name, value] : fields) object.Set(name, Napi::Number::New(env, value));
  return object;
}

}  // namespace pk
