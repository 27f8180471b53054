// RMSNorm fused with the residual addition before it, and its backward fused with the residual gradient. One block per row,
// in the backward one block per some rows, whose weight gradients it sums first.
#include <algorithm>

#include "cuda/cuda_backend.h"
#include "cuda/elementwise.cuh"

namespace pk {

namespace cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kBackwardBlocks = 768;  // six for each of 128 multiprocessors: about as many as run at once

// A thread keeps its first kKept pieces of the row in registers between the two passes, which is all of them up to 2048 columns.
template <int n, class T>
__global__ void __launch_bounds__(kThreads, 5)
    rmsnorm_kernel(T* normed, float* rstd, float* x_out, const float* x_in, const T* delta, const float* weight, int64_t c, float eps) {
  constexpr int64_t kStep = kThreads * n;
  constexpr int kKept = n == 4 ? 2 : 1;
  int64_t row = blockIdx.x * c, first = threadIdx.x * n;
  float squares = 0, kept[kKept][n];
  auto read = [&](float(&x)[n], int64_t j) {
    load_floats(x, x_in + row + j);
    if (delta) {
      float d[n];
      load_floats(d, delta + row + j);
      for (int k = 0; k < n; ++k) x[k] += d[k];
    }
    store_floats(x_out + row + j, x);
    for (int k = 0; k < n; ++k) squares += x[k] * x[k];
  };
#pragma unroll
  for (int i = 0; i < kKept; ++i)
    if (first + i * kStep < c) read(kept[i], first + i * kStep);
  for (int64_t j = first + kKept * kStep; j < c; j += kStep) {
    float x[n];
    read(x, j);
  }
  float r = 1.0f / sqrtf(block_sum(squares) / static_cast<float>(c) + eps);
  if (threadIdx.x == 0) rstd[blockIdx.x] = r;
  auto write = [&](float(&x)[n], int64_t j) {
    for (int k = 0; k < n; ++k) x[k] = x[k] * r * weight[j + k];
    store_floats(normed + row + j, x);
  };
#pragma unroll
  for (int i = 0; i < kKept; ++i)
    if (first + i * kStep < c) write(kept[i], first + i * kStep);
  for (int64_t j = first + kKept * kStep; j < c; j += kStep) {
    float x[n];
    load_floats(x, x_out + row + j);  // what this thread wrote
    write(x, j);
  }
}

// partial[blockIdx.x][c]: this block's sum of d_normed * x * rstd. Shared memory: c floats.
template <int n, class T>
__global__ void __launch_bounds__(kThreads) rmsnorm_backward_kernel(float* d_x, T* d_x_cast, float* partial, const T* d_normed, const float* x,
                                                                    const float* weight, const float* rstd, int64_t rows, int64_t c) {
  float* d_weight = reinterpret_cast<float*>(dynamic_shared());
  for (int64_t j = threadIdx.x * n; j < c; j += kThreads * n)
    for (int k = 0; k < n; ++k) d_weight[j + k] = 0;
  for (int64_t i = blockIdx.x; i < rows; i += gridDim.x) {
    int64_t row = i * c;
    float r = rstd[i], dot = 0;
    for (int64_t j = threadIdx.x * n; j < c; j += kThreads * n) {
      float g[n], at[n];
      load_floats(g, d_normed + row + j);
      load_floats(at, x + row + j);
      for (int k = 0; k < n; ++k) dot += g[k] * weight[j + k] * at[k];
    }
    float scale = block_sum(dot) * r * r * r / static_cast<float>(c);
    for (int64_t j = threadIdx.x * n; j < c; j += kThreads * n) {
      float g[n], at[n], d[n];
      load_floats(g, d_normed + row + j);
      load_floats(at, x + row + j);
      load_floats(d, d_x + row + j);
      for (int k = 0; k < n; ++k) {
        d_weight[j + k] += g[k] * at[k] * r;
        d[k] += g[k] * weight[j + k] * r - at[k] * scale;
      }
      store_floats(d_x + row + j, d);
      if (d_x_cast) store_floats(d_x_cast + row + j, d);
    }
  }
  for (int64_t j = threadIdx.x * n; j < c; j += kThreads * n)
    for (int k = 0; k < n; ++k) partial[blockIdx.x * c + j + k] = d_weight[j + k];
}

}  // namespace

}  // namespace cuda

using namespace cuda;

void CudaBackend::rmsnorm_forward(Tensor normed, float* rstd, Tensor x_out, Tensor x_in, Tensor delta, const float* weight, float eps) {
  begin("rmsnorm_forward", normed.rows, normed.cols);
  dispatch(normed.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    auto kernel = normed.cols % 4 == 0 ? rmsnorm_kernel<4, T> : rmsnorm_kernel<1, T>;
    launch(stream_, kernel, grid_of(normed.rows), kThreads, 0, normed.as<T>(), rstd, x_out.f32(), x_in.f32(), delta.as<const T>(), weight, normed.cols, eps);
  });
}

void CudaBackend::rmsnorm_backward(Tensor d_x, Tensor d_x_cast, float* d_weight, Tensor d_normed, Tensor x, const float* weight, const float* rstd) {
  int64_t rows = d_x.rows, c = d_x.cols, blocks = std::min(rows, kBackwardBlocks);
  begin("rmsnorm_backward", rows, c);
  if (rows == 0) return;
  float* partial = scratch_.take<float>(blocks * c);
  dispatch(d_normed.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    auto kernel = c % 4 == 0 ? rmsnorm_backward_kernel<4, T> : rmsnorm_backward_kernel<1, T>;
    launch(stream_, kernel, grid_of(blocks), kThreads, c * 4, d_x.f32(), d_x_cast.as<T>(), partial, d_normed.as<const T>(), x.f32(), weight, rstd, rows, c);
  });
  launch_column_sum(stream_, d_weight, scratch_.take<float>(column_sum_scratch(blocks, c)), Tensor(partial, blocks, c));
}

}  // namespace pk
