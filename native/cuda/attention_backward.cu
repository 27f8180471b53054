// Gradient of attention on tensor cores, without atomics: one kernel takes kRows queries and goes through the keys for d_q, another
// takes kRows keys and goes through the later queries of all heads of its group for d_k and d_v. Both compute the scores again.
#include "cuda/attention_plain.cuh"
#include "cuda/attention_tiles.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kWarp;
constexpr int kRows = 16 * kWarps;  // queries (for d_q) or keys (for d_k, d_v) of a block
constexpr int kKeys = 64;           // keys of a tile
// Queries of a tile: with heads of 128 fewer, so that scores and sums fit in the registers.
template <int HD>
constexpr int kQueries = HD == 64 ? 64 : 32;

// This warp's two rows per lane of [16 x HD] accumulators to memory, rows `stride` apart, those below `valid`.
template <int HD>
__device__ __forceinline__ void store_rows(bf16* to, int64_t stride, const float (&c)[HD / 8][4], int row0, int64_t valid, float scale) {
  int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    int64_t row = row0 + lane / 4 + 8 * r;
    if (row >= valid) continue;
#pragma unroll
    for (int j = 0; j < HD / 8; ++j)
      *reinterpret_cast<uint32_t*>(to + row * stride + 8 * j + lane % 4 * 2) = pack_bf16(c[j][2 * r] * scale, c[j][2 * r + 1] * scale);
  }
}

// Grid: tiles x heads. Shared memory: kRows queries and their d_out, two tiles of keys, two of values.
template <int HD>
__global__ void __launch_bounds__(kThreads) query_gradient_kernel(bf16* d_qkv, const bf16* d_out, const float* dots, const float* lse, const bf16* qkv,
                                                                  const int32_t* offsets, const Tile* tiles, HeadShape shape) {
  Tile at = tiles[blockIdx.x];
  if (at.row < 0) return;
  bf16* queries = reinterpret_cast<bf16*>(dynamic_shared());
  bf16* d_outs = queries + kRows * HD;
  bf16 *both_keys = d_outs + kRows * HD, *both_values = both_keys + 2 * kKeys * HD;
  auto keys = [&](int tile) { return both_keys + tile % 2 * kKeys * HD; };
  auto values = [&](int tile) { return both_values + tile % 2 * kKeys * HD; };
  int64_t head = blockIdx.y, kv_head = head / (shape.heads / shape.kv_heads), stride = shape.qkv_size(), d_stride = shape.q_size();
  int64_t begin = offsets[at.row], length = offsets[at.row + 1] - begin, first = static_cast<int64_t>(at.index) * kRows;
  const bf16 *q = qkv + begin * stride + head * HD, *k = qkv + begin * stride + shape.q_size() + kv_head * HD, *v = k + shape.kv_size();
  int64_t last = first + kRows < length ? first + kRows : length;
  int key_tiles = static_cast<int>((last + kKeys - 1) / kKeys);
  auto fetch = [&](int tile) {
    int64_t key0 = static_cast<int64_t>(tile) * kKeys;
    load_tile<HD>(keys(tile), k + key0 * stride, stride, kKeys, length - key0, threadIdx.x, kThreads);
    load_tile<HD>(values(tile), v + key0 * stride, stride, kKeys, length - key0, threadIdx.x, kThreads);
    copy_commit();
  };
  load_tile<HD>(queries, q + first * stride, stride, kRows, length - first, threadIdx.x, kThreads);
  load_tile<HD>(d_outs, d_out + (begin + first) * d_stride + head * HD, d_stride, kRows, length - first, threadIdx.x, kThreads);
  fetch(0);

  int lane = threadIdx.x % kWarp, row0 = static_cast<int>(threadIdx.x) / kWarp * 16;
  int64_t own = first + row0 + lane / 4;
  float scale = kLog2e / sqrtf(static_cast<float>(HD)), log_sum[2], out_dot[2], d_q[HD / 8][4];
  clear(d_q);
  for (int r = 0; r < 2; ++r) {
    int64_t token = own + 8 * r, place = (begin + token) * shape.heads + head;
    log_sum[r] = token < length ? lse[place] * kLog2e : INFINITY;  // rows beyond the end weigh nothing
    out_dot[r] = token < length ? dots[place] : 0;
  }
  for (int tile = 0; tile < key_tiles; ++tile) {
    int64_t key0 = static_cast<int64_t>(tile) * kKeys;
    if (tile + 1 < key_tiles) {
      fetch(tile + 1);
      copy_wait<1>();
    } else {
      copy_wait<0>();
    }
    __syncthreads();
    if (key0 < first + row0 + 16) {
      float scores[kKeys / 8][4], d_scores[kKeys / 8][4];
      clear(scores);
      clear(d_scores);
      multiply_transposed<HD>(scores, queries, row0, keys(tile));
      multiply_transposed<HD>(d_scores, d_outs, row0, values(tile));
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          bool seen = key0 + 8 * j + lane % 4 * 2 + i % 2 <= own + i / 2 * 8;
          float p = seen ? exp2_fast(scores[j][i] * scale - log_sum[i / 2]) : 0;
          d_scores[j][i] = p * (d_scores[j][i] - out_dot[i / 2]);
        }
      multiply_accumulators<HD>(d_q, d_scores, keys(tile));
    }
    __syncthreads();
  }
  store_rows<HD>(d_qkv + (begin + first) * stride + head * HD, stride, d_q, row0, length - first, scale * kLn2);
}

