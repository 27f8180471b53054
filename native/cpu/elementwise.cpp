// cast, column_sum and SwiGLU.
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/dispatch.h"
#include "cpu/simd.h"
#include "cpu/vector_math.h"

namespace pk {

void CpuBackend::cast(Tensor out, Tensor in) {
  parallel_for(in.size(), 1 << 16, [&](int64_t begin, int64_t end) {
    if (out.dtype == in.dtype) {
      std::copy(in.as<char>() + begin * dtype_size(in.dtype), in.as<char>() + end * dtype_size(in.dtype), out.as<char>() + begin * dtype_size(in.dtype));
    } else if (out.dtype == DType::bf16) {
      const float* from = in.as<float>();
      bf16* to = out.as<bf16>();
      for (int64_t i = begin; i < end; ++i) to[i] = to_bf16(from[i]);
    } else {
      const bf16* from = in.as<bf16>();
      float* to = out.as<float>();
      for (int64_t i = begin; i < end; ++i) to[i] = to_float(from[i]);
    }
  });
}

namespace {

// Sums of blocks of rows, each block in order, then the blocks in order: independent of the thread count.
template <class T>
void column_sum_typed(float* out, const T* in, int64_t rows, int64_t cols) {
  constexpr int64_t kBlock = 256;
  int64_t blocks = (rows + kBlock - 1) / kBlock;
  std::vector<float> partial(static_cast<size_t>(blocks * cols), 0.0f);
  parallel_for(rows, kBlock, [&](int64_t begin, int64_t end) {
    float* sum = partial.data() + begin / kBlock * cols;
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < cols; ++j) sum[j] += to_float(in[i * cols + j]);
  });
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t j = 0; j < cols; ++j) out[j] += partial[static_cast<size_t>(b * cols + j)];
}

template <class T>
void swiglu_row(T* out, const T* gate, const T* up, int64_t f) {
  int64_t j = 0;
  for (; j + kLanes <= f; j += kLanes) {
    VFloat g = load_lanes(gate + j);
    store_lanes(out + j, g * sigmoid_lanes(g) * load_lanes(up + j));
  }
  for (; j < f; ++j) {
    float g = to_float(gate[j]);
    out[j] = from_float<T>(g * sigmoid_f32(g) * to_float(up[j]));
  }
}

// d_gate may be gate, and d_up may be up.
template <class T>
void swiglu_backward_row(T* d_gate, T* d_up, const T* d_out, const T* gate, const T* up, int64_t f) {
  int64_t j = 0;
  for (; j + kLanes <= f; j += kLanes) {
    VFloat g = load_lanes(gate + j), u = load_lanes(up + j), d = load_lanes(d_out + j);
    VFloat s = sigmoid_lanes(g), silu = g * s;
    store_lanes(d_gate + j, d * u * (s + silu * (1.0f - s)));
    store_lanes(d_up + j, d * silu);
  }
  for (; j < f; ++j) {
    float g = to_float(gate[j]), u = to_float(up[j]), d = to_float(d_out[j]);
    float s = sigmoid_f32(g), silu = g * s;
    d_gate[j] = from_float<T>(d * u * (s + silu * (1.0f - s)));
    d_up[j] = from_float<T>(d * silu);
  }
}

}  // namespace

void CpuBackend::column_sum(float* out, Tensor in) {
  dispatch(in.dtype, [&](auto* tag) { column_sum_typed(out, in.as<Element<decltype(tag)>>(), in.rows, in.cols); });
}

void CpuBackend::swiglu_forward(Tensor out, Tensor gate_up) {
  dispatch(out.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    int64_t f = out.cols;
    parallel_for(out.rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) swiglu_row(out.as<T>() + i * f, gate_up.as<T>() + i * 2 * f, gate_up.as<T>() + i * 2 * f + f, f);
    });
  });
}

void CpuBackend::swiglu_backward(Tensor d_gate_up, Tensor out_again, Tensor d_out, Tensor gate_up) {
  dispatch(d_out.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    int64_t f = d_out.cols;
    parallel_for(d_out.rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T* d = d_gate_up.as<T>() + i * 2 * f;
        const T* in = gate_up.as<T>() + i * 2 * f;
        if (out_again.data) swiglu_row(out_again.as<T>() + i * f, in, in + f, f);
        swiglu_backward_row(d, d + f, d_out.as<T>() + i * f, in, in + f, f);
      }
    });
  });
}

}  // namespace pk
