// The runtime calls of cuda_runtime.h beside this file: memory is the heap's, streams do their work at once, a test may ask for failures.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "cuda_runtime.h"
#include "shim_control.h"

namespace {

int good_allocations = 0, failing_allocations = 0, failing_pinned = 0;
cudaError_t sticky = cudaSuccess;
bool guarded = false;
int launched = 0, kernels = 0;
int shared_limit = 227 << 10;

struct Pages {
  size_t bytes;
};
std::map<void*, Pages> guarded_blocks;

void protect_all(int rights) {
  for (auto& [data, pages] : guarded_blocks) mprotect(data, pages.bytes, rights);
}

// A program allocates from more than one thread.
std::mutex memory_mutex;
int64_t memory_limit = int64_t{1} << 33;

// One stream at a time is recorded; whoever adds to it adds to the record, as on a GPU.
std::vector<std::function<void()>>* recording = nullptr;
cudaStream_t recorded_stream = nullptr;
thread_local bool this_thread_records = false;

// Bytes of every block that is allocated now.
std::map<void*, size_t> device_blocks, pinned_blocks;

int64_t peak = 0;

int64_t sum_of(const std::map<void*, size_t>& blocks) {
  int64_t bytes = 0;
  for (auto& [data, size] : blocks) bytes += static_cast<int64_t>(size);
  return bytes;
}

bool is_pinned(const void* at) {
  std::lock_guard lock(memory_mutex);
  for (auto& [data, size] : pinned_blocks)
    if (at >= data && at < static_cast<char*>(data) + size) return true;
  return false;
}

// Copies to and from pinned memory are under way until something comes after them in the stream, or somebody waits: the latest moment a GPU may choose.
std::vector<std::function<void()>> under_way;

void postpone(std::function<void()> copy) {
  std::lock_guard lock(memory_mutex);
  under_way.push_back(std::move(copy));
}
void finish_copies() {
  std::unique_lock lock(memory_mutex);
  std::vector<std::function<void()>> copies = std::exchange(under_way, {});
  lock.unlock();
  cuda_shim::DeviceAccess access;
  for (auto& copy : copies) copy();
}

}  // namespace

struct CudaShimStream {};
struct CudaShimGraph {
  std::vector<std::function<void()>> work;
};

namespace cuda_shim {

void enqueue(cudaStream_t stream, std::function<void()> work) {
  if (recording && stream == recorded_stream) return recording->push_back(std::move(work));
  finish_copies();
  DeviceAccess access;
  work();
}

void fail_allocations(int count) { fail_allocations_after(0, count); }
void fail_allocations_after(int good, int count) {
  good_allocations = good;
  failing_allocations = count;
}
void fail_pinned(int count) { failing_pinned = count; }
void limit_memory(int64_t bytes) { memory_limit = bytes; }
int64_t device_bytes() {
  std::lock_guard lock(memory_mutex);
  return sum_of(device_blocks);
}
int64_t device_peak() { return std::exchange(peak, device_bytes()); }
int64_t pinned_bytes() { return sum_of(pinned_blocks); }
void fail_from_now_on(cudaError_t code) { sticky = code; }
void limit_shared(int bytes) { shared_limit = bytes; }
int graphs_launched() { return launched; }
int kernels_launched() { return kernels; }
void count_kernel() { ++kernels; }
void guard_device_memory(bool on) { guarded = on; }
DeviceAccess::DeviceAccess() {
  if (!guarded_blocks.empty()) protect_all(PROT_READ | PROT_WRITE);
}
DeviceAccess::~DeviceAccess() {
  if (!guarded_blocks.empty()) protect_all(PROT_NONE);
}

}  // namespace cuda_shim

const char* cudaGetErrorName(cudaError_t code) {
  switch (code) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    default:
      return "cudaErrorOther";
  }
}
const char* cudaGetErrorString(cudaError_t code) { return cudaGetErrorName(code); }
cudaError_t cudaGetLastError() { return sticky; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) { return *value = shared_limit, cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = static_cast<size_t>(memory_limit);
  *free = static_cast<size_t>(std::max<int64_t>(0, memory_limit - cuda_shim::device_bytes()));
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  if (this_thread_records) return cudaErrorStreamCaptureUnsupported;
  if (sticky != cudaSuccess) return sticky;
  if (good_allocations > 0) {
    --good_allocations;
  } else if (failing_allocations > 0) {
    return --failing_allocations, cudaErrorMemoryAllocation;
  }
  std::lock_guard lock(memory_mutex);
  if (sum_of(device_blocks) + static_cast<int64_t>(bytes) > memory_limit) return cudaErrorMemoryAllocation;
  if (guarded) {
    size_t whole = (bytes + 4095) / 4096 * 4096;
    *data = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*data == MAP_FAILED) return cudaErrorMemoryAllocation;
    guarded_blocks[*data] = {whole};
  } else {
    if (posix_memalign(data, 256, bytes) != 0) return cudaErrorMemoryAllocation;
    std::memset(*data, 0xff, bytes);  // as good as any: whoever needs zeros must write them
  }
  device_blocks[*data] = bytes;
  peak = std::max(peak, sum_of(device_blocks));
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  if (this_thread_records) return cudaErrorStreamCaptureUnsupported;
  finish_copies();
  std::lock_guard lock(memory_mutex);
  if (data && device_blocks.erase(data) == 0) return cudaErrorInvalidValue;
  auto block = guarded_blocks.find(data);
  if (block == guarded_blocks.end()) return std::free(data), sticky;
  munmap(data, block->second.bytes);
  guarded_blocks.erase(block);
  return sticky;
}

cudaError_t cudaMallocHost(void** data, size_t bytes) {
  if (sticky != cudaSuccess) return sticky;
  if (failing_pinned > 0) return --failing_pinned, cudaErrorMemoryAllocation;
  *data = std::malloc(bytes);
  if (!*data) return cudaErrorMemoryAllocation;
  std::memset(*data, 0xff, bytes);
  std::lock_guard lock(memory_mutex);
  pinned_blocks[*data] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  finish_copies();
  std::lock_guard lock(memory_mutex);
  pinned_blocks.erase(data);
  return std::free(data), sticky;
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  if (sticky != cudaSuccess) return sticky;
  if (bytes) cuda_shim::enqueue(stream, [=] { std::memset(data, value, bytes); });
  return cudaSuccess;
}

// Copies to or from the host are no part of a record, as their memory may be gone when it is run.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (sticky != cudaSuccess) return sticky;
  if (recording && stream == recorded_stream && kind != cudaMemcpyDeviceToDevice) return cudaErrorStreamCaptureUnsupported;
  if (bytes == 0) return cudaSuccess;
  if (is_pinned(kind == cudaMemcpyHostToDevice ? from : to)) return postpone([=] { std::memmove(to, from, bytes); }), cudaSuccess;
  cuda_shim::enqueue(stream, [=] { std::memmove(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  recorded_stream = stream;
  this_thread_records = true;
  recording = new std::vector<std::function<void()>>();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  *graph = new CudaShimGraph{std::move(*recording)};
  delete recording;
  recording = nullptr;
  this_thread_records = false;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned long long) {
  *ready = new CudaShimGraph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  if (sticky != cudaSuccess) return sticky;
  for (const auto& work : graph->work) cuda_shim::enqueue(stream, work);
  ++launched;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return delete graph, cudaSuccess; }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return *stream = new CudaShimStream, cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return delete stream, cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (recording && stream == recorded_stream) return cudaErrorStreamCaptureUnsupported;
  finish_copies();
  return sticky;
}
