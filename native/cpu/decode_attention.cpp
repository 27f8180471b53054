// Attention of one new token per sequence over its cache. Keys are stored transposed ([HD, capacity] per slot and head), so
// that scores are computed for 16 keys at a time without horizontal sums; values are [capacity, HDP].
#include <cmath>

#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/dispatch.h"
#include "cpu/scratch.h"
#include "cpu/small_gemm.h"
#include "cpu/vector_math.h"

namespace pk {

namespace {

template <class T>
void attend(T* out, T* keys, T* values, const T* qkv, int64_t length, int64_t kv_head, int64_t capacity, HeadShape shape) {
  static thread_local Scratch scratch;
  int64_t hd = shape.head_size, hp = shape.padded_head(), group = shape.heads / shape.kv_heads, padded = (length + 16) / 16 * 16;
  float* q = scratch.get<float>(group * (hd + hp + padded));  // [group, HD]
  float* o = q + group * hd;                                  // [group, HDP]
  float* scores = o + group * hp;                             // [group, padded]
  const T* k = qkv + shape.q_size() + kv_head * hd;
  const T* v = k + shape.kv_size();
  for (int64_t d = 0; d < hd; ++d) {
    keys[d * capacity + length] = k[d];
    values[length * hp + d] = v[d];
  }
  float scale = 1.0f / std::sqrt(static_cast<float>(hd));
  for (int64_t i = 0; i < group * hd; ++i) q[i] = to_float(qkv[kv_head * group * hd + i]) * scale;
  small_gemm(group, padded, hd, q, hd, 1, keys, capacity, scores, padded, false);
  for (int64_t g = 0; g < group; ++g) {
    float *row = scores + g * padded, top = row[0], sum = 0.0f;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j <= length; ++j) top = row[j] > top ? row[j] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j <= length; ++j) {
      row[j] = exp_f32(row[j] - top);
      sum += row[j];
    }
    float inverse = 1.0f / sum;
    for (int64_t j = 0; j <= length; ++j) row[j] *= inverse;
  }
  small_gemm(group, hp, length + 1, scores, padded, 1, values, hp, o, hp, false);
  for (int64_t g = 0; g < group; ++g)
    for (int64_t d = 0; d < hd; ++d) out[(kv_head * group + g) * hd + d] = from_float<T>(o[g * hp + d]);
}

}  // namespace

void CpuBackend::decode_attention(Tensor out, Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, const int32_t* lengths, int64_t capacity,
                                  HeadShape shape) {
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    parallel_for(qkv.rows * shape.kv_heads, 2, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        int64_t i = task / shape.kv_heads, kv_head = task % shape.kv_heads, cache = (slots[i] * shape.kv_heads + kv_head) * capacity;
        attend(out.as<T>() + i * shape.q_size(), keys.as<T>() + cache * shape.head_size, values.as<T>() + cache * shape.padded_head(),
               qkv.as<T>() + i * shape.qkv_size(), lengths[i], kv_head, capacity, shape);
      }
    });
  });
}

void CpuBackend::cache_fill(Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, int64_t copies, int64_t capacity, HeadShape shape) {
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    int64_t hd = shape.head_size, hp = shape.padded_head();
    parallel_for(copies * shape.kv_heads, 1, [&](int64_t task, int64_t) {
      int64_t slot = slots[task / shape.kv_heads], kv_head = task % shape.kv_heads, cache = (slot * shape.kv_heads + kv_head) * capacity;
      T *key = keys.as<T>() + cache * hd, *value = values.as<T>() + cache * hp;
      for (int64_t t = 0; t < qkv.rows; ++t) {
        const T* k = qkv.as<T>() + t * shape.qkv_size() + shape.q_size() + kv_head * hd;
        const T* v = k + shape.kv_size();
        for (int64_t d = 0; d < hd; ++d) {
          key[d * capacity + t] = k[d];
          value[t * hp + d] = v[d];
        }
      }
    });
  });
}

}  // namespace pk
