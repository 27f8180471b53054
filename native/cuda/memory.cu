// Set-up, memory and errors of the CUDA backend.
#include "cuda/common.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

std::string place_of_op() {
  std::string shape;
  for (int64_t size : current_op.shape)
    if (size > 0) shape += (shape.empty() ? "" : " x ") + std::to_string(size);
  return std::string(current_op.name) + (shape.empty() ? "" : " [" + shape + "]");
}

namespace {

// After these nothing works in this process any more.
bool is_lost(cudaError_t code) {
  return code == cudaErrorIllegalAddress || code == cudaErrorLaunchTimeout || code == cudaErrorHardwareStackError || code == cudaErrorIllegalInstruction ||
         code == cudaErrorMisalignedAddress || code == cudaErrorLaunchFailure || code == cudaErrorECCUncorrectable;
}

}  // namespace

void check(cudaError_t code) {
  if (code == cudaSuccess) return;
  std::string words = std::string(cudaGetErrorName(code)) + ", " + cudaGetErrorString(code);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // this one does not stick
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Error(
        "ERR_OUT_OF_MEMORY",
        "The GPU has not enough memory for " + place_of_op() + ": " + std::to_string(free >> 20) + " MiB of " + std::to_string(total >> 20) +
            " MiB are free. Less is needed with smaller batches, fewer decoding slots, bfloat16 moments, recompute, or models that take turns (offload).");
  }
  if (is_lost(code)) throw Error("ERR_DEVICE_LOST", "The GPU stopped working (" + words + ", noticed in " + place_of_op() + "): restart the process.");
  cudaGetLastError();
  throw Error("ERR_CUDA", "CUDA reported " + words + " in " + place_of_op() + ".");
}

Scratch::~Scratch() { free_blocks(); }

void Scratch::free_blocks() noexcept {
  for (const Block& block : blocks_) cudaFree(block.data);
  blocks_.clear();
  used_ = 0;
  ++generation_;
}

int64_t Scratch::bytes() const {
  int64_t total = 0;
  for (const Block& block : blocks_) total += block.size;
  return total;
}

void Scratch::reset() {
  if (blocks_.size() > 1) {
    int64_t total = bytes();
    free_blocks();  // cudaFree waits for the work that uses it
    take_bytes(total);
  }
  used_ = 0;
}

void* Scratch::take_bytes(int64_t bytes) {
  int64_t size = ceil_div(bytes > 0 ? bytes : 1, 256) * 256;
  if (blocks_.empty() || used_ + size > blocks_.back().size) {
    void* data = nullptr;
    int64_t whole = size > (int64_t{1} << 20) ? size : int64_t{1} << 20;
    check(cudaMalloc(&data, static_cast<size_t>(whole)));
    blocks_.push_back({static_cast<char*>(data), whole});
    used_ = 0;
    ++generation_;
  }
  void* at = blocks_.back().data + used_;
  used_ += size;
  return at;
}

}  // namespace cuda

using cuda::check;

CudaBackend::CudaBackend() {
  int devices = 0;
  cudaError_t code = cudaGetDeviceCount(&devices);
  if (code == cudaErrorInsufficientDriver || code == cudaErrorNoDevice || (code == cudaSuccess && devices == 0)) {
    cudaGetLastError();
    throw Error("ERR_UNSUPPORTED", code == cudaErrorInsufficientDriver ? "There is no NVIDIA driver on this machine, or it is too old for this build's CUDA."
                                                                       : "The NVIDIA driver sees no GPU.");
  }
  cuda::current_op = {};
  check(code);
  check(cudaSetDevice(0));
  check(cudaDeviceGetAttribute(&max_shared_, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  check(cudaStreamCreateWithFlags(&set_up_stream_, cudaStreamNonBlocking));
}

CudaBackend::~CudaBackend() {
  for (cudaStream_t stream : {stream_, set_up_stream_})
    if (stream) cudaStreamDestroy(stream);
}

void CudaBackend::begin(const char* name, int64_t a, int64_t b, int64_t c) {
  cuda::current_op = {name, {a, b, c}};
  scratch_.reset();
}

void* CudaBackend::allocate(int64_t bytes) {
  cuda::current_op = {"an allocation of bytes", {bytes, 0, 0}};
  void* data = nullptr;
  check(cudaMalloc(&data, static_cast<size_t>(bytes > 0 ? bytes : 1)));
  // On a stream of its own: a model is made on another thread than its ops run on, where they may just be recorded (repeated.cu).
  cudaError_t code = cudaMemsetAsync(data, 0, static_cast<size_t>(bytes), set_up_stream_);
  if (code == cudaSuccess) code = cudaStreamSynchronize(set_up_stream_);
  if (code != cudaSuccess) release(data);
  check(code);
  return data;
}

// Also called while an error unwinds or the process ends, when there may be no device to speak to any more.
void CudaBackend::release(void* data) noexcept {
  if (data && cudaFree(data) != cudaSuccess) cudaGetLastError();
}

void CudaBackend::zero(void* data, int64_t bytes) {
  cuda::current_op = {"zero", {bytes, 0, 0}};
  check(cudaMemsetAsync(data, 0, static_cast<size_t>(bytes), stream_));
}

void CudaBackend::copy(void* to, const void* from, int64_t bytes) {
  cuda::current_op = {"copy", {bytes, 0, 0}};
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream_));
}

// From pageable memory the call returns when the bytes have been taken, so the caller may reuse its array at once.
void CudaBackend::copy_from_host(void* to, const void* from, int64_t bytes) {
  cuda::current_op = {"copy_from_host", {bytes, 0, 0}};
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_));
}

void CudaBackend::copy_to_host(void* to, const void* from, int64_t bytes) {
  cuda::current_op = {"copy_to_host", {bytes, 0, 0}};
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream_));
  check(cudaStreamSynchronize(stream_));
}

void* CudaBackend::allocate_pinned(int64_t bytes) {
  cuda::current_op = {"an allocation of pinned memory of the host, of bytes", {bytes, 0, 0}};
  void* data = nullptr;
  cudaError_t code = cudaMallocHost(&data, static_cast<size_t>(bytes > 0 ? bytes : 1));
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw Error("ERR_OUT_OF_MEMORY", "The machine could not pin " + std::to_string(bytes >> 20) + " MiB of its memory for what is moved off the GPU.");
  }
  check(code);
  return data;
}

// As release(). Copies from it have been done: whoever owns it has freed the device's memory that they went to.
void CudaBackend::release_pinned(void* data) noexcept {
  if (data && cudaFreeHost(data) != cudaSuccess) cudaGetLastError();
}

void CudaBackend::start_copy_to_pinned(void* to, const void* from, int64_t bytes) {
  cuda::current_op = {"start_copy_to_pinned", {bytes, 0, 0}};
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream_));
}

void CudaBackend::start_copy_from_pinned(void* to, const void* from, int64_t bytes) {
  cuda::current_op = {"start_copy_from_pinned", {bytes, 0, 0}};
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_));
}

void CudaBackend::wait() {
  cuda::current_op = {"wait"};
  check(cudaStreamSynchronize(stream_));
}

void CudaBackend::read_doubles(double* to, const double* from, int64_t count) {
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(count) * sizeof(double), cudaMemcpyDeviceToHost, stream_));
  check(cudaStreamSynchronize(stream_));
}

std::unique_ptr<Backend> make_cuda_backend() { return std::make_unique<CudaBackend>(); }

}  // namespace pk
