// Kernels that several ops launch: casts, and sums over the rows of a matrix in a fixed order.
#pragma once
#include "cuda/common.cuh"

namespace pk::cuda {

// float32 to bfloat16 or back, or a copy.
void launch_cast(cudaStream_t stream, Tensor out, Tensor in);

// out[cols] += sums over the rows of in. `partial` is scratch of column_sum_scratch(rows, cols) floats.
int64_t column_sum_scratch(int64_t rows, int64_t cols);
void launch_column_sum(cudaStream_t stream, float* out, float* partial, Tensor in);

}  // namespace pk::cuda
