// How much of the GPU's memory there is and how much is free.
#pragma once
#include <cstdint>

namespace pk {

struct DeviceMemory {
  int64_t free, total;  // bytes
};
DeviceMemory cuda_device_memory();  // throws as every CUDA call does

}  // namespace pk
