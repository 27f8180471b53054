// Causal grouped-query attention over packed sequences, forward: a block takes kRows query tokens of one head and goes through
// the keys tile by tile (online softmax, Milakov & Gimelshein 2018; tiling of Dao 2023), so memory is linear in the length.
// bfloat16 with heads of 64 or 128 runs on tensor cores; everything else in attention_plain.cu.
#include "cuda/attention_plain.cuh"
#include "cuda/attention_tiles.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kGroups = 2;                 // of 16 query tokens, of a warp
constexpr int kWarpRows = 16 * kGroups;    // query tokens of a warp
constexpr int kRows = kWarpRows * kWarps;  // query tokens of a block
constexpr int kKeys = 64;                  // keys of a tile
constexpr int kPlanThreads = 1024, kLevels = 2048;

// A level is how many tiles of its row lie before a tile, in the order of work from the least: all tiles of the highest level come
// first. Tiles beyond the last level share it.
__global__ void plan_tiles_kernel(Tile* tiles, int64_t count, const int32_t* offsets, int64_t rows, int64_t size, bool descending) {
  __shared__ int32_t places[kLevels];  // rows that reach a level; then where its next tile goes
  __shared__ int32_t total, highest;   // tiles; the last level of all rows
  int lane = threadIdx.x % kWarp;
  auto number_of = [&](int64_t row) { return static_cast<int32_t>((offsets[row + 1] - offsets[row] + size - 1) / size); };
  auto level_of = [&](int32_t k) { return k < kLevels ? k : kLevels - 1; };
  for (int i = threadIdx.x; i < kLevels; i += kPlanThreads) places[i] = 0;
  if (threadIdx.x == 0) highest = 0;
  __syncthreads();
  for (int64_t row = threadIdx.x / kWarp; row < rows; row += kPlanThreads / kWarp) {
    int32_t number = number_of(row);
    for (int32_t k = lane; k < number; k += kWarp) atomicAdd(&places[level_of(k)], 1);
    if (lane == 0 && number > 0) atomicMax(&highest, level_of(number - 1));
  }
  __syncthreads();
  if (threadIdx.x < kWarp) {  // sums over the levels above
    int32_t before = 0;
    for (int first = highest / kWarp * kWarp; first >= 0; first -= kWarp) {
      int32_t own = places[first + lane], sum = own;
      for (int by = 1; by < kWarp; by *= 2) {
        int32_t above = __shfl_down_sync(kAllLanes, sum, by);
        if (lane + by < kWarp) sum += above;
      }
      places[first + lane] = before + sum - own;
      before += __shfl_sync(kAllLanes, sum, 0);
    }
    if (lane == 0) total = before;
  }
  __syncthreads();
  for (int64_t row = threadIdx.x / kWarp; row < rows; row += kPlanThreads / kWarp) {
    int32_t number = number_of(row);
    for (int32_t k = lane; k < number; k += kWarp) tiles[atomicAdd(&places[level_of(k)], 1)] = {static_cast<int32_t>(row), descending ? k : number - 1 - k};
  }
  for (int64_t i = total + static_cast<int64_t>(threadIdx.x); i < count; i += kPlanThreads) tiles[i] = {-1, 0};
}

// Queries stay in registers where these suffice.
template <int HD>
using Queries = std::conditional_t<HD == 64, KeptRows<HD, kGroups>, SharedRows<HD, kGroups>>;

template <int HD>
constexpr int64_t kShared = (kRows + 4 * kKeys) * HD * 2;  // queries, two tiles of keys, two of values

