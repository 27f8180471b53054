// Threads of a CUDA block as fibers on one CPU thread. See cuda_runtime.h beside this file.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
using uint3 = dim3;

namespace cuda_shim {

inline dim3 threadIdx, blockIdx, blockDim, gridDim;  // of the running thread
inline int linear_thread = 0;                        // its index in the block
inline int lane() { return linear_thread % 32; }

bool is_launchable(dim3 grid, dim3 block, size_t shared_bytes, const void* kernel);  // false when a GPU would refuse it
// Runs `body` for every thread of every block. Throws std::logic_error for what would hang.
void run_grid(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body);
void allow_shared(const void* kernel, int bytes);  // more dynamic shared memory than 48 KiB
unsigned char* dynamic_shared();                   // filled with 0xff when a block starts

void block_barrier();
constexpr size_t kLaneBytes = 64;
unsigned char* warp_exchange_bytes(unsigned mask, const void* value, size_t bytes);  // all lanes' values, kLaneBytes apart

template <class T>
struct Lanes {
  const unsigned char* data;
  const T* lane(int i) const { return reinterpret_cast<const T*>(data + static_cast<size_t>(i) * kLaneBytes); }
};
// Every lane of `mask` gives a value and, once all have, sees those of the others (valid until its next exchange but one).
template <class T>
Lanes<T> warp_exchange(unsigned mask, const T& value) {
  static_assert(sizeof(T) <= kLaneBytes);
  return {warp_exchange_bytes(mask, &value, sizeof(T))};
}

// Copies issued by cp.async, done when their group is waited for.
void defer_copy(void* to, const void* from, size_t bytes);
void commit_copies();
void wait_copies(int groups_left);

}  // namespace cuda_shim
