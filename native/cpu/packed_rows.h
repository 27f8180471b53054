// Sharing the rows of a packed batch among the threads, and the sum of log-ratios of one row.
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/simd.h"

namespace pk {

// body(row) for every row, in pieces of about 8192 tokens.
template <class Body>
void for_packed_rows(const int32_t* offsets, int64_t rows, const Body& body) {
  if (rows <= 0) return;
  int64_t tokens = std::max<int64_t>(1, offsets[rows]);
  int64_t grain = std::clamp<int64_t>(8192 * rows / tokens, 1, 4096);
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

// Calls body with a typed pointer to each log-prob array: float32 or float64, both alike.
template <class Body>
void with_log_probs(const Tensor& a, const Tensor& b, const Body& body) {
  if (a.dtype == DType::f64)
    body(a.as<const double>(), b.as<const double>());
  else
    body(a.as<const float>(), b.as<const float>());
}

// sum of a[t] - b[t] over [begin, end)
template <class T>
double log_ratio_sum(const T* a, const T* b, int64_t begin, int64_t end) {
  VDouble first{}, second{};
  int64_t t = begin;
  for (; t + 2 * kHalf <= end; t += 2 * kHalf) {
    first += difference(load_doubles(a + t), load_doubles(b + t));
    second += difference(load_doubles(a + t + kHalf), load_doubles(b + t + kHalf));
  }
  for (; t < end; t += kHalf) {
    int64_t n = std::min<int64_t>(kHalf, end - t);
    first += difference(load_doubles_part(a + t, n), load_doubles_part(b + t, n));
  }
  return sum(first + second);
}

}  // namespace pk
