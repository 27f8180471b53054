// Attention of one new token per sequence over its cache: keys [slot, NKV, capacity, HD], values [slot, NKV, capacity, HDP], rows
// as they come. On tensor cores, a warp takes the (at most 16) query heads of one key/value head as the rows of a product and
// kPartKeys keys of the cache; the parts of a sequence are put together by a second kernel, in order.
#include "cuda/attention_plain.cuh"
#include "cuda/attention_tiles.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

namespace {

constexpr int kPartKeys = 256;
constexpr int kKeys = 32;  // keys of a tile

template <class T>
__global__ void append_kernel(T* keys, T* values, const T* qkv, const int32_t* slots, const int32_t* lengths, int64_t capacity, HeadShape shape) {
  int64_t i = blockIdx.x, head = blockIdx.y, hd = shape.head_size, at = (slots[i] * shape.kv_heads + head) * capacity + lengths[i];
  const T* k = qkv + i * shape.qkv_size() + shape.q_size() + head * hd;
  for (int64_t d = threadIdx.x; d < hd; d += blockDim.x) {
    keys[at * hd + d] = k[d];
    values[at * shape.padded_head() + d] = k[shape.kv_size() + d];
  }
}

template <class T>
__global__ void cache_fill_kernel(T* keys, T* values, const T* qkv, const int32_t* slots, int64_t capacity, HeadShape shape) {
  int64_t t = blockIdx.x, head = blockIdx.y, hd = shape.head_size, at = (slots[blockIdx.z] * shape.kv_heads + head) * capacity + t;
  const T* k = qkv + t * shape.qkv_size() + shape.q_size() + head * hd;
  for (int64_t d = threadIdx.x; d < hd; d += blockDim.x) {
    keys[at * hd + d] = k[d];
    values[at * shape.padded_head() + d] = k[shape.kv_size() + d];
  }
}

// What a part knows of one head: the largest score (scaled, base 2), the sum of weights, and the weighted sum of values [HD].
struct Part {
  float top, sum;
};

// Grid: parts x NKV x sequences; one warp. Shared memory: 16 queries, two tiles of keys, two of values.
template <int HD>
__global__ void __launch_bounds__(kWarp) decode_part_kernel(Part* parts, float* sums, const bf16* keys, const bf16* values, const bf16* qkv,
                                                            const int32_t* slots, const int32_t* lengths, int64_t capacity, HeadShape shape) {
  int64_t part = blockIdx.x, kv_head = blockIdx.y, i = blockIdx.z, count = lengths[i] + 1, first = part * kPartKeys;
  if (first >= count) return;
  int64_t last = first + kPartKeys < count ? first + kPartKeys : count, group = shape.heads / shape.kv_heads;
  constexpr uint32_t kTileBytes = kKeys * HD * 2;
  SharedAddress q_tile = shared_address(dynamic_shared()), kv_tiles = q_tile + 16 * HD * 2;
  int64_t cache = (slots[i] * shape.kv_heads + kv_head) * capacity * HD;
  int lane = threadIdx.x, tiles = static_cast<int>((last - first + kKeys - 1) / kKeys);
  auto fetch = [&](int tile) {
    int64_t key0 = first + static_cast<int64_t>(tile) * kKeys;
    SharedAddress to = kv_tiles + tile % 2 * (2 * kTileBytes);
    load_tile<HD, kKeys, kWarp>(to, keys + cache + key0 * HD, HD, count - key0);
    load_tile<HD, kKeys, kWarp>(to + kTileBytes, values + cache + key0 * HD, HD, count - key0);
    copy_commit();
  };
  load_tile<HD, 16, kWarp>(q_tile, qkv + i * shape.qkv_size() + kv_head * group * HD, HD, group);
  fetch(0);
  LanePlaces<HD> lane_places;
  SharedRows<HD, 1> queries(q_tile, 0, lane_places);
  SoftmaxState<HD, 1> state;
  state.reset();
  float scale = kLog2e / sqrtf(static_cast<float>(HD));
  for (int tile = 0; tile < tiles; ++tile) {
    int64_t key0 = first + static_cast<int64_t>(tile) * kKeys;
    if (tile + 1 < tiles) {
      fetch(tile + 1);
      copy_wait<1>();
    } else {
      copy_wait<0>();
    }
    __syncwarp();
    SharedAddress key_tile = kv_tiles + tile % 2 * (2 * kTileBytes);
    float scores[1][kKeys / 8][4];
    clear(scores);
    multiply_transposed<HD>(scores, queries, key_tile, lane_places);
    if (key0 + kKeys > last) {
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int c = 0; c < 4; ++c)
          if (key0 + 8 * j + lane % 4 * 2 + c % 2 >= last) scores[0][j][c] = -INFINITY;
    }
    state.add(scores, key_tile + kTileBytes, scale, lane_places);
    __syncwarp();  // before the tile is overwritten
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    int64_t g = lane / 4 + 8 * r;
    float sum = row_reduce(state.sum[0][r], Sum());
    if (g >= group) continue;
    int64_t at = (i * shape.heads + kv_head * group + g) * gridDim.x + part;
    if (lane % 4 == 0) parts[at] = {state.base[0][r], sum};
#pragma unroll
    for (int j = 0; j < HD / 8; ++j)
      for (int c = 0; c < 2; ++c) sums[at * HD + 8 * j + lane % 4 * 2 + c] = state.out[0][j][2 * r + c];
  }
}

