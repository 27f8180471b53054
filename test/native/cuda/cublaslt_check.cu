// Compile-only: the declarations of native/cuda/cublaslt.h against NVIDIA's header. By hand, where there is one (package nvidia-cublas):
// nvcc -std=c++17 -I native -I FOLDER_OF_THE_HEADER -c test/native/cuda/cublaslt_check.cu -o /dev/null
#include <cublasLt.h>

#include <type_traits>

#include "cuda/cublaslt.h"

namespace pk::cuda::lt {

static_assert(kSuccess == static_cast<int>(CUBLAS_STATUS_SUCCESS) && sizeof(Status) == sizeof(cublasStatus_t));
static_assert(kOpNone == static_cast<int>(CUBLAS_OP_N) && kOpTranspose == static_cast<int>(CUBLAS_OP_T) && sizeof(cublasOperation_t) == sizeof(int32_t));
static_assert(kCompute32f == static_cast<int>(CUBLAS_COMPUTE_32F));
static_assert(kDescTransA == static_cast<int>(CUBLASLT_MATMUL_DESC_TRANSA) && kDescTransB == static_cast<int>(CUBLASLT_MATMUL_DESC_TRANSB));
static_assert(kDescEpilogue == static_cast<int>(CUBLASLT_MATMUL_DESC_EPILOGUE) && kDescBiasPointer == static_cast<int>(CUBLASLT_MATMUL_DESC_BIAS_POINTER));
static_assert(kEpilogueDefault == static_cast<uint32_t>(CUBLASLT_EPILOGUE_DEFAULT) && kEpilogueBias == static_cast<uint32_t>(CUBLASLT_EPILOGUE_BIAS));
static_assert(kPrefWorkspaceBytes == static_cast<int>(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) &&
              kPrefReductionMask == static_cast<int>(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK));
static_assert(kPrefAlignmentA == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES) &&
              kPrefAlignmentB == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES));
static_assert(kPrefAlignmentC == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES) &&
              kPrefAlignmentD == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES));
static_assert(kReductionNone == static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE) &&
              kReductionComputeType == static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(Heuristic, workspace) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(Heuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));

}  // namespace pk::cuda::lt
