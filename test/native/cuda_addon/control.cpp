// What a test asks of the shim (cuda_shim/shim_control.h), as C functions that bun:ffi finds in the addon's file.
#include "shim_control.h"

#define PK_TEST_EXPORT extern "C" __attribute__((visibility("default")))

PK_TEST_EXPORT void pk_shim_fail_allocations(int count) { cuda_shim::fail_allocations(count); }
PK_TEST_EXPORT void pk_shim_limit_memory(double bytes) { cuda_shim::limit_memory(static_cast<int64_t>(bytes)); }
PK_TEST_EXPORT void pk_shim_lose_device(int lost) { cuda_shim::fail_from_now_on(lost ? cudaErrorIllegalAddress : cudaSuccess); }
PK_TEST_EXPORT double pk_shim_used_memory() { return static_cast<double>(cuda_shim::device_bytes()); }
PK_TEST_EXPORT int pk_shim_graphs_launched() { return cuda_shim::graphs_launched(); }
