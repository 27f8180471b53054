// RMSNorm fused with the residual addition before it, and its backward fused with the residual gradient.
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/dispatch.h"
#include "cpu/simd.h"

namespace pk {

namespace {

// x_out = x_in (+ delta); the sum of its squares.
template <class T>
float add_and_square(float* x_out, const float* x_in, const T* delta, int64_t c) {
  VFloat lanes{};
  int64_t j = 0;
  for (; j + kLanes <= c; j += kLanes) {
    VFloat x = delta ? load_lanes(x_in + j) + load_lanes(delta + j) : load_lanes(x_in + j);
    store_lanes(x_out + j, x);
    lanes += x * x;
  }
  float sum = 0.0f;
  for (int i = 0; i < kLanes; ++i) sum += lanes[i];
  for (; j < c; ++j) {
    float x = delta ? x_in[j] + to_float(delta[j]) : x_in[j];
    x_out[j] = x;
    sum += x * x;
  }
  return sum;
}

template <class T>
void scale_row(T* out, const float* x, float rstd, const float* weight, int64_t c) {
  int64_t j = 0;
  for (; j + kLanes <= c; j += kLanes) store_lanes(out + j, load_lanes(x + j) * rstd * load_lanes(weight + j));
  for (; j < c; ++j) out[j] = from_float<T>(x[j] * rstd * weight[j]);
}

template <class T>
float normed_dot(const T* d_normed, const float* weight, const float* x, int64_t c) {
  float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
  for (int64_t j = 0; j < c; ++j) dot += to_float(d_normed[j]) * weight[j] * x[j];
  return dot;
}

}  // namespace

void CpuBackend::rmsnorm_forward(Tensor normed, float* rstd, Tensor x_out, Tensor x_in, Tensor delta, const float* weight, float eps) {
  int64_t c = normed.cols;
  dispatch(normed.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    parallel_for(normed.rows, 32, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* x = x_out.f32() + i * c;
        float sum = add_and_square<T>(x, x_in.f32() + i * c, delta.data ? delta.as<T>() + i * c : nullptr, c);
        float r = 1.0f / std::sqrt(sum / static_cast<float>(c) + eps);
        rstd[i] = r;
        scale_row(normed.as<T>() + i * c, x, r, weight, c);
      }
    });
  });
}

void CpuBackend::rmsnorm_backward(Tensor d_x, Tensor d_x_cast, float* d_weight, Tensor d_normed, Tensor x, const float* weight, const float* rstd) {
  int64_t c = d_x.cols, n = d_x.rows;
  constexpr int64_t kBlock = 128;  // rows whose weight gradients are summed together, whatever the thread count
  std::vector<float> partial(static_cast<size_t>((n + kBlock - 1) / kBlock * c), 0.0f);
  dispatch(d_normed.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
      float* dw = partial.data() + begin / kBlock * c;
      for (int64_t i = begin; i < end; ++i) {
        const T* dn = d_normed.as<T>() + i * c;
        const float* xi = x.f32() + i * c;
        float* dx = d_x.f32() + i * c;
        float r = rstd[i];
        float scale = normed_dot(dn, weight, xi, c) * r * r * r / static_cast<float>(c);
#pragma omp simd
        for (int64_t j = 0; j < c; ++j) {
          float g = to_float(dn[j]);
          dw[j] += g * xi[j] * r;
          dx[j] += g * weight[j] * r - xi[j] * scale;
        }
        if (d_x_cast.data) {
          T* cast_out = d_x_cast.as<T>() + i * c;
#pragma omp simd
          for (int64_t j = 0; j < c; ++j) cast_out[j] = from_float<T>(dx[j]);
        }
      }
    });
  });
  for (size_t b = 0; b * c < partial.size(); ++b)
    for (int64_t j = 0; j < c; ++j) d_weight[j] += partial[b * c + j];
}

}  // namespace pk
