// Attention of any element type and head size: a warp per query (or, for the gradients of keys and values, per key), whose lanes
// take one key each for the scores and one element of the head each for the sums. In float32 throughout.
#include "cuda/attention_plain.cuh"
#include "cuda/packed_rows.cuh"

namespace pk::cuda {

namespace {

constexpr int kWarps = 4;

template <class T>
__device__ float dot(const float* a, const T* b, int64_t size) {
  float sum = 0;
  for (int64_t d = 0; d < size; ++d) sum += a[d] * to_float(b[d]);
  return sum;
}

template <class T>
__device__ void load_vector(float* to, const T* from, int64_t size, float scale) {
  for (int64_t d = threadIdx.x % kWarp; d < size; d += kWarp) to[d] = to_float(from[d]) * scale;
}

// out += the sum over the warp's lanes of their weight times row `j0 + lane` of `from`, for lanes below `count`.
template <class T>
__device__ void add_rows(float* out, float weight, const T* from, int64_t stride, int count, int64_t size) {
  for (int i = 0; i < count; ++i) {
    float w = __shfl_sync(kAllLanes, weight, i);
    for (int64_t d = threadIdx.x % kWarp; d < size; d += kWarp) out[d] += w * to_float(from[i * stride + d]);
  }
}

// Softmax attention of one scaled query (q, in shared memory) over `count` keys; o becomes the weighted mean of values. Returns the log-sum-exp.
template <class T>
__device__ float attend(float* o, const float* q, const T* keys, int64_t key_stride, const T* values, int64_t value_stride, int64_t count, int64_t size) {
  int lane = threadIdx.x % kWarp;
  float top = -INFINITY, sum = 0;
  for (int64_t d = lane; d < size; d += kWarp) o[d] = 0;
  for (int64_t j0 = 0; j0 < count; j0 += kWarp) {
    int here = static_cast<int>(count - j0 < kWarp ? count - j0 : kWarp);
    float score = lane < here ? dot(q, keys + (j0 + lane) * key_stride, size) : -INFINITY;
    float most = Max()(warp_reduce(score, Max()), top), shrink = expf(top - most);
    float weight = lane < here ? expf(score - most) : 0;
    top = most;
    sum = sum * shrink + warp_reduce(weight, Sum());
    for (int64_t d = lane; d < size; d += kWarp) o[d] *= shrink;
    add_rows(o, weight, values + j0 * value_stride, value_stride, here, size);
  }
  for (int64_t d = lane; d < size; d += kWarp) o[d] /= sum;
  return top + logf(sum);
}

template <class T>
__device__ void store_vector(T* to, const float* from, int64_t size, float scale) {
  for (int64_t d = threadIdx.x % kWarp; d < size; d += kWarp) to[d] = from_float<T>(from[d] * scale);
}

__device__ float* warp_memory(int64_t vectors, int64_t size) { return reinterpret_cast<float*>(dynamic_shared()) + threadIdx.x / kWarp * vectors * size; }

struct QueryPlace {
  int64_t token, head, row_begin;
};
// The task of this warp: one (token, head); token is -1 beyond the last.
__device__ QueryPlace query_place(const int32_t* offsets, int64_t rows, int64_t tokens, int64_t heads) {
  int64_t task = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (task >= tokens * heads) return {-1, 0, 0};
  int64_t token = task / heads;
  return {token, task % heads, offsets[find_row(offsets, rows, token)]};
}

template <class T>
__global__ void plain_forward_kernel(T* out, float* lse, const T* qkv, const int32_t* offsets, int64_t rows, int64_t tokens, HeadShape shape, float scale) {
  QueryPlace at = query_place(offsets, rows, tokens, shape.heads);
  if (at.token < 0) return;
  int64_t hd = shape.head_size, stride = shape.qkv_size(), kv_head = at.head / (shape.heads / shape.kv_heads);
  float *q = warp_memory(2, hd), *o = q + hd;
  load_vector(q, qkv + at.token * stride + at.head * hd, hd, scale);
  __syncwarp();
  const T* k = qkv + at.row_begin * stride + shape.q_size() + kv_head * hd;
  float log_sum = attend(o, q, k, stride, k + shape.kv_size(), stride, at.token - at.row_begin + 1, hd);
  store_vector(out + at.token * shape.q_size() + at.head * hd, o, hd, 1.0f);
  if (lse && threadIdx.x % kWarp == 0) lse[at.token * shape.heads + at.head] = log_sum;
}

template <class T>
__global__ void output_dots_kernel(float* dots, const T* d_out, const T* out, int64_t tasks, int64_t hd) {
  int64_t task = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (task >= tasks) return;
  float sum = 0;
  for (int64_t d = threadIdx.x % kWarp; d < hd; d += kWarp) sum += to_float(d_out[task * hd + d]) * to_float(out[task * hd + d]);
  sum = warp_reduce(sum, Sum());
  if (threadIdx.x % kWarp == 0) dots[task] = sum;
}

// d_q of one (token, head): sum over keys of p (d_out . v - dot) k.
template <class T>
__global__ void plain_query_gradient_kernel(T* d_qkv, const T* d_out, const float* dots, const float* lse, const T* qkv, const int32_t* offsets, int64_t rows,
                                            int64_t tokens, HeadShape shape, float scale) {
  QueryPlace at = query_place(offsets, rows, tokens, shape.heads);
  if (at.token < 0) return;
  int64_t hd = shape.head_size, stride = shape.qkv_size(), kv_head = at.head / (shape.heads / shape.kv_heads), count = at.token - at.row_begin + 1;
  float *q = warp_memory(3, hd), *d_o = q + hd, *d_q = d_o + hd;
  int lane = threadIdx.x % kWarp;
  load_vector(q, qkv + at.token * stride + at.head * hd, hd, scale);
  load_vector(d_o, d_out + at.token * shape.q_size() + at.head * hd, hd, 1.0f);
  for (int64_t d = lane; d < hd; d += kWarp) d_q[d] = 0;
  __syncwarp();
  const T* k = qkv + at.row_begin * stride + shape.q_size() + kv_head * hd;
  float log_sum = lse[at.token * shape.heads + at.head], out_dot = dots[at.token * shape.heads + at.head];
  for (int64_t j0 = 0; j0 < count; j0 += kWarp) {
    int here = static_cast<int>(count - j0 < kWarp ? count - j0 : kWarp);
    float d_score = 0;
    if (lane < here) {
      const T* key = k + (j0 + lane) * stride;
      d_score = expf(dot(q, key, hd) - log_sum) * (dot(d_o, key + shape.kv_size(), hd) - out_dot);
    }
    add_rows(d_q, d_score, k + j0 * stride, stride, here, hd);
  }
  store_vector(d_qkv + at.token * stride + at.head * hd, d_q, hd, scale);
}

// d_k and d_v of one (token, key/value head): over all later queries of all its heads, in order.
template <class T>
__global__ void plain_key_gradient_kernel(T* d_qkv, const T* d_out, const float* dots, const float* lse, const T* qkv, const int32_t* offsets, int64_t rows,
                                          int64_t tokens, HeadShape shape, float scale) {
  QueryPlace at = query_place(offsets, rows, tokens, shape.kv_heads);
  if (at.token < 0) return;
  int64_t hd = shape.head_size, stride = shape.qkv_size(), group = shape.heads / shape.kv_heads, end = offsets[find_row(offsets, rows, at.token) + 1];
  float *k = warp_memory(4, hd), *v = k + hd, *d_k = v + hd, *d_v = d_k + hd;
  int lane = threadIdx.x % kWarp;
  const T* key = qkv + at.token * stride + shape.q_size() + at.head * hd;
  load_vector(k, key, hd, scale);
  load_vector(v, key + shape.kv_size(), hd, 1.0f);
  for (int64_t d = lane; d < hd; d += kWarp) d_k[d] = d_v[d] = 0;
  __syncwarp();
  for (int64_t head = at.head * group; head < (at.head + 1) * group; ++head)
    for (int64_t i0 = at.token; i0 < end; i0 += kWarp) {
      int here = static_cast<int>(end - i0 < kWarp ? end - i0 : kWarp);
      float p = 0, d_score = 0;
      const T *queries = qkv + i0 * stride + head * hd, *outs = d_out + i0 * shape.q_size() + head * hd;
      if (lane < here) {
        int64_t i = (i0 + lane) * shape.heads + head;
        p = expf(dot(k, queries + lane * stride, hd) - lse[i]);
        d_score = p * (dot(v, outs + lane * shape.q_size(), hd) - dots[i]);
      }
      add_rows(d_v, p, outs, shape.q_size(), here, hd);
      add_rows(d_k, d_score, queries, stride, here, hd);
    }
  T* to = d_qkv + at.token * stride + shape.q_size() + at.head * hd;
  store_vector(to, d_k, hd, scale);
  store_vector(to + shape.kv_size(), d_v, hd, 1.0f);
}

template <class T>
__global__ void plain_decode_kernel(T* out, const T* keys, const T* values, const T* qkv, const int32_t* slots, const int32_t* lengths, int64_t count,
                                    int64_t capacity, HeadShape shape, float scale) {
  int64_t task = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (task >= count * shape.heads) return;
  int64_t i = task / shape.heads, head = task % shape.heads, hd = shape.head_size, hp = shape.padded_head();
  int64_t cache = (slots[i] * shape.kv_heads + head / (shape.heads / shape.kv_heads)) * capacity;
  float *q = warp_memory(2, hd), *o = q + hd;
  load_vector(q, qkv + i * shape.qkv_size() + head * hd, hd, scale);
  __syncwarp();
  attend(o, q, keys + cache * hd, hd, values + cache * hp, hp, lengths[i] + 1, hd);
  store_vector(out + i * shape.q_size() + head * hd, o, hd, 1.0f);
}

float score_scale(HeadShape shape) { return 1.0f / std::sqrt(static_cast<float>(shape.head_size)); }
dim3 warps_for(int64_t tasks) { return grid_of(ceil_div(tasks, kWarps)); }
int64_t memory_for(int64_t vectors, HeadShape shape) { return kWarps * vectors * shape.head_size * 4; }

}  // namespace

void plain_attention_forward(cudaStream_t stream, Tensor out, float* lse, Tensor qkv, const int32_t* offsets, int64_t rows, HeadShape shape) {
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    launch(stream, plain_forward_kernel<T>, warps_for(qkv.rows * shape.heads), kWarps * kWarp, memory_for(2, shape), out.as<T>(), lse, qkv.as<const T>(),
           offsets, rows, qkv.rows, shape, score_scale(shape));
  });
}

