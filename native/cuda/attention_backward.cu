// Gradient of attention on tensor cores, without atomics: one kernel takes 128 queries and goes through the keys for d_q, another
// takes 128 keys and goes through the later queries of all heads of its group for d_k and d_v. Both compute the scores again.
#include "cuda/attention_plain.cuh"
#include "cuda/attention_tiles.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kQueryRows = 32 * kWarps;  // queries of a block, for d_q
constexpr int kKeys = 32;                // keys of its tiles
constexpr int kQueries = 32;             // queries of a tile, for d_k and d_v
// Groups of 16 keys of a warp, for d_k and d_v: with heads of 128 the sums of two would not fit in the registers.
template <int HD>
constexpr int kKeyGroups = HD == 64 ? 2 : 1;
template <int HD>
constexpr int kKeyWarps = HD == 64 ? 4 : 8;
template <int HD>
constexpr int kKeyRows = 16 * kKeyGroups<HD> * kKeyWarps<HD>;  // keys of a block: 128

// This warp's four or two rows per lane of [16 M x HD] accumulators to memory, rows `stride` apart, those below `valid`.
template <int HD, int M>
__device__ __forceinline__ void store_rows(bf16* to, int64_t stride, const float (&c)[M][HD / 8][4], int row0, int valid, float scale) {
  int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      int row = row0 + lane / 4 + 16 * m + 8 * r;
      if (row >= valid) continue;
#pragma unroll
      for (int j = 0; j < HD / 8; ++j)
        *reinterpret_cast<uint32_t*>(to + row * stride + 8 * j + lane % 4 * 2) = pack_bf16(c[m][j][2 * r] * scale, c[m][j][2 * r + 1] * scale);
    }
}

// Both kinds of rows that a warp keeps are read once where registers suffice.
template <int HD>
using QueryRows = std::conditional_t<HD == 64, KeptRows<HD, 2>, SharedRows<HD, 2>>;

// What a query's gradients need besides rows: {log-sum-exp to base 2, d_out . out}, for every token and head. HD / 8 lanes for each.
template <int HD>
__global__ void __launch_bounds__(kThreads) query_numbers_kernel(float2* numbers, const bf16* d_out, const bf16* out, const float* lse, int64_t tasks) {
  constexpr int kLanes = HD / 8;
  int64_t task = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kLanes;
  int lane = static_cast<int>(threadIdx.x) % kLanes;
  float a[8] = {}, b[8] = {}, dot = 0;
  if (task < tasks) {
    load_floats(a, d_out + task * HD + lane * 8);
    load_floats(b, out + task * HD + lane * 8);
  }
#pragma unroll
  for (int k = 0; k < 8; ++k) dot += a[k] * b[k];
#pragma unroll
  for (int bits = kLanes / 2; bits > 0; bits /= 2) dot += __shfl_xor_sync(kAllLanes, dot, bits);
  if (task < tasks && lane == 0) numbers[task] = make_float2(lse[task] * kLog2e, dot);
}

template <int HD>
constexpr int64_t kQueryShared = (2 * kQueryRows + 4 * kKeys) * HD * 2;  // queries and their d_out, two tiles of keys, two of values

