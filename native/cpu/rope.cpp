// Rotary position embedding, in place on the query and key parts of packed qkv rows (HF layout: halves, not pairs).
#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/dispatch.h"
#include "cpu/simd.h"

namespace pk {

namespace {

template <class T>
void rotate_head(T* head, const float* cosine, const float* sine, int64_t half, float sign) {
  int64_t d = 0;
  for (; d + kLanes <= half; d += kLanes) {
    VFloat a = load_lanes(head + d), b = load_lanes(head + d + half);
    VFloat c = load_lanes(cosine + d), s = load_lanes(sine + d) * sign;
    store_lanes(head + d, a * c - b * s);
    store_lanes(head + d + half, b * c + a * s);
  }
  for (; d < half; ++d) {
    float a = to_float(head[d]), b = to_float(head[d + half]);
    head[d] = from_float<T>(a * cosine[d] - b * sign * sine[d]);
    head[d + half] = from_float<T>(b * cosine[d] + a * sign * sine[d]);
  }
}

}  // namespace

void CpuBackend::rope(Tensor qkv, const int32_t* positions, const float* table, HeadShape shape, bool inverse) {
  int64_t half = shape.head_size / 2, rotated = shape.heads + shape.kv_heads;
  dispatch(qkv.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    parallel_for(qkv.rows, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* cosine = table + positions[i] * shape.head_size;
        T* row = qkv.as<T>() + i * qkv.cols;
        for (int64_t h = 0; h < rotated; ++h) rotate_head(row + h * shape.head_size, cosine, cosine + half, half, inverse ? -1.0f : 1.0f);
      }
    });
  });
}

}  // namespace pk
