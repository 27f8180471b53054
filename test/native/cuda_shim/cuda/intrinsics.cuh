// native/cuda/intrinsics.cuh in plain loops: fragments lie in the lanes exactly as the hardware has them.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/tensor.h"

namespace pk::cuda {

inline unsigned char* dynamic_shared() { return cuda_shim::dynamic_shared(); }

// Wide enough for a pointer; a GPU's has 32 bits.
using SharedAddress = uintptr_t;
inline SharedAddress shared_address(const void* at) { return reinterpret_cast<uintptr_t>(at); }

inline void copy_async16(SharedAddress to, const void* from, bool valid) { cuda_shim::defer_copy(reinterpret_cast<void*>(to), valid ? from : nullptr, 16); }
inline void copy_async8(SharedAddress to, const void* from, bool valid) { cuda_shim::defer_copy(reinterpret_cast<void*>(to), valid ? from : nullptr, 8); }
inline void copy_commit() { cuda_shim::commit_copies(); }
template <int groups_left>
void copy_wait() {
  cuda_shim::wait_copies(groups_left);
}

inline void load_matrices(uint32_t (&r)[4], SharedAddress row) {
  auto rows = cuda_shim::warp_exchange(0xffffffffu, row);
  int g = cuda_shim::lane() / 4, t = cuda_shim::lane() % 4;
  for (int i = 0; i < 4; ++i) std::memcpy(&r[i], reinterpret_cast<const char*>(*rows.lane(8 * i + g)) + 4 * t, 4);
}
inline void load_matrices_transposed(uint32_t (&r)[4], SharedAddress row) {
  auto rows = cuda_shim::warp_exchange(0xffffffffu, row);
  int g = cuda_shim::lane() / 4, t = cuda_shim::lane() % 4;
  for (int i = 0; i < 4; ++i)
    for (int half = 0; half < 2; ++half) {
      uint16_t element;
      std::memcpy(&element, reinterpret_cast<const char*>(*rows.lane(8 * i + 2 * t + half)) + 2 * g, 2);
      r[i] = half ? r[i] | static_cast<uint32_t>(element) << 16 : element;
    }
}

inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Fragments {
    uint32_t a[4], b[2];
  };
  auto lanes = cuda_shim::warp_exchange(0xffffffffu, Fragments{{a[0], a[1], a[2], a[3]}, {b0, b1}});
  auto half = [](uint32_t word, int which) { return to_float(bf16{static_cast<uint16_t>(which ? word >> 16 : word)}); };
  int g = cuda_shim::lane() / 4, t = cuda_shim::lane() % 4;
  for (int i = 0; i < 4; ++i) {
    int column = 2 * t + i % 2;
    float sum = 0;
    for (int k = 0; k < 16; ++k) {
      int holder = k % 8 / 2;  // of this k in A (its row's lanes) and in B (its column's lanes)
      uint32_t word_a = lanes.lane(4 * g + holder)->a[(k / 8) * 2 + i / 2], word_b = lanes.lane(4 * column + holder)->b[k / 8];
      sum += half(word_a, k % 2) * half(word_b, k % 2);
    }
    c[i] += sum;
  }
}

inline uint32_t pack_bf16(float low, float high) { return to_bf16(low).bits | static_cast<uint32_t>(to_bf16(high).bits) << 16; }
inline float low_bf16(uint32_t both) { return __uint_as_float(both << 16); }
inline float high_bf16(uint32_t both) { return __uint_as_float(both & 0xffff0000u); }
inline float max_nan(float a, float b) { return a != a || b != b ? __builtin_nanf("") : a > b ? a : b; }
inline uint32_t max_bf16x2(uint32_t a, uint32_t b) { return pack_bf16(std::fmax(low_bf16(a), low_bf16(b)), std::fmax(high_bf16(a), high_bf16(b))); }
inline uint32_t max_nan_bf16x2(uint32_t a, uint32_t b) { return pack_bf16(max_nan(low_bf16(a), low_bf16(b)), max_nan(high_bf16(a), high_bf16(b))); }
inline float exp2_fast(float x) { return std::exp2(x); }
inline float reciprocal_fast(float x) { return 1.0f / x; }

}  // namespace pk::cuda
