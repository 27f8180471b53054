// Rotary position embedding, in place on the query and key parts of packed qkv rows (HF layout: halves, not pairs).
#include "cuda/common.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

namespace {

template <int n, class T>
__global__ void rope_kernel(T* qkv, const int32_t* positions, const float* table, int64_t cols, int64_t rotated, int64_t half, float sign) {
  const float* cosine = table + positions[blockIdx.x] * 2 * half;
  T* row = qkv + blockIdx.x * cols;
  int per_head = static_cast<int>(half / n);
  for (int i = threadIdx.x; i < static_cast<int>(rotated) * per_head; i += blockDim.x) {
    int64_t d = i % per_head * n;
    T* head = row + i / per_head * 2 * half;
    float a[n], b[n], c[n], s[n];
    load_floats(a, head + d);
    load_floats(b, head + d + half);
    load_floats(c, cosine + d);
    load_floats(s, cosine + half + d);
    for (int k = 0; k < n; ++k) {
      float before = a[k];
      a[k] = before * c[k] - b[k] * sign * s[k];
      b[k] = b[k] * c[k] + before * sign * s[k];
    }
    store_floats(head + d, a);
    store_floats(head + d + half, b);
  }
}

}  // namespace

}  // namespace cuda

void CudaBackend::rope(Tensor qkv, const int32_t* positions, const float* table, HeadShape shape, bool inverse) {
  begin("rope", qkv.rows, qkv.cols);
  int64_t half = shape.head_size / 2;
  cuda::dispatch(qkv.dtype, [&](auto* tag) {
    using T = cuda::Element<decltype(tag)>;
    auto kernel = half % 4 == 0 ? cuda::rope_kernel<4, T> : cuda::rope_kernel<1, T>;
    cuda::launch(stream_, kernel, cuda::grid_of(qkv.rows), 128, 0, qkv.as<T>(), positions, table, qkv.cols, shape.heads + shape.kv_heads, half,
                 inverse ? -1.0f : 1.0f);
  });
}

}  // namespace pk
