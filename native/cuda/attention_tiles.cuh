// What the tensor-core attention kernels share: tiles of rows in shared memory, products of some 16-row groups of one warp with a
// tile, the online softmax, and the list of tiles of a packed batch. Shared memory holds rows of HD bf16 as chunks of 16 bytes;
// chunk c of row r lies at place c ^ (r % 8), so that no two rows that are read together share a bank. A warp holds M groups of 16
// rows, so that what it reads of the other operand serves M products: shared memory, not the tensor cores, is what runs out first.
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
// Fills tiles[most_tiles], those with the most work of all rows first: with `descending` a row's last tokens (which see most keys),
// else its first (which most queries see).
void plan_tiles(cudaStream_t stream, Tile* tiles, int64_t count, const int32_t* offsets, int64_t rows, int64_t size, bool descending);

// --- tiles in shared memory -----------------------------------------------------------------------------------------------

// Bytes from a tile's begin (which is aligned to 256) to a chunk. Of rows that are multiples of 8 apart it differs by whole rows only.
template <int HD>
__device__ __forceinline__ uint32_t chunk_place(int row, int chunk) {
  return static_cast<uint32_t>(row * HD * 2 + (chunk ^ (row & 7)) * 16);
}

// Starts copying `rows` rows (the first `valid` of them; zeros after) of HD elements, `stride` apart, by `threads` threads.
template <int HD, int rows, int threads>
__device__ __forceinline__ void load_tile(SharedAddress tile, const bf16* from, int stride, int64_t valid) {
  constexpr int kChunks = HD / 8, kStep = threads / kChunks;
  static_assert(rows % kStep == 0);
  int row = static_cast<int>(threadIdx.x) / kChunks, chunk = static_cast<int>(threadIdx.x) % kChunks, last = valid < rows ? static_cast<int>(valid) : rows;
  from += static_cast<int64_t>(row) * stride + chunk * 8;
#pragma unroll
  for (int i = 0; i < rows; i += kStep, from += kStep * stride) copy_async16(tile + chunk_place<HD>(row + i, chunk), from, row + i < last);
}

// Where this lane's rows of a tile's first fragments lie, in bytes from its begin. Those of fragments k columns of 16 further on are
// at the same place with bits 5 and up exclusive-or'ed with k.
template <int HD>
struct LanePlaces {
  uint32_t rows;     // rows are the fragment's rows (A), or its depth (B of "times the tile")
  uint32_t columns;  // rows are the fragment's columns (B of "times the tile's transpose")
  __device__ __forceinline__ LanePlaces() {
    int lane = threadIdx.x % kWarp;
    rows = chunk_place<HD>(lane % 16, lane / 16);
    columns = chunk_place<HD>(lane % 8 + lane / 16 * 8, lane / 8 % 2);
  }
};

// --- products ---------------------------------------------------------------------------------------------------------------

// c[m][n] are [16 x 8] accumulators: [0..1] are (16 m + lane / 4, 8 n + lane % 4 * 2 + 0..1), [2..3] eight rows below.
template <int M, int n>
__device__ __forceinline__ void clear(float (&c)[M][n][4]) {
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int i = 0; i < n; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) c[m][i][j] = 0;
}

// A fragments of 16 M rows: read again for every product, or, where registers suffice, once.
template <int HD, int M>
struct SharedRows {
  SharedAddress at;
  __device__ __forceinline__ SharedRows(SharedAddress tile, int row0, const LanePlaces<HD>& lane) : at(tile + row0 * HD * 2 + lane.rows) {}
  __device__ __forceinline__ void get(uint32_t (&a)[M][4], int k) const {
#pragma unroll
    for (int m = 0; m < M; ++m) load_matrices(a[m], (at ^ static_cast<uint32_t>(32 * k)) + m * 16 * HD * 2);
  }
};
template <int HD, int M>
struct KeptRows {
  uint32_t kept[HD / 16][M][4];
  __device__ __forceinline__ KeptRows(SharedAddress tile, int row0, const LanePlaces<HD>& lane) {
    SharedRows<HD, M> rows(tile, row0, lane);
#pragma unroll
    for (int k = 0; k < HD / 16; ++k) rows.get(kept[k], k);
  }
  __device__ __forceinline__ void get(uint32_t (&a)[M][4], int k) const {
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) a[m][i] = kept[k][m][i];
  }
};

// c += the rows times the transpose of rows [0, 8 n) of tile b.
template <int HD, int M, int n, class Rows>
__device__ __forceinline__ void multiply_transposed(float (&c)[M][n][4], const Rows& rows, SharedAddress b_tile, const LanePlaces<HD>& lane) {
#pragma unroll
  for (int k = 0; k < HD / 16; ++k) {
    uint32_t a[M][4];
    rows.get(a, k);
#pragma unroll
    for (int j = 0; j < n; j += 2) {
      uint32_t b[4];
      load_matrices(b, ((b_tile + lane.columns) ^ static_cast<uint32_t>(32 * k)) + j * 8 * HD * 2);
#pragma unroll
      for (int m = 0; m < M; ++m) {
        mma_bf16(c[m][j], a[m], b[0], b[1]);
        mma_bf16(c[m][j + 1], a[m], b[2], b[3]);
      }
    }
  }
}

