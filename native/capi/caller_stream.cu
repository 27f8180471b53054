#include "capi/caller_stream.h"
#include "cuda/common.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace {

class OrderedByEvents final : public CallerStream {
 public:
  OrderedByEvents(cudaStream_t backend, cudaStream_t caller) : backend_(backend), caller_(caller) {
    cuda::check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
  }
  ~OrderedByEvents() override {
    if (event_) cudaEventDestroy(event_);
  }
  void before() override { wait(backend_, caller_); }
  void after() override { wait(caller_, backend_); }

 private:
  void wait(cudaStream_t waiting, cudaStream_t for_what) {
    cuda::check(cudaEventRecord(event_, for_what));
    cuda::check(cudaStreamWaitEvent(waiting, event_, 0));
  }
  cudaStream_t backend_, caller_;
  cudaEvent_t event_ = nullptr;
};

}  // namespace

std::unique_ptr<CallerStream> follow_stream(Backend& backend, void* stream) {
  return std::make_unique<OrderedByEvents>(static_cast<CudaBackend&>(backend).stream(), static_cast<cudaStream_t>(stream));
}

}  // namespace pk
