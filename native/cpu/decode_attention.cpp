// Attention of one new token per sequence over its cache. Keys lie in blocks of 16 tokens, element by element, so that scores
// of 16 keys are computed at once without horizontal sums and a step reads no byte it does not need; in bfloat16 two elements
// are multiplied per instruction where the CPU has it. See CacheLayout for the exact places.
#include <cmath>
#include <cstring>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/dispatch.h"
#include "cpu/scratch.h"
#include "cpu/small_gemm.h"
#include "cpu/vector_math.h"

namespace pk {

namespace {

// Where element d of token t lies within one head's keys and values, and how one step of a score is computed.
template <class T>
struct CacheLayout;

template <>
struct CacheLayout<float> {
  using Query = float;
  static constexpr int64_t kPerStep = 1;  // elements of the head multiplied in a step
  static int64_t key(int64_t t, int64_t d, int64_t hd) { return (t / 16 * hd + d) * 16 + t % 16; }
  static void append_values(float* row, const float* v, int64_t hd) { std::memcpy(row, v, static_cast<size_t>(hd) * 4); }
  static Query query(const float* q) { return *q; }
  static vec16 step(vec16 sum, Query q, const float* keys) { return sum + q * load16(keys); }
  static void load_values(vec16* out, const float* row, int pairs) {
    for (int i = 0; i < 2 * pairs; ++i) out[i] = load16(row + 16 * i);
  }
};

// Pairs of elements in 32-bit words: of keys d and d + 1, of values d and d + 16.
template <>
struct CacheLayout<bf16> {
  using Query = uint32_t;
  static constexpr int64_t kPerStep = 2;
  static int64_t key(int64_t t, int64_t d, int64_t hd) { return (t / 16 * (hd / 2) + d / 2) * 32 + t % 16 * 2 + d % 2; }
  static void append_values(bf16* row, const bf16* v, int64_t hd) {
    int64_t d = 0;
    for (; d + 32 <= hd; d += 32) {
      half16 first, second;
      std::memcpy(&first, v + d, sizeof first);
      std::memcpy(&second, v + d + 16, sizeof second);
      word16 words = __builtin_convertvector(first, word16) | __builtin_convertvector(second, word16) << 16;
      std::memcpy(row + d, &words, sizeof words);
    }
    for (; d < hd; ++d) row[d / 32 * 32 + d % 16 * 2 + d % 32 / 16] = v[d];
  }
  static Query query(const bf16* q) { return static_cast<uint32_t>(q[0].bits) | static_cast<uint32_t>(q[1].bits) << 16; }
  static word16 load_words(const bf16* at) {
    word16 words;
    std::memcpy(&words, at, sizeof words);
    return words;
  }
  static vec16 low(word16 words) { return (vec16)(words << 16); }
  static vec16 high(word16 words) { return (vec16)(words & 0xffff0000u); }
  static vec16 step(vec16 sum, Query q, const bf16* keys) {
#if defined(__AVX512BF16__)
    return (vec16)_mm512_dpbf16_ps((__m512)sum, (__m512bh)load_words(keys), (__m512bh)_mm512_set1_epi32(static_cast<int>(q)));
#else
    word16 words = load_words(keys);
    return sum + to_float(bf16{static_cast<uint16_t>(q)}) * low(words) + to_float(bf16{static_cast<uint16_t>(q >> 16)}) * high(words);
#endif
  }
  static void load_values(vec16* out, const bf16* row, int pairs) {
    for (int i = 0; i < pairs; ++i) {
      word16 words = load_words(row + 32 * i);
      out[2 * i] = low(words);
      out[2 * i + 1] = high(words);
    }
  }
};

// Scores of ROWS queries against BLOCKS blocks of 16 keys.
template <class T, int ROWS, int BLOCKS>
void score_tile(float* scores, int64_t stride, const typename CacheLayout<T>::Query* q, const T* keys, int64_t steps) {
  using Layout = CacheLayout<T>;
  constexpr int64_t kStep = 16 * Layout::kPerStep;
  vec16 sum[ROWS][BLOCKS] = {};
  for (int64_t s = 0; s < steps; ++s)
    for (int b = 0; b < BLOCKS; ++b)
      for (int r = 0; r < ROWS; ++r) sum[r][b] = Layout::step(sum[r][b], q[r * steps + s], keys + (b * steps + s) * kStep);
  for (int r = 0; r < ROWS; ++r)
    for (int b = 0; b < BLOCKS; ++b) *reinterpret_cast<vec16*>(scores + r * stride + 16 * b) = sum[r][b];
}

template <class T, int ROWS>
void score_rows(float* scores, int64_t stride, const typename CacheLayout<T>::Query* q, const T* keys, int64_t steps, int64_t blocks) {
  int64_t b = 0, block = steps * 16 * CacheLayout<T>::kPerStep;
  for (; b + 4 <= blocks; b += 4) score_tile<T, ROWS, 4>(scores + 16 * b, stride, q, keys + b * block, steps);
  for (; b + 2 <= blocks; b += 2) score_tile<T, ROWS, 2>(scores + 16 * b, stride, q, keys + b * block, steps);
  for (; b < blocks; ++b) score_tile<T, ROWS, 1>(scores + 16 * b, stride, q, keys + b * block, steps);
}

// out[r][32 * PAIRS columns] = sum over t of weights[r][t] * values[t].
template <class T, int ROWS, int PAIRS>
void value_tile(float* out, int64_t out_stride, const float* weights, int64_t weight_stride, const T* values, int64_t hp, int64_t count) {
  vec16 sum[ROWS][2 * PAIRS] = {};
  for (int64_t t = 0; t < count; ++t) {
    vec16 v[2 * PAIRS];
    CacheLayout<T>::load_values(v, values + t * hp, PAIRS);
    for (int r = 0; r < ROWS; ++r)
      for (int i = 0; i < 2 * PAIRS; ++i) sum[r][i] += weights[r * weight_stride + t] * v[i];
  }
  for (int r = 0; r < ROWS; ++r)
    for (int i = 0; i < 2 * PAIRS; ++i) *reinterpret_cast<vec16*>(out + r * out_stride + 16 * i) = sum[r][i];
}

template <class T, int ROWS>
void value_rows(float* out, int64_t hp, const float* weights, int64_t weight_stride, const T* values, int64_t count) {
  int64_t d = 0;
  for (; d + 64 <= hp; d += 64) value_tile<T, ROWS, 2>(out + d, hp, weights, weight_stride, values + d, hp, count);
  for (; d < hp; d += 32) value_tile<T, ROWS, 1>(out + d, hp, weights, weight_stride, values + d, hp, count);
}

template <class T>
void append(T* keys, T* values, const T* k, const T* v, int64_t t, HeadShape shape) {
  using Layout = CacheLayout<T>;
  for (int64_t d = 0; d < shape.head_size; d += Layout::kPerStep) std::memcpy(keys + Layout::key(t, d, shape.head_size), k + d, Layout::kPerStep * sizeof(T));
  Layout::append_values(values + t * shape.padded_head(), v, shape.head_size);
}

void softmax(float* row, int64_t n, float scale) {
  float top = row[0], sum = 0.0f;
#pragma omp simd reduction(max : top)
  for (int64_t j = 0; j < n; ++j) top = row[j] > top ? row[j] : top;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < n; ++j) {
    row[j] = exp_f32((row[j] - top) * scale);
    sum += row[j];
  }
  float inverse = 1.0f / sum;
  for (int64_t j = 0; j < n; ++j) row[j] *= inverse;
}

// Asks for memory that is needed soon: a cache is read once per step, and hardware does not look across its pages.
inline void prefetch(const void* from, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(static_cast<const char*>(from) + at, 0, 2);
}

template <class T>
void attend(T* out, T* keys, T* values, const T* qkv, int64_t length, int64_t kv_head, HeadShape shape) {
  using Layout = CacheLayout<T>;
  using Query = typename Layout::Query;
  static thread_local Scratch scratch;
  int64_t hd = shape.head_size, hp = shape.padded_head(), group = shape.heads / shape.kv_heads, count = length + 1;
  int64_t steps = hd / Layout::kPerStep, blocks = (count + 15) / 16, stride = 16 * blocks;
  float* scores = scratch.get<float>(group * (stride + hp + steps));  // [group, stride]
  float* o = scores + group * stride;                                 // [group, HDP]
  Query* q = reinterpret_cast<Query*>(o + group * hp);                // [group, steps]
  const T* k = qkv + shape.q_size() + kv_head * hd;
  prefetch(values, count * hp * static_cast<int64_t>(sizeof(T)));
  append(keys, values, k, k + shape.kv_size(), length, shape);
  for (int64_t i = 0; i < group * steps; ++i) q[i] = Layout::query(qkv + kv_head * group * hd + i * Layout::kPerStep);
  int64_t g = 0;
  for (; g + 2 <= group; g += 2) score_rows<T, 2>(scores + g * stride, stride, q + g * steps, keys, steps, blocks);
  for (; g < group; ++g) score_rows<T, 1>(scores + g * stride, stride, q + g * steps, keys, steps, blocks);
  for (g = 0; g < group; ++g) softmax(scores + g * stride, count, 1.0f / std::sqrt(static_cast<float>(hd)));
  for (g = 0; g + 2 <= group; g += 2) value_rows<T, 2>(o + g * hp, hp, scores + g * stride, stride, values, count);
  for (; g < group; ++g) value_rows<T, 1>(o + g * hp, hp, scores + g * stride, stride, values, count);
  for (g = 0; g < group; ++g)
    for (int64_t d = 0; d < hd; ++d) out[(kv_head * group + g) * hd + d] = from_float<T>(o[g * hp + d]);
}

}  // namespace

