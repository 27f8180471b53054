// Takes the place of native/cuda/gemm.cu: the same products in plain loops, in float32.
#include "cuda/gemm.h"
#include "cuda_runtime.h"

namespace pk::cuda {

namespace {

float element(const Tensor& t, int64_t row, int64_t col) {
  int64_t at = row * t.cols + col;
  return t.dtype == DType::f32 ? t.as<float>()[at] : to_float(t.as<bf16>()[at]);
}

class LoopGemm final : public Gemm {
 public:
  void matmul(cudaStream_t stream, Tensor out, Tensor a, bool transpose_a, Tensor b, bool transpose_b, const void* bias, bool accumulate) override {
    cuda_shim::enqueue(stream, [=] { multiply(out, a, transpose_a, b, transpose_b, bias, accumulate); });
  }

 private:
  static void multiply(Tensor out, Tensor a, bool transpose_a, Tensor b, bool transpose_b, const void* bias, bool accumulate) {
    int64_t depth = transpose_a ? a.rows : a.cols;
    Tensor bias_row(const_cast<void*>(bias), out.dtype, 1, out.cols);
    for (int64_t i = 0; i < out.rows; ++i)
      for (int64_t j = 0; j < out.cols; ++j) {
        float sum = 0;
        for (int64_t k = 0; k < depth; ++k) sum += (transpose_a ? element(a, k, i) : element(a, i, k)) * (transpose_b ? element(b, j, k) : element(b, k, j));
        if (accumulate) sum += element(out, i, j);
        if (bias) sum += element(bias_row, 0, j);
        if (out.dtype == DType::f32)
          out.as<float>()[i * out.cols + j] = sum;
        else
          out.as<bf16>()[i * out.cols + j] = to_bf16(sum);
      }
  }
};

}  // namespace

std::unique_ptr<Gemm> make_gemm() { return std::make_unique<LoopGemm>(); }

}  // namespace pk::cuda