// out += p (columns [16 k, 16 k + 16) of accumulators, rounded to bf16 on the way) times rows [16 k, 16 k + 16) of tile b.
template <int HD, int M, int n>
__device__ __forceinline__ void multiply_slab(float (&out)[M][HD / 8][4], const float (&p)[M][n][4], int k, SharedAddress b_tile, const LanePlaces<HD>& lane) {
  uint32_t a[M][4];
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int i = 0; i < 4; ++i) a[m][i] = pack_bf16(p[m][2 * k + i / 2][i % 2 * 2], p[m][2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
  for (int j = 0; j < HD / 16; ++j) {
    uint32_t b[4];
    load_matrices_transposed(b, ((b_tile + lane.rows) ^ static_cast<uint32_t>(32 * j)) + k * 16 * HD * 2);
#pragma unroll
    for (int m = 0; m < M; ++m) {
      mma_bf16(out[m][2 * j], a[m], b[0], b[1]);
      mma_bf16(out[m][2 * j + 1], a[m], b[2], b[3]);
    }
  }
}
// out += p times rows [0, 8 n) of tile b.
template <int HD, int M, int n>
__device__ __forceinline__ void multiply_accumulators(float (&out)[M][HD / 8][4], const float (&p)[M][n][4], SharedAddress b_tile, const LanePlaces<HD>& lane) {
#pragma unroll
  for (int k = 0; k < n / 2; ++k) multiply_slab<HD>(out, p, k, b_tile, lane);
}

// --- online softmax ---------------------------------------------------------------------------------------------------------

// Sum or maximum over the four lanes that hold one row.
template <class Op>
__device__ __forceinline__ float row_reduce(float value, Op op) {
  value = op(value, __shfl_xor_sync(kAllLanes, value, 1));
  return op(value, __shfl_xor_sync(kAllLanes, value, 2));
}

// The state of a warp's 16 M rows: this lane holds rows 16 m + lane / 4 and 8 below. Weights are relative to a reference per row
// that follows the largest score at a distance: only when a score is 2^kSlack times as heavy as the reference is everything
// scaled to a new one, so that most tiles need neither that nor a maximum over the lanes. The quotient out / sum does not notice.
template <int HD, int M>
struct SoftmaxState {
  static constexpr float kSlack = 8;
  float out[M][HD / 8][4];
  float sum[M][2];
  float base[M][2];   // the reference: a score times `scale`, to base 2
  float limit[M][2];  // scores above this need a new one

  __device__ __forceinline__ void reset() {
    clear(out);
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        sum[m][r] = 0;
        base[m][r] = limit[m][r] = -INFINITY;
      }
  }

  // Takes in scores [16 M x 8 n] (masked ones are -Inf; in the first tile every row has others) of the keys whose values are in
  // `values`. `scale` is to base 2.
  template <int n>
  __device__ __forceinline__ void add(float (&scores)[M][n][4], SharedAddress values, float scale, const LanePlaces<HD>& lane) {
    float most[M][2];
    bool above = false;
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        most[m][r] = scores[m][0][2 * r];
#pragma unroll
        for (int j = 0; j < n; ++j) most[m][r] = fmaxf(most[m][r], fmaxf(scores[m][j][2 * r], scores[m][j][2 * r + 1]));
        above |= most[m][r] > limit[m][r];
      }
    if (__any_sync(kAllLanes, above)) raise(most, scale);
#pragma unroll
    for (int k = 0; k < n / 2; ++k) {
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int j = 2 * k; j < 2 * k + 2; ++j)
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            scores[m][j][i] = exp2_fast(fmaf(scores[m][j][i], scale, -base[m][i / 2]));
            sum[m][i / 2] += scores[m][j][i];
          }
      multiply_slab<HD>(out, scores, k, values, lane);
    }
  }

 private:
  __device__ __forceinline__ void raise(float (&most)[M][2], float scale) {
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        float top = row_reduce(most[m][r], [](float a, float b) { return fmaxf(a, b); });
        bool up = top > limit[m][r];
        float next = up ? top * scale : base[m][r], shrink = up ? exp2_fast(base[m][r] - next) : 1.0f;
        base[m][r] = next;
        limit[m][r] = up ? top + kSlack / scale : limit[m][r];
        sum[m][r] *= shrink;
#pragma unroll
        for (int j = 0; j < HD / 8; ++j) {
          out[m][j][2 * r] *= shrink;
          out[m][j][2 * r + 1] *= shrink;
        }
      }
  }
};

}  // namespace pk::cuda
