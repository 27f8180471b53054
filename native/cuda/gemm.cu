// Matrix products by cuBLASLt, in float32 accumulation. A product's algorithm is chosen once, by the library's heuristic for its
// shape, and kept, so that a run repeats bit for bit.
#include <algorithm>
#include <map>
#include <tuple>

#include "cuda/common.cuh"
#include "cuda/cublaslt.h"
#include "cuda/gemm.h"

namespace pk::cuda {

namespace {

constexpr size_t kWorkspace = size_t{32} << 20;

void check_lt(lt::Status status, const char* call) {
  if (status != lt::kSuccess)
    throw Error("ERR_CUDA", std::string("cuBLASLt's ") + call + " returned status " + std::to_string(status) + " in " + place_of_op() + ".");
}

cudaDataType_t type_of(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

// Largest power of two, up to 256, that divides an address.
uint32_t alignment_of(const void* data) {
  auto address = reinterpret_cast<uintptr_t>(data);
  uint32_t alignment = 256;
  while (alignment > 1 && address % alignment != 0) alignment /= 2;
  return alignment;
}

// What a product's algorithm depends on: types, shapes, transposes, bias, accumulation, alignments.
using Key = std::tuple<DType, DType, int64_t, int64_t, int64_t, bool, bool, bool, bool, uint32_t, uint32_t, uint32_t>;

struct Plan {
  lt::MatmulDesc desc = nullptr;
  lt::MatrixLayout first = nullptr, second = nullptr, result = nullptr;
  lt::Algorithm algorithm{};
};

class LtGemm final : public Gemm {
 public:
  LtGemm() : lt_(lt::load()) {
    check_lt(lt_.create(&handle_), "cublasLtCreate");
    check(cudaMalloc(&workspace_, kWorkspace));
  }
  ~LtGemm() override {
    for (auto& [key, plan] : plans_) destroy(plan);
    cudaFree(workspace_);
    lt_.destroy(handle_);
  }

  // cuBLASLt's matrices are column-major: our row-major [rows, cols] is its [cols, rows], so it computes out^T = op(b)^T op(a)^T.
  void matmul(cudaStream_t stream, Tensor out, Tensor a, bool transpose_a, Tensor b, bool transpose_b, const void* bias, bool accumulate) override {
    Key key{a.dtype,
            out.dtype,
            out.rows,
            out.cols,
            transpose_a ? a.rows : a.cols,
            transpose_a,
            transpose_b,
            bias != nullptr,
            accumulate,
            alignment_of(a.data),
            alignment_of(b.data),
            alignment_of(out.data)};
    auto found = plans_.find(key);
    if (found == plans_.end()) found = plans_.emplace(key, make_plan(out, a, transpose_a, b, transpose_b, bias)).first;
    const Plan& plan = found->second;
    if (bias) check_lt(lt_.desc_set(plan.desc, lt::kDescBiasPointer, &bias, sizeof bias), "cublasLtMatmulDescSetAttribute");
    float one = 1.0f, beta = accumulate ? 1.0f : 0.0f;
    check_lt(lt_.matmul(handle_, plan.desc, &one, b.data, plan.first, a.data, plan.second, &beta, out.data, plan.result, out.data, plan.result, &plan.algorithm,
                        workspace_, kWorkspace, reinterpret_cast<lt::Stream*>(stream)),
             "cublasLtMatmul");
  }

 private:
  void destroy(Plan& plan) {
    if (plan.desc) lt_.desc_destroy(plan.desc);
    for (lt::MatrixLayout layout : {plan.first, plan.second, plan.result})
      if (layout) lt_.layout_destroy(layout);
  }

  lt::MatrixLayout layout_of(Tensor t) const {
    lt::MatrixLayout layout = nullptr;
    check_lt(lt_.layout_create(&layout, type_of(t.dtype), static_cast<uint64_t>(t.cols), static_cast<uint64_t>(t.rows), t.cols), "cublasLtMatrixLayoutCreate");
    return layout;
  }

  Plan make_plan(Tensor out, Tensor a, bool transpose_a, Tensor b, bool transpose_b, const void* bias) {
    Plan plan;
    try {
      auto set = [&](int attribute, auto value) { check_lt(lt_.desc_set(plan.desc, attribute, &value, sizeof value), "cublasLtMatmulDescSetAttribute"); };
      check_lt(lt_.desc_create(&plan.desc, lt::kCompute32f, CUDA_R_32F), "cublasLtMatmulDescCreate");
      set(lt::kDescTransA, transpose_b ? lt::kOpTranspose : lt::kOpNone);
      set(lt::kDescTransB, transpose_a ? lt::kOpTranspose : lt::kOpNone);
      set(lt::kDescEpilogue, bias ? lt::kEpilogueBias : lt::kEpilogueDefault);
      if (bias) set(lt::kDescBiasPointer, bias);
      plan.first = layout_of(b);
      plan.second = layout_of(a);
      plan.result = layout_of(out);
      plan.algorithm = choose(plan, out, a, b);
    } catch (...) {
      destroy(plan);
      throw;
    }
    return plan;
  }

  lt::Algorithm choose(const Plan& plan, Tensor out, Tensor a, Tensor b) {
    lt::Preference preference = nullptr;
    check_lt(lt_.preference_create(&preference), "cublasLtMatmulPreferenceCreate");
    auto set = [&](int attribute, auto value) { lt_.preference_set(preference, attribute, &value, sizeof value); };
    set(lt::kPrefWorkspaceBytes, kWorkspace);
    set(lt::kPrefReductionMask, lt::kReductionNone | lt::kReductionComputeType);  // partial sums in float32 only
    set(lt::kPrefAlignmentA, alignment_of(b.data));
    set(lt::kPrefAlignmentB, alignment_of(a.data));
    set(lt::kPrefAlignmentC, alignment_of(out.data));
    set(lt::kPrefAlignmentD, alignment_of(out.data));
    lt::Heuristic best{};
    int found = 0;
    lt::Status status = lt_.heuristic(handle_, plan.desc, plan.first, plan.second, plan.result, plan.result, preference, 1, &best, &found);
    lt_.preference_destroy(preference);
    check_lt(status, "cublasLtMatmulAlgoGetHeuristic");
    if (found == 0) throw Error("ERR_UNSUPPORTED", "cuBLASLt (" + lt_.path + ") has no algorithm for " + place_of_op() + ".");
    return best.algorithm;
  }

  const lt::Functions& lt_;
  lt::Handle handle_ = nullptr;
  void* workspace_ = nullptr;
  std::map<Key, Plan> plans_;
};

}  // namespace

std::unique_ptr<Gemm> make_gemm() { return std::make_unique<LtGemm>(); }

}  // namespace pk::cuda