// A thread that decodes a batch of its own waits for nobody and finds its activations in its own cache; with too few sequences
// a thread, reading all weights in every thread would cost more than that saves.
int64_t CpuBackend::decode_shards(int64_t slots) const {
  constexpr int64_t kPerThread = 16;
  return slots >= kPerThread * threads() ? threads() : 1;
}

void CpuBackend::run_shards(int64_t shards, const std::function<void(int64_t shard)>& body) { run_apart(static_cast<int>(shards), body); }

void CpuBackend::decode_attention(Tensor out, Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, const int32_t* lengths, int64_t capacity,
                                  HeadShape shape) {
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    parallel_for(qkv.rows * shape.kv_heads, 4, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        int64_t i = task / shape.kv_heads, kv_head = task % shape.kv_heads, cache = (slots[i] * shape.kv_heads + kv_head) * capacity;
        if (task + 1 < end) {
          int64_t next = (task + 1) / shape.kv_heads, next_cache = (slots[next] * shape.kv_heads + (task + 1) % shape.kv_heads) * capacity;
          prefetch(keys.as<T>() + next_cache * shape.head_size, lengths[next] * shape.head_size * static_cast<int64_t>(sizeof(T)));
        }
        attend(out.as<T>() + i * shape.q_size(), keys.as<T>() + cache * shape.head_size, values.as<T>() + cache * shape.padded_head(),
               qkv.as<T>() + i * shape.qkv_size(), lengths[i], kv_head, shape);
      }
    });
  });
}

void CpuBackend::cache_fill(Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, int64_t copies, int64_t capacity, HeadShape shape) {
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    parallel_for(copies * shape.kv_heads, 1, [&](int64_t task, int64_t) {
      int64_t slot = slots[task / shape.kv_heads], kv_head = task % shape.kv_heads, cache = (slot * shape.kv_heads + kv_head) * capacity;
      for (int64_t t = 0; t < qkv.rows; ++t) {
        const T* k = qkv.as<T>() + t * shape.qkv_size() + shape.q_size() + kv_head * shape.head_size;
        append(keys.as<T>() + cache * shape.head_size, values.as<T>() + cache * shape.padded_head(), k, k + shape.kv_size(), t, shape);
      }
    });
  });
}

}  // namespace pk
