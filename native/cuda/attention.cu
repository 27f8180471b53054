// Causal grouped-query attention over packed sequences, forward: a block takes kRows query tokens of one head and goes through
// the keys tile by tile (online softmax, Milakov & Gimelshein 2018; tiling of Dao 2023), so memory is linear in the length.
// bfloat16 with heads of 64 or 128 runs on tensor cores; everything else in attention_plain.cu.
#include "cuda/attention_plain.cuh"
#include "cuda/attention_tiles.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kWarp;
constexpr int kRows = 16 * kWarps;  // query tokens of a block
constexpr int kKeys = 64;           // keys of a tile

__global__ void plan_tiles_kernel(Tile* tiles, int64_t count, const int32_t* offsets, int64_t rows, int64_t size, bool descending) {
  __shared__ int32_t parts[kThreads];
  int64_t first = 0;
  for (int64_t row0 = 0; row0 < rows; row0 += kThreads) {
    int64_t row = row0 + threadIdx.x;
    int32_t number = row < rows ? static_cast<int32_t>((offsets[row + 1] - offsets[row] + size - 1) / size) : 0, before = 0, total = 0;
    __syncthreads();
    parts[threadIdx.x] = number;
    __syncthreads();
    for (int i = 0; i < kThreads; ++i) {
      if (i == static_cast<int>(threadIdx.x)) before = total;
      total += parts[i];
    }
    for (int32_t i = 0; i < number; ++i) tiles[first + before + i] = {static_cast<int32_t>(row), descending ? number - 1 - i : i};
    first += total;
  }
  for (int64_t i = first + threadIdx.x; i < count; i += kThreads) tiles[i] = {-1, 0};
}

// Grid: tiles x heads. Shared memory: kRows queries, two tiles of keys, two of values.
template <int HD>
__global__ void __launch_bounds__(kThreads)
    attention_kernel(bf16* out, float* lse, const bf16* qkv, const int32_t* offsets, const Tile* tiles, HeadShape shape) {
  Tile at = tiles[blockIdx.x];
  if (at.row < 0) return;
  bf16* queries = reinterpret_cast<bf16*>(dynamic_shared());
  bf16 *both_keys = queries + kRows * HD, *both_values = both_keys + 2 * kKeys * HD;
  auto keys = [&](int tile) { return both_keys + tile % 2 * kKeys * HD; };
  auto values = [&](int tile) { return both_values + tile % 2 * kKeys * HD; };
  int64_t head = blockIdx.y, kv_head = head / (shape.heads / shape.kv_heads), stride = shape.qkv_size();
  int64_t begin = offsets[at.row], length = offsets[at.row + 1] - begin, first = static_cast<int64_t>(at.index) * kRows;
  const bf16 *q = qkv + begin * stride + head * HD, *k = qkv + begin * stride + shape.q_size() + kv_head * HD, *v = k + shape.kv_size();
  int64_t last = first + kRows < length ? first + kRows : length;  // keys up to here are seen
  int key_tiles = static_cast<int>((last + kKeys - 1) / kKeys);
  auto fetch = [&](int tile) {
    int64_t key0 = static_cast<int64_t>(tile) * kKeys;
    load_tile<HD>(keys(tile), k + key0 * stride, stride, kKeys, length - key0, threadIdx.x, kThreads);
    load_tile<HD>(values(tile), v + key0 * stride, stride, kKeys, length - key0, threadIdx.x, kThreads);
    copy_commit();
  };
  load_tile<HD>(queries, q + first * stride, stride, kRows, length - first, threadIdx.x, kThreads);
  fetch(0);

  int lane = threadIdx.x % kWarp, row0 = static_cast<int>(threadIdx.x) / kWarp * 16;
  int64_t own = first + row0 + lane / 4;  // this lane's first query; the second is 8 later
  float scale = kLog2e / sqrtf(static_cast<float>(HD));
  SoftmaxState<HD> state;
  state.reset();
  for (int tile = 0; tile < key_tiles; ++tile) {
    int64_t key0 = static_cast<int64_t>(tile) * kKeys;
    if (tile + 1 < key_tiles) {
      fetch(tile + 1);
      copy_wait<1>();
    } else {
      copy_wait<0>();
    }
    __syncthreads();
    if (key0 < first + row0 + 16) {  // else all of it lies ahead of this warp's queries
      float scores[kKeys / 8][4];
      clear(scores);
      multiply_transposed<HD>(scores, queries, row0, keys(tile));
      if (key0 + kKeys > first + row0) {
#pragma unroll
        for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            if (key0 + 8 * j + lane % 4 * 2 + i % 2 > own + i / 2 * 8) scores[j][i] = -INFINITY;
      }
      state.add(scores, values(tile), scale);
    }
    __syncthreads();  // before the tile is overwritten
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    int64_t token = own + 8 * r;
    float sum = row_reduce(state.sum[r], Sum()), inverse = 1.0f / sum;
    if (token >= length) continue;
    bf16* to = out + (begin + token) * shape.q_size() + head * HD + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < HD / 8; ++j) *reinterpret_cast<uint32_t*>(to + 8 * j) = pack_bf16(state.out[j][2 * r] * inverse, state.out[j][2 * r + 1] * inverse);
    if (lse && lane % 4 == 0) lse[(begin + token) * shape.heads + head] = state.top[r] * scale * kLn2 + logf(sum);
  }
}

}  // namespace

void plan_tiles(cudaStream_t stream, Tile* tiles, int64_t count, const int32_t* offsets, int64_t rows, int64_t size, bool descending) {
  launch(stream, plan_tiles_kernel, 1, kThreads, 0, tiles, count, offsets, rows, size, descending);
}

}  // namespace cuda

using namespace cuda;

void CudaBackend::attention_forward(Tensor out, float* lse, Tensor qkv, const int32_t* offsets, int64_t rows, HeadShape shape) {
  begin("attention_forward", qkv.rows, shape.heads, shape.head_size);
  if (qkv.rows == 0) return;
  if (!has_tensor_path(qkv.dtype, shape)) return plain_attention_forward(stream_, out, lse, qkv, offsets, rows, shape);
  int64_t count = most_tiles(qkv.rows, rows, kRows);
  Tile* tiles = scratch_.take<Tile>(count);
  plan_tiles(stream_, tiles, count, offsets, rows, kRows, true);
  auto kernel = shape.head_size == 64 ? attention_kernel<64> : attention_kernel<128>;
  launch(stream_, kernel, grid_of(count, shape.heads), kThreads, (kRows + 4 * kKeys) * shape.head_size * 2, out.as<bf16>(), lse, qkv.as<const bf16>(), offsets,
         tiles, shape);
}

}  // namespace pk
