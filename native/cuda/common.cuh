// What every kernel file needs: launches with checked results, errors that name the op and its shape, sums over warps and blocks.
#pragma once
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <string>

#include "core/error.h"
#include "core/tensor.h"
#include "cuda/intrinsics.cuh"

namespace pk::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// --- host side ----------------------------------------------------------------------------------------------------------

// The op the calling thread is in; errors name it.
struct OpName {
  const char* name = "setup";
  int64_t shape[3] = {0, 0, 0};
};
inline thread_local OpName current_op;

std::string place_of_op();  // "rmsnorm_forward [4096 x 896]"

// Throws unless `code` is cudaSuccess: ERR_OUT_OF_MEMORY, ERR_DEVICE_LOST (nothing on the device works from then on) or ERR_CUDA.
void check(cudaError_t code);

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// kernel<<<grid, block, shared, stream>>>(arguments), checked. An empty grid is no launch.
template <class... Parameters, class... Arguments>
void launch(cudaStream_t stream, void (*kernel)(Parameters...), dim3 grid, dim3 block, int64_t shared_bytes, Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  if (shared_bytes > (48 << 10)) check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)));
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

inline dim3 grid_of(int64_t x, int64_t y = 1, int64_t z = 1) { return dim3(static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z)); }

// Calls body with a null pointer of the tensor's element type: dispatch(t, [&](auto* tag) { using T = Element<decltype(tag)>; ... }).
template <class Body>
void dispatch(DType dtype, const Body& body) {
  if (dtype == DType::bf16)
    body(static_cast<bf16*>(nullptr));
  else
    body(static_cast<float*>(nullptr));
}
template <class Tag>
using Element = std::remove_pointer_t<Tag>;

// --- device side --------------------------------------------------------------------------------------------------------

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
// The larger one; a NaN on either side stays.
struct Max {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

// The same result in every lane.
template <class T, class Op>
__device__ __forceinline__ T warp_reduce(T value, Op op) {
  for (int bits = kWarp / 2; bits > 0; bits /= 2) value = op(value, __shfl_xor_sync(kAllLanes, value, bits));
  return value;
}

// The same result in every thread of a one-dimensional block of whole warps. In an order that does not change from run to run.
template <class T, class Op>
__device__ T block_reduce(T value, Op op) {
  __shared__ T parts[kWarp];
  int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  value = warp_reduce(value, op);
  __syncthreads();  // of an earlier call's reads
  if (lane == 0) parts[warp] = value;
  __syncthreads();
  value = parts[0];
  for (int i = 1; i < warps; ++i) value = op(value, parts[i]);
  return value;
}
template <class T>
__device__ T block_sum(T value) {
  return block_reduce(value, Sum());
}

// n elements that are loaded and stored as one; the address must be a multiple of their size.
template <class T, int n>
struct alignas(sizeof(T) * n) Pack {
  T v[n];
};
template <int n, class T>
__device__ __forceinline__ void load_floats(float (&to)[n], const T* from) {
  Pack<T, n> pack = *reinterpret_cast<const Pack<T, n>*>(from);
  for (int k = 0; k < n; ++k) to[k] = to_float(pack.v[k]);
}
template <int n, class T>
__device__ __forceinline__ void store_floats(T* to, const float (&from)[n]) {
  if constexpr (sizeof(T) == 2 && n % 2 == 0) {
    Pack<uint32_t, n / 2> pack;
    for (int k = 0; k < n / 2; ++k) pack.v[k] = pack_bf16(from[2 * k], from[2 * k + 1]);
    *reinterpret_cast<Pack<uint32_t, n / 2>*>(to) = pack;
  } else {
    Pack<T, n> pack;
    for (int k = 0; k < n; ++k) pack.v[k] = from_float<T>(from[k]);
    *reinterpret_cast<Pack<T, n>*>(to) = pack;
  }
}

// a - b, but 0 where both are the same infinity: two log-probs of an impossible token do not differ.
template <class T>
__device__ __forceinline__ T difference(T a, T b) {
  return a == b ? T(0) : a - b;
}

// The comparisons are written so that a NaN in v is kept.
__device__ __forceinline__ float at_least(float v, float low) { return v < low ? low : v; }
__device__ __forceinline__ float at_most(float v, float high) { return v > high ? high : v; }

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

}  // namespace pk::cuda