// Grid: tiles x NKV. Shared memory: kRows keys and values, two tiles of queries, two of d_out, two of (lse, dot).
template <int HD>
__global__ void __launch_bounds__(kThreads) key_gradient_kernel(bf16* d_qkv, const bf16* d_out, const float* dots, const float* lse, const bf16* qkv,
                                                                const int32_t* offsets, const Tile* tiles, HeadShape shape) {
  constexpr int kTile = kQueries<HD>;
  Tile at = tiles[blockIdx.x];
  if (at.row < 0) return;
  bf16* keys = reinterpret_cast<bf16*>(dynamic_shared());
  bf16* values = keys + kRows * HD;
  bf16 *both_queries = values + kRows * HD, *both_d_outs = both_queries + 2 * kTile * HD;
  auto queries = [&](int step) { return both_queries + step % 2 * kTile * HD; };
  auto d_outs = [&](int step) { return both_d_outs + step % 2 * kTile * HD; };
  float2* numbers = reinterpret_cast<float2*>(both_d_outs + 2 * kTile * HD);  // [kTile]: log-sum-exp and dot
  int64_t kv_head = blockIdx.y, group = shape.heads / shape.kv_heads, stride = shape.qkv_size(), d_stride = shape.q_size();
  int64_t begin = offsets[at.row], length = offsets[at.row + 1] - begin, first = static_cast<int64_t>(at.index) * kRows;
  const bf16* k = qkv + begin * stride + shape.q_size() + kv_head * HD;
  // Tiles of queries from the block's first key on, head after head.
  int64_t first_query = first / kTile * kTile;
  int per_head = static_cast<int>((length - first_query + kTile - 1) / kTile), steps = per_head * static_cast<int>(group);
  auto head_of = [&](int step) { return kv_head * group + step / per_head; };
  auto query_of = [&](int step) { return first_query + static_cast<int64_t>(step % per_head) * kTile; };
  auto fetch = [&](int step) {
    int64_t query0 = query_of(step), head = head_of(step);
    load_tile<HD>(queries(step), qkv + (begin + query0) * stride + head * HD, stride, kTile, length - query0, threadIdx.x, kThreads);
    load_tile<HD>(d_outs(step), d_out + (begin + query0) * d_stride + head * HD, d_stride, kTile, length - query0, threadIdx.x, kThreads);
    copy_commit();
  };
  load_tile<HD>(keys, k + first * stride, stride, kRows, length - first, threadIdx.x, kThreads);
  load_tile<HD>(values, k + shape.kv_size() + first * stride, stride, kRows, length - first, threadIdx.x, kThreads);
  fetch(0);

  int lane = threadIdx.x % kWarp, row0 = static_cast<int>(threadIdx.x) / kWarp * 16;
  int64_t own = first + row0 + lane / 4;  // this lane's first key
  float scale = kLog2e / sqrtf(static_cast<float>(HD)), d_k[HD / 8][4], d_v[HD / 8][4];
  clear(d_k);
  clear(d_v);
  for (int step = 0; step < steps; ++step) {
    int64_t query0 = query_of(step), head = head_of(step);
    if (threadIdx.x < kTile) {
      int64_t token = query0 + threadIdx.x, place = (begin + token) * shape.heads + head;
      numbers[threadIdx.x] = token < length ? make_float2(lse[place] * kLog2e, dots[place]) : make_float2(INFINITY, 0);
    }
    if (step + 1 < steps) {
      fetch(step + 1);
      copy_wait<1>();
    } else {
      copy_wait<0>();
    }
    __syncthreads();
    if (query0 + kTile > first + row0) {  // else all of them come before this warp's keys
      float scores[kTile / 8][4], d_scores[kTile / 8][4];
      clear(scores);
      clear(d_scores);
      multiply_transposed<HD>(scores, keys, row0, queries(step));
      multiply_transposed<HD>(d_scores, values, row0, d_outs(step));
#pragma unroll
      for (int j = 0; j < kTile / 8; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          int query = 8 * j + lane % 4 * 2 + i % 2;
          bool seen = query0 + query >= own + i / 2 * 8;
          scores[j][i] = seen ? exp2_fast(scores[j][i] * scale - numbers[query].x) : 0;
          d_scores[j][i] = scores[j][i] * (d_scores[j][i] - numbers[query].y);
        }
      multiply_accumulators<HD>(d_v, scores, d_outs(step));
      multiply_accumulators<HD>(d_k, d_scores, queries(step));
    }
    __syncthreads();
  }
  bf16* to = d_qkv + (begin + first) * stride + shape.q_size() + kv_head * HD;
  store_rows<HD>(to, stride, d_k, row0, length - first, scale * kLn2);
  store_rows<HD>(to + shape.kv_size(), stride, d_v, row0, length - first, 1.0f);
}

}  // namespace

}  // namespace cuda

