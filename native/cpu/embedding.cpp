// Token embedding, and rows picked from and put back into a matrix.
#include <cstring>

#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/dispatch.h"

namespace pk {

void CpuBackend::embedding_forward(Tensor out, const int32_t* tokens, Tensor weight) {
  int64_t c = out.cols;
  dispatch(weight.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    parallel_for(out.rows, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* to = out.f32() + i * c;
        const T* from = weight.as<T>() + tokens[i] * c;
#pragma omp simd
        for (int64_t j = 0; j < c; ++j) to[j] = to_float(from[j]);
      }
    });
  });
}

// Threads share out the columns, so that a token that occurs often is summed in token order by one thread.
void CpuBackend::embedding_backward(float* d_weight, Tensor d_out, const int32_t* tokens, int64_t /*vocab*/) {
  int64_t c = d_out.cols;
  parallel_for(c, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < d_out.rows; ++i) {
      float* to = d_weight + tokens[i] * c;
      const float* from = d_out.f32() + i * c;
      for (int64_t j = begin; j < end; ++j) to[j] += from[j];
    }
  });
}

void CpuBackend::gather_rows(Tensor out, Tensor in, const int32_t* rows) {
  int64_t width = in.cols * dtype_size(in.dtype);
  parallel_for(out.rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) std::memcpy(out.as<char>() + i * width, in.as<char>() + rows[i] * width, static_cast<size_t>(width));
  });
}

void CpuBackend::scatter_rows(Tensor out, Tensor in, const int32_t* rows) {
  int64_t width = in.cols * dtype_size(in.dtype);
  zero(out.data, out.bytes());
  parallel_for(in.rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) std::memcpy(out.as<char>() + rows[i] * width, in.as<char>() + i * width, static_cast<size_t>(width));
  });
}

}  // namespace pk
