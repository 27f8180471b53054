// AdamW (Loshchilov & Hutter 2019, decoupled weight decay) on flat memory, and the squared norm for clipping.
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "cpu/cpu_backend.h"

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

void CpuBackend::adamw(float* params, bf16* params_cast, const float* grads, float* m, float* v, int64_t n, const AdamWSettings& s) {
  double step = static_cast<double>(s.step);
  float correct1 = static_cast<float>(1.0 / (1.0 - std::pow(s.beta1, step)));
  float correct2 = static_cast<float>(1.0 / (1.0 - std::pow(s.beta2, step)));
  float beta1 = static_cast<float>(s.beta1), rest1 = static_cast<float>(1.0 - s.beta1), beta2 = static_cast<float>(s.beta2),
        rest2 = static_cast<float>(1.0 - s.beta2);
  float keep = 1.0f - s.lr * s.weight_decay;
  parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      float g = grads[i] * s.grad_scale;
      m[i] = beta1 * m[i] + rest1 * g;
      v[i] = beta2 * v[i] + rest2 * g * g;
      params[i] = params[i] * keep - s.lr * (m[i] * correct1) / (std::sqrt(v[i] * correct2) + s.eps);
    }
    if (params_cast) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) params_cast[i] = to_bf16(params[i]);
    }
  });
}

}  // namespace pk
