// What a test may ask of the shim.
#pragma once
#include "cuda_runtime.h"

namespace cuda_shim {

void fail_allocations(int count);         // the next `count` device allocations find no memory
void limit_memory(size_t bytes);          // of the device; 8 GiB unless told
size_t used_memory();                     // of it
void fail_from_now_on(cudaError_t code);  // as a lost device does; cudaSuccess ends it
void limit_shared(int bytes);             // of a block, for backends made from now on
int graphs_launched();                    // so far
void guard_device_memory(bool on);        // device memory allocated from now on faults when the host touches it

}  // namespace cuda_shim
