// What the bindings of single ops share: reading one argument object, arrays in a backend's memory for one call, results.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "binding/args.h"
#include "binding/exports.h"
#include "binding/worker.h"

namespace pk {

// The argument object of an op. Arrays are copied, so nothing the caller does later reaches the job.
class OpArgs {
 public:
  explicit OpArgs(const Napi::CallbackInfo& call) : env_(call.Env()) {
    if (!call[0].IsObject() || call[0].IsFunction()) throw type_error(env_, "The argument of an op must be an object.");
    object_ = call[0].As<Napi::Object>();
  }
  Napi::Env env() const { return env_; }
  bool has(const char* name) const { return !absent(object_.Get(name)); }
  int64_t size(const char* name, int64_t low = 0) const { return read_integer(object_.Get(name), name, low, 1 << 20); }
  float number(const char* name) const { return static_cast<float>(exact(name)); }
  double exact(const char* name) const { return read_number(object_.Get(name), name); }
  bool flag(const char* name) const { return has(name) && read_bool(object_.Get(name), name); }
  uint64_t seed(const char* name) const { return static_cast<uint64_t>(read_integer(object_.Get(name), name, 0, int64_t{1} << 52)); }

  // dtype: "float32" or "bfloat16", the activation type T.
  DType type() const {
    std::string name = read_string(object_.Get("dtype"), "dtype");
    if (name != "float32" && name != "bfloat16") throw range_error(env_, "dtype must be \"float32\" or \"bfloat16\", but is \"" + name + "\".");
    return name == "float32" ? DType::f32 : DType::bf16;
  }
  std::vector<float> floats(const char* name, int64_t count) const {
    Span<float> span = read_array<float>(object_.Get(name), name, checked(count));
    return {span.data, span.data + span.size};
  }
  std::vector<float> optional_floats(const char* name, int64_t count) const { return has(name) ? floats(name, count) : std::vector<float>(); }
  // Each in [low, high].
  std::vector<int32_t> integers(const char* name, int64_t count, int64_t low, int64_t high) const {
    Span<int32_t> span = read_array<int32_t>(object_.Get(name), name, checked(count));
    for (int64_t i = 0; i < span.size; ++i)
      if (span.data[i] < low || span.data[i] > high)
        throw range_error(env_, std::string(name) + "[" + std::to_string(i) + "] must be from " + std::to_string(low) + " to " + std::to_string(high) +
                                    ", but is " + std::to_string(span.data[i]) + ".");
    return {span.data, span.data + span.size};
  }
  std::vector<int32_t> offsets(const char* name, int64_t total) const {
    Span<int32_t> span = read_array<int32_t>(object_.Get(name), name);
    check_offsets(env_, span, total, name);
    return {span.data, span.data + span.size};
  }
  HeadShape heads() const {
    HeadShape shape{size("heads", 1), size("kvHeads", 1), size("headSize", 2)};
    if (shape.heads % shape.kv_heads != 0 || shape.head_size % 2 != 0) throw range_error(env_, "heads must be a multiple of kvHeads, and headSize even.");
    checked(shape.qkv_size());
    return shape;
  }
  // A number of elements that a test may ask for.
  int64_t checked(int64_t count) const {
    if (count < 0 || count > (int64_t{1} << 27))
      throw range_error(env_, "An op on host arrays takes at most 2^27 elements, but " + std::to_string(count) + " are asked for.");
    return count;
  }

 private:
  Napi::Env env_;
  Napi::Object object_;
};

// Arrays in the backend's memory for the length of one call.
class OpArrays {
 public:
  explicit OpArrays(Backend& backend) : backend_(backend) {}
  ~OpArrays() {
    for (void* data : owned_) backend_.release(data);
  }
  OpArrays(const OpArrays&) = delete;
  OpArrays& operator=(const OpArrays&) = delete;
  Backend& backend() { return backend_; }

  Tensor make(int64_t rows, int64_t cols, DType type = DType::f32) {
    Tensor tensor(nullptr, type, rows, cols);
    tensor.data = take(tensor.bytes());
    return tensor;
  }
  Tensor put(const std::vector<float>& values, int64_t rows, int64_t cols, DType type = DType::f32) {
    Tensor tensor = make(rows, cols, type);
    if (type == DType::f32) {
      backend_.copy_from_host(tensor.data, values.data(), tensor.bytes());
    } else {
      std::vector<bf16> rounded(values.size());
      for (size_t i = 0; i < values.size(); ++i) rounded[i] = to_bf16(values[i]);
      backend_.copy_from_host(tensor.data, rounded.data(), tensor.bytes());
    }
    return tensor;
  }
  // A tensor without data for an empty vector: an optional argument left out.
  Tensor put_optional(const std::vector<float>& values, int64_t rows, int64_t cols, DType type) {
    return values.empty() ? Tensor(nullptr, type, rows, cols) : put(values, rows, cols, type);
  }
  template <class T>
  T* put_array(const std::vector<T>& values) {
    int64_t bytes = static_cast<int64_t>(values.size() * sizeof(T));
    T* data = static_cast<T*>(take(bytes));
    backend_.copy_from_host(data, values.data(), bytes);
    return data;
  }
  std::vector<float> read(Tensor tensor) {
    std::vector<float> values(static_cast<size_t>(tensor.size()));
    if (tensor.dtype == DType::f32) {
      backend_.copy_to_host(values.data(), tensor.data, tensor.bytes());
      return values;
    }
    std::vector<bf16> rounded(values.size());
    backend_.copy_to_host(rounded.data(), tensor.data, tensor.bytes());
    for (size_t i = 0; i < values.size(); ++i) values[i] = to_float(rounded[i]);
    return values;
  }

 private:
  void* take(int64_t bytes) {
    owned_.push_back(backend_.allocate(bytes > 0 ? bytes : 1));
    return owned_.back();
  }
  Backend& backend_;
  std::vector<void*> owned_;
};

using OpResults = std::vector<std::pair<const char*, std::vector<float>>>;

// Runs work(arrays) -> OpResults on the compute thread; the promise gives an object of Float32Arrays.
template <class Work>
Napi::Value run_op(Napi::Env env, Work work) {
  return run_job(
      env, JobOptions{}, {},
      [work = std::move(work)](JobContext&) mutable {
        OpArrays arrays(cpu_backend());
        return work(arrays);
      },
      [](Napi::Env e, OpResults& results) -> Napi::Value {
        auto object = Napi::Object::New(e);
        for (auto& [name, values] : results) object.Set(name, to_typed_array(e, values.data(), static_cast<int64_t>(values.size())));
        return object;
      });
}

}  // namespace pk
