// The arrays of one kernel call: typed arrays, or DeviceArrays that are all on one device. Where the call runs on a GPU, typed
// arrays are copied there and back. This is the one place where array arguments become pointers.
#pragma once
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "binding/args.h"
#include "binding/device_array.h"
#include "ops/backend.h"

namespace pk {

using Indices = std::vector<int32_t>;

enum class Use { in, out, in_out };

class KernelArrays {
 public:
  // An array's number among those of the call, with its shape; without one for an argument left out.
  struct Slot {
    int index = -1;
    DType dtype = DType::f32;
    int64_t rows = 0, cols = 0;
    bool given() const { return index >= 0; }
  };

  explicit KernelArrays(const Napi::CallbackInfo& call) : call_(&call) {}

  Slot floats(size_t at, const char* name, int64_t rows, Use use = Use::in, int64_t cols = 1) { return take(at, name, {DType::f32}, rows, cols, use); }
  Slot optional_floats(size_t at, const char* name, int64_t rows, Use use = Use::in) { return absent((*call_)[at]) ? Slot{} : floats(at, name, rows, use); }
  Slot log_probs(size_t at, const char* name, int64_t n) { return take(at, name, {DType::f32, DType::f64}, n, 1, Use::in); }
  Slot log_probs_like(size_t at, const char* name, const Slot& other);
  // Activations, weights or logits: float32 or bfloat16.
  Slot matrix(size_t at, const char* name, int64_t rows, int64_t cols, Use use = Use::in) { return take(at, name, {DType::f32, DType::bf16}, rows, cols, use); }

  // "cpu" or "cuda": where the DeviceArrays are, or else what the caller wants, call[at]. Call it last: it refuses a mixture.
  std::string device(size_t at);

 private:
  friend class PlacedArrays;
  struct Entry {
    const char* name;
    void* host;
    std::shared_ptr<DeviceBlock> block;
    int64_t bytes;
    Use use;
  };
  Slot take(size_t at, const char* name, std::initializer_list<DType> types, int64_t rows, int64_t cols, Use use);

  const Napi::CallbackInfo* call_;  // until the call returns
  std::vector<Entry> entries_;
};

// The arrays in the memory of the device that runs the kernel, as long as it lives. On the thread of the device's work only.
class PlacedArrays {
 public:
  PlacedArrays(const KernelArrays& arrays, const std::string& device);
  ~PlacedArrays();
  PlacedArrays(const PlacedArrays&) = delete;
  PlacedArrays& operator=(const PlacedArrays&) = delete;

  Backend& backend() { return backend_; }
  bool on_gpu() const { return on_gpu_; }
  Tensor operator()(const KernelArrays::Slot& slot) const { return {slot.given() ? data_[slot.index] : nullptr, slot.dtype, slot.rows, slot.cols}; }
  float* f32(const KernelArrays::Slot& slot) const { return (*this)(slot).f32(); }
  const int32_t* put(const Indices& indices);
  void finish();  // copies the outputs back to typed arrays

 private:
  void give_back() noexcept;  // the copies' memory and, of a call that failed, what its outputs took for it

  Backend& backend_;
  bool on_gpu_, finished_ = false;
  const KernelArrays& arrays_;
  std::vector<void*> data_;
  std::vector<std::shared_ptr<DeviceBlock>> taken_;  // by this call
};

}  // namespace pk
