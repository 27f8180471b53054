// A stand-in for NVIDIA's header of the same name, for tests on machines without a GPU: the sources of native/cuda compile with
// g++ against it and run on the CPU. "Device" memory is ordinary memory. Blocks run one after another, the threads of a block
// as fibers that meet at __syncthreads() and at warp operations (fibers.h). What a GPU would refuse or leave undefined
// (a launch too large, a barrier some threads never reach, a shuffle with absent lanes) is an error here.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "fibers.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) double2 {
  double x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// Where the running thread is.
using cuda_shim::blockDim, cuda_shim::blockIdx, cuda_shim::gridDim, cuda_shim::threadIdx;

using cudaStream_t = struct CudaShimStream*;

namespace cuda_shim {
// Does the work now, or keeps it for the graph that is being recorded of its stream.
void enqueue(cudaStream_t stream, std::function<void()> work);
void count_kernel();

// While one lives, guarded device memory (shim_control.h) can be read and written: kernels and copies hold one.
struct DeviceAccess {
  DeviceAccess();
  ~DeviceAccess();
};
}  // namespace cuda_shim

// --- the runtime ------------------------------------------------------------------------------------------------------

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorECCUncorrectable = 214,
  cudaErrorHardwareStackError = 714,
  cudaErrorIllegalInstruction = 715,
  cudaErrorMisalignedAddress = 716,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchTimeout = 702,
  cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900,
};
enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDeviceAttr { cudaDevAttrMaxSharedMemoryPerBlockOptin = 97 };
constexpr unsigned cudaStreamNonBlocking = 1;

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  void* attrs = nullptr;
  unsigned numAttrs = 0;
};

// A graph is the calls that were recorded, done in order when it is launched.
using cudaGraph_t = struct CudaShimGraph*;
using cudaGraphExec_t = struct CudaShimGraph*;
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal };
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph);

const char* cudaGetErrorName(cudaError_t code);
const char* cudaGetErrorString(cudaError_t code);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMalloc(void** data, size_t bytes);
cudaError_t cudaFree(void* data);
cudaError_t cudaMallocHost(void** data, size_t bytes);
cudaError_t cudaFreeHost(void* data);
cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
  cuda_shim::allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  return cudaSuccess;
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  std::tuple<std::decay_t<Parameters>...> values(std::forward<Arguments>(arguments)...);
  if (!cuda_shim::is_launchable(config->gridDim, config->blockDim, config->dynamicSmemBytes, reinterpret_cast<const void*>(kernel)))
    return cudaErrorInvalidConfiguration;
  cuda_shim::count_kernel();
  cuda_shim::enqueue(config->stream,
                     [=, shape = *config] { cuda_shim::run_grid(shape.gridDim, shape.blockDim, shape.dynamicSmemBytes, [&] { std::apply(kernel, values); }); });
  return cudaSuccess;
}

// --- inside kernels ---------------------------------------------------------------------------------------------------

using std::isfinite, std::isnan;

inline void __syncthreads() { cuda_shim::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { cuda_shim::warp_exchange<int>(mask, 0); }
inline int __syncthreads_or(int predicate) {
  cuda_shim::block_barrier();
  static int any;
  any = 0;
  cuda_shim::block_barrier();
  any |= predicate != 0;
  cuda_shim::block_barrier();
  return any;
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source) {
  return *cuda_shim::warp_exchange(mask, value).lane(source & 31);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  auto lanes = cuda_shim::warp_exchange(mask, value);
  return *lanes.lane((cuda_shim::lane() ^ bits) & 31);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by) {
  auto lanes = cuda_shim::warp_exchange(mask, value);
  unsigned from = static_cast<unsigned>(cuda_shim::lane()) + by;
  return from < 32 ? *lanes.lane(static_cast<int>(from)) : value;
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by) {
  auto lanes = cuda_shim::warp_exchange(mask, value);
  int from = cuda_shim::lane() - static_cast<int>(by);
  return from >= 0 ? *lanes.lane(from) : value;
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  auto lanes = cuda_shim::warp_exchange(mask, predicate);
  unsigned votes = 0;
  for (int i = 0; i < 32; ++i)
    if ((mask >> i & 1u) && *lanes.lane(i)) votes |= 1u << i;
  return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }

template <class T, class U>
T atomicAdd(T* at, U value) {
  T before = *at;
  *at = static_cast<T>(before + value);
  return before;
}
template <class T>
T atomicMax(T* at, T value) {
  T before = *at;
  if (value > before) *at = value;
  return before;
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline unsigned __float_as_uint(float v) { return __builtin_bit_cast(unsigned, v); }
inline float __uint_as_float(unsigned v) { return __builtin_bit_cast(float, v); }
template <class T>
T __ldg(const T* at) {
  return *at;
}
template <class T>
T __ldcs(const T* at) {
  return *at;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