// Blocks: every head of the first tile, of the second, ...
template <int HD>
__global__ void __launch_bounds__(kThreads, HD == 64 ? 2 : 1)
    query_gradient_kernel(bf16* d_qkv, const bf16* d_out, const float2* numbers, const bf16* qkv, const int32_t* offsets, const Tile* tiles, HeadShape shape) {
  constexpr int M = 2;
  constexpr uint32_t kTileBytes = kKeys * HD * 2;
  int heads = static_cast<int>(shape.heads), head = static_cast<int>(blockIdx.x) % heads;
  Tile at = tiles[static_cast<int>(blockIdx.x) / heads];
  if (at.row < 0) return;
  SharedAddress q_tile = shared_address(dynamic_shared()), d_out_tile = q_tile + kQueryRows * HD * 2, kv_tiles = d_out_tile + kQueryRows * HD * 2;
  int stride = static_cast<int>(shape.qkv_size()), d_stride = static_cast<int>(shape.q_size());
  int kv_head = head / static_cast<int>(shape.heads / shape.kv_heads), first = at.index * kQueryRows;
  int64_t begin = offsets[at.row];
  int length = static_cast<int>(offsets[at.row + 1] - begin);
  const bf16 *q = qkv + (begin + first) * stride + head * HD, *k = qkv + begin * stride + shape.q_size() + kv_head * HD;  // k: the next tile to fetch
  int last = first + kQueryRows < length ? first + kQueryRows : length, key_tiles = (last + kKeys - 1) / kKeys;
  auto fetch = [&](int tile) {
    SharedAddress to = kv_tiles + tile % 2 * (2 * kTileBytes);
    load_tile<HD, kKeys, kThreads>(to, k, stride, length - tile * kKeys);
    load_tile<HD, kKeys, kThreads>(to + kTileBytes, k + shape.kv_size(), stride, length - tile * kKeys);
    copy_commit();
    k += kKeys * stride;
  };
  load_tile<HD, kQueryRows, kThreads>(q_tile, q, stride, length - first);
  load_tile<HD, kQueryRows, kThreads>(d_out_tile, d_out + (begin + first) * d_stride + head * HD, d_stride, length - first);
  copy_commit();
  fetch(0);

  LanePlaces<HD> lane_places;
  int lane = threadIdx.x % kWarp, row0 = static_cast<int>(threadIdx.x) / kWarp * 16 * M, own = first + row0 + lane / 4;
  float scale = kLog2e / sqrtf(static_cast<float>(HD)), log_sum[M][2], out_dot[M][2], d_q[M][HD / 8][4];
  clear(d_q);
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      int token = own + 16 * m + 8 * r;
      float2 number = token < length ? numbers[(begin + token) * heads + head] : make_float2(INFINITY, 0);  // rows beyond the end weigh nothing
      log_sum[m][r] = number.x;
      out_dot[m][r] = number.y;
    }
  copy_wait<1>();
  __syncthreads();
  QueryRows<HD> queries(q_tile, row0, lane_places), d_outs(d_out_tile, row0, lane_places);
  for (int tile = 0; tile < key_tiles; ++tile) {
    int key0 = tile * kKeys;
    copy_wait<0>();
    __syncthreads();  // the tile has come, and nobody reads the one before, whose place the next one takes
    if (tile + 1 < key_tiles) fetch(tile + 1);
    if (key0 >= first + row0 + 16 * M) continue;
    SharedAddress keys = kv_tiles + tile % 2 * (2 * kTileBytes);
    float scores[M][kKeys / 8][4], d_scores[M][kKeys / 8][4];
    clear(scores);
    clear(d_scores);
    multiply_transposed<HD>(scores, queries, keys, lane_places);
    multiply_transposed<HD>(d_scores, d_outs, keys + kTileBytes, lane_places);
    if (key0 + kKeys > first + row0) {
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            if (key0 + 8 * j + lane % 4 * 2 + i % 2 > own + 16 * m + i / 2 * 8) scores[m][j][i] = -INFINITY;
    }
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) d_scores[m][j][i] = exp2_fast(fmaf(scores[m][j][i], scale, -log_sum[m][i / 2])) * (d_scores[m][j][i] - out_dot[m][i / 2]);
    multiply_accumulators<HD>(d_q, d_scores, keys, lane_places);
  }
  store_rows<HD>(d_qkv + (begin + first) * stride + head * HD, stride, d_q, row0, length - first, scale * kLn2);
}

template <int HD>
constexpr int64_t kKeyShared = (2 * kKeyRows<HD> + 4 * kQueries) * HD * 2 + 2 * kQueries * 8;  // keys, values, two tiles of queries, of d_out, of (lse, dot)

