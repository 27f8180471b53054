// The part of NVIDIA's cuBLASLt that gemm.cu calls, declared here so that building needs no header of it, and found when it is
// first needed, so that nothing but matrix products needs the library (versions 12 and 13). test/native/cuda/cublaslt_check.cu holds
// the numbers to the real header where there is one.
#pragma once
#include <library_types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pk::cuda::lt {

using Status = int;
using Handle = void*;
using MatmulDesc = void*;
using MatrixLayout = void*;
using Preference = void*;
struct Stream;  // a cudaStream_t

constexpr Status kSuccess = 0;
constexpr int32_t kOpNone = 0, kOpTranspose = 1;
constexpr int kCompute32f = 68;
constexpr int kDescTransA = 3, kDescTransB = 4, kDescEpilogue = 7, kDescBiasPointer = 8;
constexpr uint32_t kEpilogueDefault = 1, kEpilogueBias = 4;
constexpr int kPrefWorkspaceBytes = 1, kPrefReductionMask = 3, kPrefAlignmentA = 5, kPrefAlignmentB = 6, kPrefAlignmentC = 7, kPrefAlignmentD = 8;
constexpr uint32_t kReductionNone = 0, kReductionComputeType = 2;

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};

struct Functions {
  Status (*create)(Handle*);
  Status (*destroy)(Handle);
  size_t (*version)();
  Status (*desc_create)(MatmulDesc*, int compute_type, cudaDataType_t scale_type);
  Status (*desc_destroy)(MatmulDesc);
  Status (*desc_set)(MatmulDesc, int attribute, const void* value, size_t bytes);
  Status (*layout_create)(MatrixLayout*, cudaDataType_t type, uint64_t rows, uint64_t cols, int64_t leading);
  Status (*layout_destroy)(MatrixLayout);
  Status (*preference_create)(Preference*);
  Status (*preference_destroy)(Preference);
  Status (*preference_set)(Preference, int attribute, const void* value, size_t bytes);
  Status (*heuristic)(Handle, MatmulDesc, MatrixLayout a, MatrixLayout b, MatrixLayout c, MatrixLayout d, Preference, int requested, Heuristic*, int* found);
  Status (*matmul)(Handle, MatmulDesc, const void* alpha, const void* a, MatrixLayout, const void* b, MatrixLayout, const void* beta, const void* c,
                   MatrixLayout, void* d, MatrixLayout, const Algorithm*, void* workspace, size_t workspace_bytes, Stream*);
  std::string path;  // of the library
};

// Files to try, in order: PRIMEKIT_CUBLASLT alone when it is set; else what the loader finds by name, CUDA toolkits, Python packages.
std::vector<std::string> candidates();
// Throws ERR_UNSUPPORTED when none of them can be loaded.
const Functions& load();

}  // namespace pk::cuda::lt
