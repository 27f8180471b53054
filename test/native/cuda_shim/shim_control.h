// What a test may ask of the shim.
#pragma once
#include "cuda_runtime.h"

namespace cuda_shim {

void fail_allocations(int count);                  // the next `count` device allocations find no memory
void fail_allocations_after(int good, int count);  // likewise, once `good` more have succeeded
void fail_pinned(int count);                       // the same of pinned memory of the host
void limit_memory(int64_t bytes);                  // of the device; 8 GiB unless told
int64_t device_bytes();                            // allocated now
int64_t device_peak();                             // the most since this was last asked
int64_t pinned_bytes();
void fail_from_now_on(cudaError_t code);  // as a lost device does; cudaSuccess ends it
void limit_shared(int bytes);             // of a block, for backends made from now on
int kernels_launched();                   // so far, those of graphs left out
int graphs_launched();                    // so far
void guard_device_memory(bool on);        // device memory allocated from now on faults when the host touches it

}  // namespace cuda_shim
