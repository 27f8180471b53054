// The runtime calls of cuda_runtime.h beside this file: memory is the heap's, streams do their work at once, a test may ask for failures.
#include <sys/mman.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "cuda_runtime.h"
#include "shim_control.h"

namespace {

int failing_allocations = 0;
cudaError_t sticky = cudaSuccess;
bool guarded = false;
int launched = 0;
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
std::map<void*, size_t> heap_blocks;
size_t memory_limit = size_t{1} << 33, memory_used = 0;

// One stream at a time is recorded; whoever adds to it adds to the record, as on a GPU.
std::vector<std::function<void()>>* recording = nullptr;
cudaStream_t recorded_stream = nullptr;
thread_local bool this_thread_records = false;

}  // namespace

struct CudaShimStream {};
struct CudaShimGraph {
  std::vector<std::function<void()>> work;
};

namespace cuda_shim {

void enqueue(cudaStream_t stream, std::function<void()> work) {
  if (recording && stream == recorded_stream) return recording->push_back(std::move(work));
  DeviceAccess access;
  work();
}

void fail_allocations(int count) { failing_allocations = count; }
void fail_from_now_on(cudaError_t code) { sticky = code; }
void limit_memory(size_t bytes) { memory_limit = bytes; }
size_t used_memory() { return memory_used; }
void limit_shared(int bytes) { shared_limit = bytes; }
int graphs_launched() { return launched; }
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
  *total = memory_limit;
  *free = memory_limit > memory_used ? memory_limit - memory_used : 0;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  if (this_thread_records) return cudaErrorStreamCaptureUnsupported;
  if (sticky != cudaSuccess) return sticky;
  if (failing_allocations > 0) return --failing_allocations, cudaErrorMemoryAllocation;
  if (guarded) {
    size_t whole = (bytes + 4095) / 4096 * 4096;
    void* pages = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return cudaErrorMemoryAllocation;
    guarded_blocks[pages] = {whole};
    return *data = pages, cudaSuccess;
  }
  std::lock_guard lock(memory_mutex);
  if (bytes > memory_limit || memory_used > memory_limit - bytes || posix_memalign(data, 256, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(*data, 0xff, bytes);  // as good as any: whoever needs zeros must write them
  heap_blocks[*data] = bytes;
  memory_used += bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  if (this_thread_records) return cudaErrorStreamCaptureUnsupported;
  auto block = guarded_blocks.find(data);
  if (block == guarded_blocks.end()) {
    std::lock_guard lock(memory_mutex);
    auto taken = heap_blocks.find(data);
    if (data && taken == heap_blocks.end()) return cudaErrorInvalidValue;
    if (data) memory_used -= taken->second, heap_blocks.erase(taken);
    return std::free(data), sticky;
  }
  munmap(data, block->second.bytes);
  guarded_blocks.erase(block);
  return sticky;
}

cudaError_t cudaMallocHost(void** data, size_t bytes) { return *data = std::malloc(bytes), *data ? cudaSuccess : cudaErrorMemoryAllocation; }
cudaError_t cudaFreeHost(void* data) { return std::free(data), cudaSuccess; }

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  if (sticky != cudaSuccess) return sticky;
  if (bytes) cuda_shim::enqueue(stream, [=] { std::memset(data, value, bytes); });
  return cudaSuccess;
}

// Copies to or from the host are no part of a record, as their memory may be gone when it is run.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (sticky != cudaSuccess) return sticky;
  if (recording && stream == recorded_stream && kind != cudaMemcpyDeviceToDevice) return cudaErrorStreamCaptureUnsupported;
  if (bytes) cuda_shim::enqueue(stream, [=] { std::memmove(to, from, bytes); });
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
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return recording && stream == recorded_stream ? cudaErrorStreamCaptureUnsupported : sticky; }