void launch_output_dots(cudaStream_t stream, float* dots, Tensor d_out, Tensor out, HeadShape shape) {
  dispatch(out.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    int64_t tasks = out.rows * shape.heads;
    launch(stream, output_dots_kernel<T>, warps_for(tasks), kWarps * kWarp, 0, dots, d_out.as<const T>(), out.as<const T>(), tasks, shape.head_size);
  });
}

void plain_attention_backward(cudaStream_t stream, Tensor d_qkv, Tensor d_out, const float* dots, const float* lse, Tensor qkv, const int32_t* offsets,
                              int64_t rows, HeadShape shape) {
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    launch(stream, plain_query_gradient_kernel<T>, warps_for(qkv.rows * shape.heads), kWarps * kWarp, memory_for(3, shape), d_qkv.as<T>(), d_out.as<const T>(),
           dots, lse, qkv.as<const T>(), offsets, rows, qkv.rows, shape, score_scale(shape));
    launch(stream, plain_key_gradient_kernel<T>, warps_for(qkv.rows * shape.kv_heads), kWarps * kWarp, memory_for(4, shape), d_qkv.as<T>(), d_out.as<const T>(),
           dots, lse, qkv.as<const T>(), offsets, rows, qkv.rows, shape, score_scale(shape));
  });
}

void plain_decode_attention(cudaStream_t stream, Tensor out, Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, const int32_t* lengths,
                            int64_t capacity, HeadShape shape) {
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    launch(stream, plain_decode_kernel<T>, warps_for(qkv.rows * shape.heads), kWarps * kWarp, memory_for(2, shape), out.as<T>(), keys.as<const T>(),
           values.as<const T>(), qkv.as<const T>(), slots, lengths, qkv.rows, capacity, shape, score_scale(shape));
  });
}

}  // namespace pk::cuda