using namespace cuda;

void CudaBackend::attention_backward(Tensor d_qkv, Tensor d_out, Tensor out, const float* lse, Tensor qkv, const int32_t* offsets, int64_t rows,
                                     HeadShape shape) {
  begin("attention_backward", qkv.rows, shape.heads, shape.head_size);
  if (qkv.rows == 0) return;
  float* dots = scratch_.take<float>(qkv.rows * shape.heads);
  launch_output_dots(stream_, dots, d_out, out, shape);
  int64_t count = most_tiles(qkv.rows, rows, kRows), hd = shape.head_size, query_shared = (2 * kRows + 4 * kKeys) * hd * 2;
  bool small = hd == 64;
  // Heads of 128 take more shared memory than consumer cards have.
  if (!has_tensor_path(qkv.dtype, shape) || query_shared > max_shared_)
    return plain_attention_backward(stream_, d_qkv, d_out, dots, lse, qkv, offsets, rows, shape);
  Tile *queries = scratch_.take<Tile>(count), *keys = scratch_.take<Tile>(count);
  plan_tiles(stream_, queries, count, offsets, rows, kRows, true);
  plan_tiles(stream_, keys, count, offsets, rows, kRows, false);
  launch(stream_, small ? query_gradient_kernel<64> : query_gradient_kernel<128>, grid_of(count, shape.heads), kThreads, query_shared, d_qkv.as<bf16>(),
         d_out.as<const bf16>(), dots, lse, qkv.as<const bf16>(), offsets, queries, shape);
  int64_t tile = small ? kQueries<64> : kQueries<128>;
  launch(stream_, small ? key_gradient_kernel<64> : key_gradient_kernel<128>, grid_of(count, shape.kv_heads), kThreads,
         (2 * kRows + 4 * tile) * hd * 2 + tile * 8, d_qkv.as<bf16>(), d_out.as<const bf16>(), dots, lse, qkv.as<const bf16>(), offsets, keys, shape);
}

}  // namespace pk
