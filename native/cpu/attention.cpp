// Causal grouped-query attention over packed sequences, in blocks of query rows: memory linear in the length.
// One task per (sequence, key/value head), so that key and value gradients need no atomics and keep their order.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/dispatch.h"
#include "cpu/scratch.h"
#include "cpu/small_gemm.h"
#include "cpu/vector_math.h"

namespace pk {

namespace {

constexpr int64_t kQueryBlock = 32;

inline int64_t pad16(int64_t n) { return (n + 15) / 16 * 16; }

// One head's part of packed rows: element (t, d) is at data[t * stride + d].
template <class T>
struct HeadView {
  T* data;
  int64_t stride;
};

// to[t][0..padded) = from row t, zero padded.
template <class T>
void load_rows(float* to, int64_t padded, HeadView<const T> from, int64_t begin, int64_t count, int64_t size, float scale) {
  for (int64_t t = 0; t < count; ++t) {
    const T* row = from.data + (begin + t) * from.stride;
    for (int64_t d = 0; d < size; ++d) to[t * padded + d] = to_float(row[d]) * scale;
    for (int64_t d = size; d < padded; ++d) to[t * padded + d] = 0.0f;
  }
}

// to[d][t] = from row t, zero padded to `padded` columns.
template <class T>
void load_transposed(float* to, int64_t padded, HeadView<const T> from, int64_t count, int64_t size) {
  for (int64_t t = 0; t < count; ++t)
    for (int64_t d = 0; d < size; ++d) to[d * padded + t] = to_float(from.data[t * from.stride + d]);
  for (int64_t d = 0; d < size; ++d)
    for (int64_t t = count; t < padded; ++t) to[d * padded + t] = 0.0f;
}

// exp(scores - max) in place over n entries, zeros up to `padded`; returns the sum and the log-sum-exp.
struct RowSum {
  float sum, lse;
};
RowSum softmax_row(float* scores, int64_t n, int64_t padded) {
  float top = scores[0];
#pragma omp simd reduction(max : top)
  for (int64_t j = 0; j < n; ++j) top = scores[j] > top ? scores[j] : top;
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < n; ++j) {
    scores[j] = exp_f32(scores[j] - top);
    sum += scores[j];
  }
  for (int64_t j = n; j < padded; ++j) scores[j] = 0.0f;
  return {sum, top + std::log(sum)};
}

template <class T>
void forward_sequence(T* out, float* lse, const T* qkv, int64_t length, int64_t kv_head, HeadShape shape) {
  static thread_local Scratch scratch;
  int64_t hd = shape.head_size, hp = pad16(hd), tp = pad16(length), group = shape.heads / shape.kv_heads, stride = shape.qkv_size();
  float* keys = scratch.get<float>(hd * tp + length * hp + kQueryBlock * (hp + tp + hp));  // [hd, tp]
  float* values = keys + hd * tp;                                                          // [T, hp]
  float* q = values + length * hp;                                                         // [block, hp]
  float* scores = q + kQueryBlock * hp;                                                    // [block, tp]
  float* o = scores + kQueryBlock * tp;                                                    // [block, hp]
  load_transposed<T>(keys, tp, {qkv + shape.q_size() + kv_head * hd, stride}, length, hd);
  load_rows<T>(values, hp, {qkv + shape.q_size() + shape.kv_size() + kv_head * hd, stride}, 0, length, hd, 1.0f);
  float scale = 1.0f / std::sqrt(static_cast<float>(hd));
  for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    for (int64_t i0 = 0; i0 < length; i0 += kQueryBlock) {
      int64_t m = std::min(kQueryBlock, length - i0), n = i0 + m, np = pad16(n);
      load_rows<T>(q, hp, {qkv + h * hd, stride}, i0, m, hd, scale);
      small_gemm(m, np, hd, q, hp, 1, keys, tp, scores, tp, false);
      float inverse[kQueryBlock];
      for (int64_t i = 0; i < m; ++i) {
        RowSum row = softmax_row(scores + i * tp, i0 + i + 1, np);
        inverse[i] = 1.0f / row.sum;
        if (lse) lse[(i0 + i) * shape.heads + h] = row.lse;
      }
      small_gemm(m, hp, n, scores, tp, 1, values, hp, o, hp, false);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t d = 0; d < hd; ++d) out[(i0 + i) * shape.q_size() + h * hd + d] = from_float<T>(o[i * hp + d] * inverse[i]);
    }
  }
}

// scores <- P = exp(scores - lse) within the causal bound; d_scores <- P * (d_scores - dot(d_out, out)).
void backward_rows(float* scores, float* d_scores, const float* lse, const float* dots, int64_t m, int64_t i0, int64_t np, int64_t tp, int64_t lse_stride) {
  for (int64_t i = 0; i < m; ++i) {
    float *p = scores + i * tp, *dp = d_scores + i * tp, row_lse = lse[i * lse_stride], dot = dots[i];
    int64_t n = i0 + i + 1;
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) {
      p[j] = exp_f32(p[j] - row_lse);
      dp[j] = p[j] * (dp[j] - dot);
    }
    for (int64_t j = n; j < np; ++j) p[j] = dp[j] = 0.0f;
  }
}

