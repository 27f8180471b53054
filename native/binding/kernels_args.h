// Reading the kernels' arguments, and running a kernel now or on the compute thread. Lengths, offsets and indices are checked
// here, where memory safety depends on them; index arrays are copied first, as JavaScript may change them meanwhile.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "binding/args.h"
#include "binding/exports.h"
#include "binding/kernel_arrays.h"
#include "binding/run_on_device.h"
#include "binding/worker.h"

namespace pk {

inline constexpr int64_t kMostElements = int64_t{1} << 31;

// work(at, context) on the call's arrays where its device has them: now or, when a cancel flag is given at `flag`, on the compute
// thread. The device, if the caller names one, is the argument after the flag.
template <class Work, class Finish>
Napi::Value run_kernel(const Napi::CallbackInfo& call, size_t flag, KernelArrays arrays, Work work, Finish finish) {
  Napi::Env env = call.Env();
  std::string device = arrays.device(flag + 1);
  auto job = [device, arrays = std::move(arrays), work = std::move(work)](const JobContext& context) {
    JobScope scope(context);
    PlacedArrays at(arrays, device);
    auto result = work(at, context);
    at.finish();
    return result;
  };
  if (absent(call[flag])) return run_at_once(env, device, std::move(job), finish);
  if (!call[flag].IsTypedArray()) throw Napi::TypeError::New(env, "cancel must be an Int32Array.");
  std::vector<Napi::Value> keep;
  for (size_t i = 0; i < flag; ++i)
    if (call[i].IsTypedArray()) keep.push_back(call[i]);
  return run_job(env, {call[flag], env.Undefined()}, std::move(keep), std::move(job), std::move(finish));
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

inline Napi::Object numbers(Napi::Env env, std::initializer_list<std::pair<const char*, double>> fields) {
  auto object = Napi::Object::New(env);
  for (auto& [name, value] : fields) object.Set(name, Napi::Number::New(env, value));
  return object;
}

}  // namespace pk