// One warp per (sequence, head).
template <int HD>
__global__ void __launch_bounds__(kWarp)
    decode_join_kernel(bf16* out, const Part* parts, const float* sums, const int32_t* lengths, int64_t most_parts, int64_t heads) {
  int64_t i = blockIdx.x, head = blockIdx.y, at = (i * heads + head) * most_parts;
  int number = (lengths[i] + kPartKeys) / kPartKeys;  // of lengths[i] + 1 keys, rounded up
  float top = -INFINITY, total = 0, value[HD / kWarp] = {};
  for (int p = 0; p < number; ++p) top = Max()(parts[at + p].top, top);
  for (int p = 0; p < number; ++p) {
    float weight = exp2f(parts[at + p].top - top);
    total += weight * parts[at + p].sum;
    for (int k = 0; k < HD / kWarp; ++k) value[k] += weight * sums[(at + p) * HD + k * kWarp + threadIdx.x];
  }
  for (int k = 0; k < HD / kWarp; ++k) out[(i * heads + head) * HD + k * kWarp + threadIdx.x] = from_float<bf16>(value[k] / total);
}

}  // namespace

}  // namespace cuda

using namespace cuda;

void CudaBackend::decode_attention(Tensor out, Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, const int32_t* lengths, int64_t capacity,
                                   HeadShape shape) {
  begin("decode_attention", qkv.rows, shape.heads, shape.head_size);
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    launch(stream_, append_kernel<T>, grid_of(qkv.rows, shape.kv_heads), 64, 0, keys.as<T>(), values.as<T>(), qkv.as<const T>(), slots, lengths, capacity,
           shape);
  });
  if (!has_tensor_path(qkv.dtype, shape) || shape.heads / shape.kv_heads > 16)
    return plain_decode_attention(stream_, out, keys, values, qkv, slots, lengths, capacity, shape);
  int64_t most_parts = ceil_div(capacity, kPartKeys), cells = qkv.rows * shape.heads * most_parts;
  Part* parts = scratch_.take<Part>(cells);
  float* sums = scratch_.take<float>(cells * shape.head_size);
  bool small = shape.head_size == 64;
  launch(stream_, small ? decode_part_kernel<64> : decode_part_kernel<128>, grid_of(most_parts, shape.kv_heads, qkv.rows), kWarp,
         (16 + 4 * kKeys) * shape.head_size * 2, parts, sums, keys.as<const bf16>(), values.as<const bf16>(), qkv.as<const bf16>(), slots, lengths, capacity,
         shape);
  launch(stream_, small ? decode_join_kernel<64> : decode_join_kernel<128>, grid_of(qkv.rows, shape.heads), kWarp, 0, out.as<bf16>(), parts, sums, lengths,
         most_parts, shape.heads);
}

void CudaBackend::cache_fill(Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, int64_t copies, int64_t capacity, HeadShape shape) {
  begin("cache_fill", qkv.rows, copies);
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    launch(stream_, cache_fill_kernel<T>, grid_of(qkv.rows, shape.kv_heads, copies), 64, 0, keys.as<T>(), values.as<T>(), qkv.as<const T>(), slots, capacity,
           shape);
  });
}

}  // namespace pk
