// NativeDeviceArray: what a DeviceArray of ts/kernels holds, an array in the memory of one device. CUDA is spoken to on the compute
// thread alone: memory is taken there on first use and given back there, by free() in turn with the jobs before it. The garbage
// collector gives nothing back itself; what it found is released by the next job that uses device arrays.
#pragma once
#include <napi.h>

#include <memory>
#include <string>

#include "ops/backend.h"

namespace pk {

// Element types, as the typed arrays they are copied from and to; bfloat16 is a Uint16Array.
struct ArrayType {
  napi_typedarray_type kind;
  const char *name, *array_name;
  int64_t size;
  DType dtype;  // not of int32
};
inline constexpr ArrayType kArrayTypes[] = {{napi_float32_array, "float32", "Float32Array", 4, DType::f32},
                                            {napi_float64_array, "float64", "Float64Array", 8, DType::f64},
                                            {napi_uint16_array, "bfloat16", "Uint16Array", 2, DType::bf16},
                                            {napi_int32_array, "int32", "Int32Array", 4, DType::f32}};

class DeviceBlock {
 public:
  DeviceBlock(const std::string& device, const ArrayType& type, int64_t length) : device(device), type(type), length(length) {}
  ~DeviceBlock();
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;

  const std::string device;  // "cpu" or "cuda"
  const ArrayType& type;
  const int64_t length;
  int64_t bytes() const { return length * type.size; }

  // On the thread of the device's work only.
  bool taken() const { return data_ != nullptr; }
  void* data();  // takes the memory, zeroed, when there is none yet
  void drop() noexcept;

 private:
  void* data_ = nullptr;
};

void release_abandoned() noexcept;  // on the compute thread: memory of device arrays that nobody freed

// The block of a DeviceArray; null for anything else. A freed one is ERR_ARRAY_FREED, in which `name` says what it was given as.
std::shared_ptr<DeviceBlock> device_block_of(const Napi::Value& value, const char* name);

}  // namespace pk
