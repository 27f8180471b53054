// Matrix products for the CUDA backend. gemm.cu computes them with cuBLASLt, found at run time; the tests put plain loops here.
#pragma once
#include <cuda_runtime.h>

#include <memory>

#include "core/tensor.h"

namespace pk::cuda {

class Gemm {
 public:
  virtual ~Gemm() = default;
  // As Backend::matmul. bias has the type of out, [out.cols] or null.
  virtual void matmul(cudaStream_t stream, Tensor out, Tensor a, bool transpose_a, Tensor b, bool transpose_b, const void* bias, bool accumulate) = 0;
};

// Throws ERR_UNSUPPORTED, naming the places looked in, when there is no cuBLASLt.
std::unique_ptr<Gemm> make_gemm();

}  // namespace pk::cuda