// Blocks: every key/value head of the first tile, of the second, ...
template <int HD>
__global__ void __launch_bounds__(kKeyWarps<HD>* kWarp, HD == 64 ? 2 : 1)
    key_gradient_kernel(bf16* d_qkv, const bf16* d_out, const float2* numbers, const bf16* qkv, const int32_t* offsets, const Tile* tiles, HeadShape shape) {
  constexpr int M = kKeyGroups<HD>, kRows = kKeyRows<HD>, kBlock = kKeyWarps<HD> * kWarp;
  constexpr uint32_t kTileBytes = kQueries * HD * 2;
  int heads = static_cast<int>(shape.heads), kv_heads = static_cast<int>(shape.kv_heads), kv_head = static_cast<int>(blockIdx.x) % kv_heads;
  Tile at = tiles[static_cast<int>(blockIdx.x) / kv_heads];
  if (at.row < 0) return;
  SharedAddress k_tile = shared_address(dynamic_shared()), v_tile = k_tile + kRows * HD * 2, q_tiles = v_tile + kRows * HD * 2;
  unsigned char* number_memory = dynamic_shared() + (2 * kRows + 4 * kQueries) * HD * 2;  // [2][kQueries] float2
  SharedAddress number_tiles = shared_address(number_memory);
  int group = heads / kv_heads;
  int stride = static_cast<int>(shape.qkv_size()), d_stride = static_cast<int>(shape.q_size()), begin = offsets[at.row];
  int length = offsets[at.row + 1] - begin, first = at.index * kRows;
  const bf16* k = qkv + static_cast<int64_t>(begin + first) * stride + shape.q_size() + kv_head * HD;
  // Tiles of queries from the block's first key on, head after head.
  int per_head = (length - first + kQueries - 1) / kQueries, steps = per_head * group, fetch_head = kv_head * group, fetch_query = first;
  auto fetch = [&](int step) {
    SharedAddress to = q_tiles + step % 2 * (2 * kTileBytes);
    int64_t token = begin + fetch_query;
    load_tile<HD, kQueries, kBlock>(to, qkv + token * stride + fetch_head * HD, stride, length - fetch_query);
    load_tile<HD, kQueries, kBlock>(to + kTileBytes, d_out + token * d_stride + fetch_head * HD, d_stride, length - fetch_query);
    // Of rows beyond the end all is 0, queries, d_out and these, so that they add nothing.
    if (threadIdx.x < kQueries) {
      int query = fetch_query + static_cast<int>(threadIdx.x);
      copy_async8(number_tiles + (step % 2 * kQueries + threadIdx.x) * 8, numbers + static_cast<int64_t>(begin + query) * heads + fetch_head, query < length);
    }
    copy_commit();
    fetch_query += kQueries;
    if (fetch_query >= length) {
      fetch_query = first;
      ++fetch_head;
    }
  };
  load_tile<HD, kRows, kBlock>(k_tile, k, stride, length - first);
  load_tile<HD, kRows, kBlock>(v_tile, k + shape.kv_size(), stride, length - first);
  copy_commit();
  fetch(0);

  LanePlaces<HD> lane_places;
  int lane = threadIdx.x % kWarp, row0 = static_cast<int>(threadIdx.x) / kWarp * 16 * M, own = first + row0 + lane / 4, query0 = first;
  float scale = kLog2e / sqrtf(static_cast<float>(HD)), d_k[M][HD / 8][4], d_v[M][HD / 8][4];
  clear(d_k);
  clear(d_v);
  SharedRows<HD, M> keys(k_tile, row0, lane_places), values(v_tile, row0, lane_places);
  for (int step = 0; step < steps; ++step, query0 = query0 + kQueries < length ? query0 + kQueries : first) {
    copy_wait<0>();
    __syncthreads();  // the tile has come, and nobody reads the one before, whose place the next one takes
    if (step + 1 < steps) fetch(step + 1);
    if (query0 + kQueries <= first + row0) continue;  // all of them come before this warp's keys
    SharedAddress queries = q_tiles + step % 2 * (2 * kTileBytes), d_outs = queries + kTileBytes;
    const float4* pairs = reinterpret_cast<const float4*>(number_memory) + step % 2 * (kQueries / 2) + lane % 4;  // of this lane's two columns
    float scores[M][kQueries / 8][4], d_scores[M][kQueries / 8][4];
    clear(scores);
    clear(d_scores);
    multiply_transposed<HD>(scores, keys, queries, lane_places);
    multiply_transposed<HD>(d_scores, values, d_outs, lane_places);
    if (query0 < first + row0 + 16 * M) {
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int j = 0; j < kQueries / 8; ++j)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            if (query0 + 8 * j + lane % 4 * 2 + i % 2 < own + 16 * m + i / 2 * 8) scores[m][j][i] = -INFINITY;
    }
#pragma unroll
    for (int j = 0; j < kQueries / 8; ++j) {
      float4 pair = pairs[4 * j];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float log_sum = i ? pair.z : pair.x, out_dot = i ? pair.w : pair.y;
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
          for (int r = 0; r < 2; ++r) {
            float p = exp2_fast(fmaf(scores[m][j][2 * r + i], scale, -log_sum));
            scores[m][j][2 * r + i] = p;
            d_scores[m][j][2 * r + i] = p * (d_scores[m][j][2 * r + i] - out_dot);
          }
      }
    }
    multiply_accumulators<HD>(d_v, scores, d_outs, lane_places);
    multiply_accumulators<HD>(d_k, d_scores, queries, lane_places);
  }
  bf16* to = d_qkv + static_cast<int64_t>(begin + first) * stride + shape.q_size() + kv_head * HD;
  store_rows<HD>(to, stride, d_k, row0, length - first, scale * kLn2);
  store_rows<HD>(to + shape.kv_size(), stride, d_v, row0, length - first, 1.0f);
}

