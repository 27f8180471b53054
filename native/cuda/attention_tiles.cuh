// What the tensor-core attention kernels share: tiles of rows in shared memory, products of 16 rows of one warp with a tile, the
// online softmax, and the list of tiles of a packed batch. Shared memory holds rows of HD bf16 as chunks of 16 bytes; chunk c of
// row r lies at place c ^ (r % 8), so that no two rows that are read together share a bank.
#pragma once
#include "cuda/common.cuh"
#include "ops/backend.h"

namespace pk::cuda {

constexpr float kLog2e = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;

// --- tiles of a packed batch ----------------------------------------------------------------------------------------------

struct Tile {
  int32_t row;    // of the batch; -1: none
  int32_t index;  // which `size` tokens of that row
};
// At most this many tiles of `size` tokens in `tokens` tokens of `rows` rows.
inline int64_t most_tiles(int64_t tokens, int64_t rows, int64_t size) { return tokens / size + (rows < tokens ? rows : tokens); }
// Fills tiles[most_tiles], longest work (last tokens) of a row first when `descending`.
void plan_tiles(cudaStream_t stream, Tile* tiles, int64_t count, const int32_t* offsets, int64_t rows, int64_t size, bool descending);

// --- tiles in shared memory -----------------------------------------------------------------------------------------------

template <int HD>
__device__ __forceinline__ bf16* chunk_at(bf16* tile, int row, int chunk) {
  return tile + row * HD + ((chunk ^ (row & 7)) * 8);
}

// Starts copying `rows` rows (the first `valid` of them; zeros after) of HD elements, `stride` apart, by threads `thread`, `thread + threads`, ...
template <int HD>
__device__ __forceinline__ void load_tile(bf16* tile, const bf16* from, int64_t stride, int rows, int64_t valid, int thread, int threads) {
  constexpr int kChunks = HD / 8;
  for (int i = thread; i < rows * kChunks; i += threads) {
    int row = i / kChunks, chunk = i % kChunks;
    copy_async16(chunk_at<HD>(tile, row, chunk), row < valid ? from + row * stride + chunk * 8 : nullptr, from);
  }
}

// A fragment: rows [row0, row0 + 16), columns [16 k, 16 k + 16) of a tile.
template <int HD>
__device__ __forceinline__ void load_a(uint32_t (&a)[4], bf16* tile, int row0, int k) {
  int lane = threadIdx.x % kWarp;
  load_matrices(a, chunk_at<HD>(tile, row0 + lane % 16, 2 * k + lane / 16));
}
// B fragments of two n-tiles for "times the tile's transpose": n are rows [row0, row0 + 16), k its columns [16 k, 16 k + 16).
template <int HD>
__device__ __forceinline__ void load_b_rows(uint32_t (&b)[4], bf16* tile, int row0, int k) {
  int lane = threadIdx.x % kWarp;
  load_matrices(b, chunk_at<HD>(tile, row0 + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2));
}
// B fragments of two n-tiles for "times the tile": k are rows [row0, row0 + 16), n its columns [16 n, 16 n + 16).
template <int HD>
__device__ __forceinline__ void load_b_columns(uint32_t (&b)[4], bf16* tile, int row0, int n) {
  int lane = threadIdx.x % kWarp;
  load_matrices_transposed(b, chunk_at<HD>(tile, row0 + lane % 16, 2 * n + lane / 16));
}

// --- products ---------------------------------------------------------------------------------------------------------------

// c[16 x 8 n] of accumulators: c[n][0..1] are (lane / 4, 8 n + lane % 4 * 2 + 0..1), c[n][2..3] eight rows below.
template <int n>
__device__ __forceinline__ void clear(float (&c)[n][4]) {
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < 4; ++j) c[i][j] = 0;
}

// c += rows [row0, row0 + 16) of tile a times the transpose of rows [0, 8 n) of tile b.
template <int HD, int n>
__device__ __forceinline__ void multiply_transposed(float (&c)[n][4], bf16* a_tile, int row0, bf16* b_tile) {
#pragma unroll
  for (int k = 0; k < HD / 16; ++k) {
    uint32_t a[4];
    load_a<HD>(a, a_tile, row0, k);
#pragma unroll
    for (int j = 0; j < n; j += 2) {
      uint32_t b[4];
      load_b_rows<HD>(b, b_tile, 8 * j, k);
      mma_bf16(c[j], a, b[0], b[1]);
      mma_bf16(c[j + 1], a, b[2], b[3]);
    }
  }
}

// out += p times rows [0, 8 n) of tile b; p as accumulators, rounded to bf16 on the way.
template <int HD, int n>
__device__ __forceinline__ void multiply_accumulators(float (&out)[HD / 8][4], const float (&p)[n][4], bf16* b_tile) {
#pragma unroll
  for (int k = 0; k < n / 2; ++k) {
    const uint32_t a[4] = {pack_bf16(p[2 * k][0], p[2 * k][1]), pack_bf16(p[2 * k][2], p[2 * k][3]), pack_bf16(p[2 * k + 1][0], p[2 * k + 1][1]),
                           pack_bf16(p[2 * k + 1][2], p[2 * k + 1][3])};
#pragma unroll
    for (int j = 0; j < HD / 8; j += 2) {
      uint32_t b[4];
      load_b_columns<HD>(b, b_tile, 16 * k, j / 2);
      mma_bf16(out[j], a, b[0], b[1]);
      mma_bf16(out[j + 1], a, b[2], b[3]);
    }
  }
}

// --- online softmax ---------------------------------------------------------------------------------------------------------

// Sum or maximum over the four lanes that hold one row.
template <class Op>
__device__ __forceinline__ float row_reduce(float value, Op op) {
  value = op(value, __shfl_xor_sync(kAllLanes, value, 1));
  return op(value, __shfl_xor_sync(kAllLanes, value, 2));
}

// The state of a warp's 16 rows: this lane's two rows are lane / 4 and lane / 4 + 8. Maxima are of unscaled scores.
template <int HD>
struct SoftmaxState {
  float out[HD / 8][4];
  float top[2], sum[2];

  __device__ __forceinline__ void reset() {
    clear(out);
    top[0] = top[1] = -INFINITY;
    sum[0] = sum[1] = 0;
  }

  // Takes in scores [16 x 8 n] (masked ones are -Inf) of the keys whose values are in `values`. `scale` is to base 2.
  template <int n>
  __device__ __forceinline__ void add(float (&scores)[n][4], bf16* values, float scale) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float most = top[r];
#pragma unroll
      for (int j = 0; j < n; ++j) most = fmaxf(most, fmaxf(scores[j][2 * r], scores[j][2 * r + 1]));
      most = row_reduce(most, [](float a, float b) { return fmaxf(a, b); });
      float base = most == -INFINITY ? 0 : most * scale;  // a row without any key yet
      float shrink = exp2_fast(top[r] * scale - base);
      top[r] = most;
      sum[r] *= shrink;
#pragma unroll
      for (int j = 0; j < HD / 8; ++j) {
        out[j][2 * r] *= shrink;
        out[j][2 * r + 1] *= shrink;
      }
#pragma unroll
      for (int j = 0; j < n; ++j)
#pragma unroll
        for (int i = 2 * r; i < 2 * r + 2; ++i) {
          scores[j][i] = exp2_fast(scores[j][i] * scale - base);
          sum[r] += scores[j][i];
        }
    }
    multiply_accumulators<HD, n>(out, scores, values);
  }
};

}  // namespace pk::cuda