template <class T>
void store_rows(T* to, int64_t stride, const float* from, int64_t padded, int64_t count, int64_t size, float scale) {
  for (int64_t t = 0; t < count; ++t)
    for (int64_t d = 0; d < size; ++d) to[t * stride + d] = from_float<T>(from[t * padded + d] * scale);
}

template <class T>
void backward_sequence(T* d_qkv, const T* d_out, const T* out, const float* lse, const T* qkv, int64_t length, int64_t kv_head, HeadShape shape) {
  static thread_local Scratch scratch;
  int64_t hd = shape.head_size, hp = pad16(hd), tp = pad16(length), group = shape.heads / shape.kv_heads, stride = shape.qkv_size(), d_size = shape.q_size();
  float* keys_t = scratch.get<float>(2 * hd * tp + 3 * length * hp + kQueryBlock * (2 * tp + 4 * hp));  // [hd, tp]
  float* values_t = keys_t + hd * tp;                                                                   // [hd, tp]
  float* keys = values_t + hd * tp;                                                                     // [T, hp]
  float* d_keys = keys + length * hp;                                                                   // [T, hp]
  float* d_values = d_keys + length * hp;                                                               // [T, hp]
  float* scores = d_values + length * hp;                                                               // [block, tp]
  float* d_scores = scores + kQueryBlock * tp;                                                          // [block, tp]
  float* q = d_scores + kQueryBlock * tp;                                                               // [block, hp]
  float* d_o = q + kQueryBlock * hp;                                                                    // [block, hp]
  float* o = d_o + kQueryBlock * hp;                                                                    // [block, hp]
  float* d_q = o + kQueryBlock * hp;                                                                    // [block, hp]
  const T* key_columns = qkv + d_size + kv_head * hd;
  load_transposed<T>(keys_t, tp, {key_columns, stride}, length, hd);
  load_rows<T>(keys, hp, {key_columns, stride}, 0, length, hd, 1.0f);
  load_transposed<T>(values_t, tp, {key_columns + shape.kv_size(), stride}, length, hd);
  std::memset(d_keys, 0, static_cast<size_t>(2 * length * hp) * sizeof(float));
  float scale = 1.0f / std::sqrt(static_cast<float>(hd));
  for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    for (int64_t i0 = 0; i0 < length; i0 += kQueryBlock) {
      int64_t m = std::min(kQueryBlock, length - i0), n = i0 + m, np = pad16(n);
      load_rows<T>(q, hp, {qkv + h * hd, stride}, i0, m, hd, scale);
      load_rows<T>(d_o, hp, {d_out + h * hd, d_size}, i0, m, hd, 1.0f);
      load_rows<T>(o, hp, {out + h * hd, d_size}, i0, m, hd, 1.0f);
      float dots[kQueryBlock];
      for (int64_t i = 0; i < m; ++i) {
        float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
        for (int64_t d = 0; d < hp; ++d) dot += d_o[i * hp + d] * o[i * hp + d];
        dots[i] = dot;
      }
      small_gemm(m, np, hd, q, hp, 1, keys_t, tp, scores, tp, false);
      small_gemm(m, np, hd, d_o, hp, 1, values_t, tp, d_scores, tp, false);
      backward_rows(scores, d_scores, lse + i0 * shape.heads + h, dots, m, i0, np, tp, shape.heads);
      small_gemm(n, hp, m, scores, 1, tp, d_o, hp, d_values, hp, true);
      small_gemm(n, hp, m, d_scores, 1, tp, q, hp, d_keys, hp, true);
      small_gemm(m, hp, n, d_scores, tp, 1, keys, hp, d_q, hp, false);
      store_rows(d_qkv + i0 * stride + h * hd, stride, d_q, hp, m, hd, scale);
    }
  }
  store_rows(d_qkv + d_size + kv_head * hd, stride, d_keys, hp, length, hd, 1.0f);
  store_rows(d_qkv + d_size + shape.kv_size() + kv_head * hd, stride, d_values, hp, length, hd, 1.0f);
}

}  // namespace

void CpuBackend::attention_forward(Tensor out, float* lse, Tensor qkv, const int32_t* offsets, int64_t rows, HeadShape shape) {
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    parallel_for(rows * shape.kv_heads, 1, [&](int64_t task, int64_t) {
      int64_t row = task / shape.kv_heads, begin = offsets[row], length = offsets[row + 1] - begin;
      if (length == 0) return;
      forward_sequence(out.as<T>() + begin * shape.q_size(), lse ? lse + begin * shape.heads : nullptr, qkv.as<T>() + begin * shape.qkv_size(), length,
                       task % shape.kv_heads, shape);
    });
  });
}

void CpuBackend::attention_backward(Tensor d_qkv, Tensor d_out, Tensor out, const float* lse, Tensor qkv, const int32_t* offsets, int64_t rows,
                                    HeadShape shape) {
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    parallel_for(rows * shape.kv_heads, 1, [&](int64_t task, int64_t) {
      int64_t row = task / shape.kv_heads, begin = offsets[row], length = offsets[row + 1] - begin;
      if (length == 0) return;
      backward_sequence(d_qkv.as<T>() + begin * shape.qkv_size(), d_out.as<T>() + begin * shape.q_size(), out.as<T>() + begin * shape.q_size(),
                        lse + begin * shape.heads, qkv.as<T>() + begin * shape.qkv_size(), length, task % shape.kv_heads, shape);
    });
  });
}

}  // namespace pk