// The gradients of a layer's heads. The lists of tiles serve both kernels, whose blocks hold the same number of rows.
template <int HD>
void launch_gradients(cudaStream_t stream, Tile* queries, Tile* keys, float2* numbers, int64_t count, Tensor d_qkv, Tensor d_out, Tensor out, const float* lse,
                      Tensor qkv, const int32_t* offsets, HeadShape shape) {
  int64_t tasks = qkv.rows * shape.heads;
  launch(stream, query_numbers_kernel<HD>, grid_of(ceil_div(tasks * (HD / 8), kThreads)), kThreads, 0, numbers, d_out.as<const bf16>(), out.as<const bf16>(),
         lse, tasks);
  launch(stream, query_gradient_kernel<HD>, grid_of(count * shape.heads), kThreads, kQueryShared<HD>, d_qkv.as<bf16>(), d_out.as<const bf16>(), numbers,
         qkv.as<const bf16>(), offsets, queries, shape);
  launch(stream, key_gradient_kernel<HD>, grid_of(count * shape.kv_heads), kKeyWarps<HD> * kWarp, kKeyShared<HD>, d_qkv.as<bf16>(), d_out.as<const bf16>(),
         numbers, qkv.as<const bf16>(), offsets, keys, shape);
}

}  // namespace

}  // namespace cuda

using namespace cuda;

void CudaBackend::attention_backward(Tensor d_qkv, Tensor d_out, Tensor out, const float* lse, Tensor qkv, const int32_t* offsets, int64_t rows,
                                     HeadShape shape) {
  begin("attention_backward", qkv.rows, shape.heads, shape.head_size);
  if (qkv.rows == 0) return;
  static_assert(kQueryRows == kKeyRows<64> && kQueryRows == kKeyRows<128> && kQueryShared<128> <= kKeyShared<128>);
  bool small = shape.head_size == 64;
  // Heads of 128 take more shared memory than consumer cards have.
  if (!has_tensor_path(qkv.dtype, shape) || (small ? kKeyShared<64> : kKeyShared<128>) > max_shared_) {
    float* dots = scratch_.take<float>(qkv.rows * shape.heads);
    launch_output_dots(stream_, dots, d_out, out, shape);
    return plain_attention_backward(stream_, d_qkv, d_out, dots, lse, qkv, offsets, rows, shape);
  }
  int64_t count = most_tiles(qkv.rows, rows, kQueryRows);
  Tile *queries = scratch_.take<Tile>(count), *keys = scratch_.take<Tile>(count);
  float2* numbers = scratch_.take<float2>(qkv.rows * shape.heads);
  plan_tiles(stream_, queries, count, offsets, rows, kQueryRows, true);
  plan_tiles(stream_, keys, count, offsets, rows, kQueryRows, false);
  auto launch_all = small ? launch_gradients<64> : launch_gradients<128>;
  launch_all(stream_, queries, keys, numbers, count, d_qkv, d_out, out, lse, qkv, offsets, shape);
}

}  // namespace pk
