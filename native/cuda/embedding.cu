// Token embedding, and rows picked from and put back into a matrix.
#include "cuda/common.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kRankThreads = 128;
constexpr int kAhead = 8;  // rows of one token that are on their way at once

template <int n, class T>
__global__ void embedding_forward_kernel(float* out, const int32_t* tokens, const T* weight, int64_t c) {
  const T* from = weight + tokens[blockIdx.x] * c;
  for (int64_t j = threadIdx.x * n; j < c; j += blockDim.x * n) {
    float values[n];
    load_floats(values, from + j);
    store_floats(out + blockIdx.x * c + j, values);
  }
}

// ranks[i] += how many tokens of this block's part sort before token i, by (id, place). Counts, so their order does not matter.
__global__ void rank_tokens_kernel(int32_t* ranks, const int32_t* tokens, int64_t n, int64_t part) {
  __shared__ int32_t others[kRankThreads];
  int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, begin = blockIdx.y * part, end = begin + part < n ? begin + part : n;
  int32_t token = i < n ? tokens[i] : 0, rank = 0;
  for (int64_t at = begin; at < end; at += kRankThreads) {
    __syncthreads();
    if (at + threadIdx.x < end) others[threadIdx.x] = tokens[at + threadIdx.x];
    __syncthreads();
    int count = static_cast<int>(end - at < kRankThreads ? end - at : kRankThreads);
    for (int k = 0; k < count; ++k) rank += others[k] < token || (others[k] == token && at + k < i);
  }
  if (i < n && rank > 0) atomicAdd(ranks + i, rank);
}

__global__ void order_tokens_kernel(int32_t* order, const int32_t* ranks, int64_t n) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) order[ranks[i]] = static_cast<int32_t>(i);
}

// Block p of x works if place p begins the run of one token id: adds that token's rows in their order.
__global__ void embedding_backward_kernel(float* d_weight, const float* d_out, const int32_t* tokens, const int32_t* order, int64_t n, int64_t c) {
  int64_t p = blockIdx.x, j = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  int32_t token = tokens[order[p]];
  if ((p > 0 && tokens[order[p - 1]] == token) || j >= c) return;
  float sum = d_weight[token * c + j];
  for (bool more = true; more; p += kAhead) {
    int32_t at[kAhead];
    float values[kAhead];
    bool own[kAhead];  // true up to the end of the run
    for (int k = 0; k < kAhead; ++k) at[k] = p + k < n ? order[p + k] : -1;
    for (int k = 0; k < kAhead; ++k) own[k] = at[k] >= 0 && tokens[at[k]] == token;
    for (int k = 0; k < kAhead; ++k) values[k] = own[k] ? d_out[at[k] * c + j] : 0;
    for (int k = 0; k < kAhead; ++k)
      if (own[k]) sum += values[k];
    more = own[kAhead - 1];
  }
  d_weight[token * c + j] = sum;
}

// Copies rows of `width` units: out[r] = in[rows[r]], or out[rows[r]] = in[r].
template <class Unit, bool scatter>
__global__ void move_rows_kernel(Unit* out, const Unit* in, const int32_t* rows, int64_t width) {
  int64_t near = blockIdx.x, far = rows[near];
  const Unit* from = in + (scatter ? near : far) * width;
  Unit* to = out + (scatter ? far : near) * width;
  for (int64_t j = threadIdx.x; j < width; j += blockDim.x) to[j] = from[j];
}

template <bool scatter>
void move_rows(cudaStream_t stream, Tensor out, Tensor in, const int32_t* rows, int64_t count) {
  int64_t bytes = in.cols * dtype_size(in.dtype);
  if (bytes % 16 == 0)
    launch(stream, move_rows_kernel<uint4, scatter>, grid_of(count), 128, 0, out.as<uint4>(), in.as<const uint4>(), rows, bytes / 16);
  else
    launch(stream, move_rows_kernel<uint16_t, scatter>, grid_of(count), 128, 0, out.as<uint16_t>(), in.as<const uint16_t>(), rows, bytes / 2);
}

}  // namespace

}  // namespace cuda

using namespace cuda;

void CudaBackend::embedding_forward(Tensor out, const int32_t* tokens, Tensor weight) {
  begin("embedding_forward", out.rows, out.cols);
  dispatch(weight.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    auto kernel = out.cols % 4 == 0 ? embedding_forward_kernel<4, T> : embedding_forward_kernel<1, T>;
    launch(stream_, kernel, grid_of(out.rows), kThreads, 0, out.f32(), tokens, weight.as<const T>(), out.cols);
  });
}

// Rows of one token id are added one after another, in the order of the batch: no float atomics, the same bits every time.
void CudaBackend::embedding_backward(float* d_weight, Tensor d_out, const int32_t* tokens, int64_t /*vocab*/) {
  int64_t n = d_out.rows, c = d_out.cols;
  begin("embedding_backward", n, c);
  if (n == 0) return;
  int32_t *ranks = scratch_.take<int32_t>(n), *order = scratch_.take<int32_t>(n);
  check(cudaMemsetAsync(ranks, 0, static_cast<size_t>(n) * sizeof(int32_t), stream_));
  int64_t blocks = ceil_div(n, kRankThreads), parts = ceil_div(n, 4096);
  launch(stream_, rank_tokens_kernel, grid_of(blocks, parts), kRankThreads, 0, ranks, tokens, n, 4096);
  launch(stream_, order_tokens_kernel, grid_of(blocks), kRankThreads, 0, order, ranks, n);
  launch(stream_, embedding_backward_kernel, grid_of(n, ceil_div(c, kThreads)), kThreads, 0, d_weight, d_out.f32(), tokens, order, n, c);
}

void CudaBackend::gather_rows(Tensor out, Tensor in, const int32_t* rows) {
  begin("gather_rows", out.rows, out.cols);
  move_rows<false>(stream_, out, in, rows, out.rows);
}

void CudaBackend::scatter_rows(Tensor out, Tensor in, const int32_t* rows) {
  begin("scatter_rows", in.rows, in.cols);
  check(cudaMemsetAsync(out.data, 0, static_cast<size_t>(out.bytes()), stream_));
  move_rows<true>(stream_, out, in, rows, in.rows);
}

}  // namespace pk