// Blocks: every head of the first tile, of the second, ...
template <int HD>
__global__ void __launch_bounds__(kThreads, 2)
    attention_kernel(bf16* out, float* lse, const bf16* qkv, const int32_t* offsets, const Tile* tiles, HeadShape shape) {
  constexpr uint32_t kTileBytes = kKeys * HD * 2;
  int heads = static_cast<int>(shape.heads), head = static_cast<int>(blockIdx.x) % heads;
  Tile at = tiles[static_cast<int>(blockIdx.x) / heads];
  if (at.row < 0) return;
  SharedAddress q_tile = shared_address(dynamic_shared()), kv_tiles = q_tile + kRows * HD * 2;
  int stride = static_cast<int>(shape.qkv_size()), kv_head = head / static_cast<int>(shape.heads / shape.kv_heads);
  int begin = offsets[at.row], length = offsets[at.row + 1] - begin, first = at.index * kRows;
  const bf16 *row = qkv + static_cast<int64_t>(begin) * stride, *k = row + shape.q_size() + kv_head * HD;  // k: the next tile to fetch
  int last = first + kRows < length ? first + kRows : length;                                              // keys up to here are seen
  int key_tiles = (last + kKeys - 1) / kKeys;
  auto fetch = [&](int tile) {
    SharedAddress to = kv_tiles + tile % 2 * (2 * kTileBytes);
    load_tile<HD, kKeys, kThreads>(to, k, stride, length - tile * kKeys);
    load_tile<HD, kKeys, kThreads>(to + kTileBytes, k + shape.kv_size(), stride, length - tile * kKeys);
    copy_commit();
    k += kKeys * stride;
  };
  load_tile<HD, kRows, kThreads>(q_tile, row + static_cast<int64_t>(first) * stride + head * HD, stride, length - first);
  copy_commit();
  fetch(0);
  copy_wait<1>();
  __syncthreads();

  LanePlaces<HD> lane_places;
  int lane = threadIdx.x % kWarp, row0 = static_cast<int>(threadIdx.x) / kWarp * kWarpRows;
  int own = first + row0 + lane / 4;  // this lane's first query; the others are 8, 16, 24 later
  float scale = kLog2e / sqrtf(static_cast<float>(HD));
  Queries<HD> queries(q_tile, row0, lane_places);
  SoftmaxState<HD, kGroups> state;
  state.reset();
  for (int tile = 0; tile < key_tiles; ++tile) {
    int key0 = tile * kKeys;
    copy_wait<0>();
    __syncthreads();  // the tile has come, and nobody reads the one before, whose place the next one takes
    if (tile + 1 < key_tiles) fetch(tile + 1);
    if (key0 >= first + row0 + kWarpRows) continue;  // all of it lies ahead of this warp's queries
    SharedAddress keys = kv_tiles + tile % 2 * (2 * kTileBytes);
    float scores[kGroups][kKeys / 8][4];
    clear(scores);
    multiply_transposed<HD>(scores, queries, keys, lane_places);
    if (key0 + kKeys > first + row0) {
#pragma unroll
      for (int m = 0; m < kGroups; ++m)
#pragma unroll
        for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            if (key0 + 8 * j + lane % 4 * 2 + i % 2 > own + 16 * m + i / 2 * 8) scores[m][j][i] = -INFINITY;
    }
    state.add(scores, keys + kTileBytes, scale, lane_places);
  }
#pragma unroll
  for (int m = 0; m < kGroups; ++m)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      int token = own + 16 * m + 8 * r;
      float sum = row_reduce(state.sum[m][r], Sum()), inverse = 1.0f / sum;
      if (token >= length) continue;
      bf16* to = out + static_cast<int64_t>(begin + token) * shape.q_size() + head * HD + lane % 4 * 2;
#pragma unroll
      for (int j = 0; j < HD / 8; ++j)
        *reinterpret_cast<uint32_t*>(to + 8 * j) = pack_bf16(state.out[m][j][2 * r] * inverse, state.out[m][j][2 * r + 1] * inverse);
      if (lse && lane % 4 == 0) lse[static_cast<int64_t>(begin + token) * heads + head] = state.base[m][r] * kLn2 + logf(sum);
    }
}

}  // namespace

void plan_tiles(cudaStream_t stream, Tile* tiles, int64_t count, const int32_t* offsets, int64_t rows, int64_t size, bool descending) {
  launch(stream, plan_tiles_kernel, 1, kPlanThreads, 0, tiles, count, offsets, rows, size, descending);
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
  bool small = shape.head_size == 64;
  launch(stream_, small ? attention_kernel<64> : attention_kernel<128>, grid_of(count * shape.heads), kThreads, small ? kShared<64> : kShared<128>,
         out.as<bf16>(), lse, qkv.as<const bf16>(), offsets, tiles, shape);
}

}  // namespace pk
