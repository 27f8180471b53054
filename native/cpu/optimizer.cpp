// AdamW on flat memory (its arithmetic is in ops/adamw.h), and the squared norm for clipping.
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/dispatch.h"
#include "ops/adamw.h"

namespace pk {

double CpuBackend::squared_norm(const float* values, int64_t n) {
  constexpr int64_t kBlock = 1 << 14;
  std::vector<double> partial(static_cast<size_t>((n + kBlock - 1) / kBlock), 0.0);
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) sum += static_cast<double>(values[i]) * values[i];
    partial[static_cast<size_t>(begin / kBlock)] = sum;
  });
  double total = 0.0;
  for (double p : partial) total += p;
  return total;
}

namespace {

// bits[4 * k + j] is word j of quad first + k.
void draw_bits(uint32_t* bits, int64_t first, int64_t quads, const AdamWNumbers& s) {
#pragma omp simd
  for (int64_t k = 0; k < quads; ++k) {
    Philox four = moment_bits(s, first + k);
    for (int64_t j = 0; j < 4; ++j) bits[4 * k + j] = four[static_cast<size_t>(j)];
  }
}

// Elements [begin, end), begin a multiple of 4. Random bits are drawn for a block at a time, so that both loops are vectorised.
template <class M>
void adamw_range(float* params, const float* grads, M* m, M* v, int64_t begin, int64_t end, const AdamWNumbers& s) {
  constexpr int64_t kBlock = 256;
  uint32_t bits[kBlock] = {};
  for (int64_t at = begin; at < end; at += kBlock) {
    int64_t count = std::min(kBlock, end - at);
    if (sizeof(M) == 2) draw_bits(bits, (s.first + at) / 4, (count + 3) / 4, s);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      float p = params[at + i], first = to_float(m[at + i]), second = to_float(v[at + i]);
      adamw_element(p, first, second, grads[at + i], s);
      params[at + i] = p;
      store_moment(m[at + i], first, bits[i]);
      store_moment(v[at + i], second, bits[i] >> 16);
    }
  }
}

}  // namespace

void CpuBackend::adamw(float* params, bf16* params_cast, const float* grads, Tensor m, Tensor v, const AdamWSettings& settings) {
  AdamWNumbers numbers = adamw_numbers(settings);
  dispatch(m.dtype, [&](auto* tag) {
    using M = Element<decltype(tag)>;
    parallel_for(m.size(), 1 << 14, [&](int64_t begin, int64_t end) {
      adamw_range(params, grads, m.as<M>(), v.as<M>(), begin, end, numbers);
      if (params_cast) {
#pragma omp simd
        for (int64_t i = begin; i < end; ++i) params_cast[i] = to_bf16(params[i]);
      }
    });
  });
}

}  // namespace pk
