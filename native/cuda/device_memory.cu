#include "cuda/common.cuh"
#include "cuda/device_memory.h"

namespace pk {

DeviceMemory cuda_device_memory() {
  cuda::current_op = {};
  size_t free = 0, total = 0;
  cuda::check(cudaMemGetInfo(&free, &total));
  return {static_cast<int64_t>(free), static_cast<int64_t>(total)};
}

}  // namespace pk
