// Repeated ops as CUDA graphs: recorded when a key comes for the third time (by then memory is taken and products have their
// algorithms), launched as one from then on.
#include <map>

#include "cuda/common.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

namespace {

constexpr int kWarmUps = 2;
constexpr size_t kMostGraphs = 64;

class GraphRepeated final : public Repeated {
 public:
  explicit GraphRepeated(CudaBackend& backend) : backend_(backend) {}
  ~GraphRepeated() override { forget(); }
  bool records() const override { return true; }

  void run(const std::vector<int64_t>& key, const std::function<void()>& body) override {
    backend_.scratch().reset();
    if (backend_.scratch().generation() != generation_) forget();  // records point into scratch memory that has moved
    generation_ = backend_.scratch().generation();
    if (entries_.size() >= kMostGraphs && entries_.find(key) == entries_.end()) forget();
    Entry& entry = entries_[key];
    if (!entry.graph && entry.calls++ < kWarmUps) return body();
    if (!entry.graph) entry.graph = record(body);
    current_op = {"a recorded step", {0, 0, 0}};
    check(cudaGraphLaunch(entry.graph, backend_.stream()));
  }

 private:
  struct Entry {
    int calls = 0;
    cudaGraphExec_t graph = nullptr;
  };

  cudaGraphExec_t record(const std::function<void()>& body) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    check(cudaStreamBeginCapture(backend_.stream(), cudaStreamCaptureModeThreadLocal));
    try {
      body();
    } catch (...) {
      cudaStreamEndCapture(backend_.stream(), &graph);
      if (graph) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(backend_.stream(), &graph));
    cudaError_t code = cudaGraphInstantiate(&ready, graph, 0);
    cudaGraphDestroy(graph);
    check(code);
    return ready;
  }

  void forget() {
    for (auto& [key, entry] : entries_)
      if (entry.graph) cudaGraphExecDestroy(entry.graph);
    entries_.clear();
  }

  CudaBackend& backend_;
  std::map<std::vector<int64_t>, Entry> entries_;
  int64_t generation_ = 0;
};

}  // namespace

}  // namespace cuda

std::unique_ptr<Repeated> CudaBackend::make_repeated() { return std::make_unique<cuda::GraphRepeated>(*this); }

}  // namespace pk
