// What is written in the GPU's own instructions: tensor-core products, matrix loads, asynchronous copies. The tests replace
// this one header (test/native/cuda_shim/cuda/intrinsics.cuh) to run the kernels on a CPU.
//
// Fragments of mma.m16n8k16 (PTX ISA, "Matrix fragments"), g = lane / 4, t = lane % 4; a register holds two bf16, the lower
// column (A) or row (B) in its lower half:
//   A [16 x 16]: a0 (g, 2t), a1 (g + 8, 2t), a2 (g, 2t + 8), a3 (g + 8, 2t + 8)
//   B [16 x 8]:  b0 (2t, g), b1 (2t + 8, g)
//   C [16 x 8]:  c0, c1 (g, 2t), c2, c3 (g + 8, 2t)
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

namespace pk::cuda {

// The block's dynamic shared memory.
__device__ __forceinline__ unsigned char* dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char pk_dynamic_shared[];
  return pk_dynamic_shared;
}

// A place in shared memory, in bytes.
using SharedAddress = uint32_t;
__device__ __forceinline__ SharedAddress shared_address(const void* at) { return static_cast<uint32_t>(__cvta_generic_to_shared(at)); }

// 16 bytes from global to shared memory, or 16 zeros when not `valid` (`from` may then be anywhere); complete after copy_commit() and copy_wait().
__device__ __forceinline__ void copy_async16(SharedAddress to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from), "r"(valid ? 16 : 0) : "memory");
}
// The same for 8 bytes.
__device__ __forceinline__ void copy_async8(SharedAddress to, const void* from, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;\n" ::"r"(to), "l"(from), "r"(valid ? 8 : 0) : "memory");
}
__device__ __forceinline__ void copy_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
// Waits until at most `groups_left` of this thread's latest groups are under way.
template <int groups_left>
__device__ __forceinline__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(groups_left) : "memory");
}

// Four 8 x 8 matrices of bf16: lane 8i + r gives the address of row r of matrix i; register i of a lane holds (g, 2t), (g, 2t + 1) of matrix i.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(row) : "memory");
}
// The same, each matrix transposed.
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}

// c += a b, [16 x 16] times [16 x 8], bf16 into float32.
__device__ __forceinline__ void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two floats rounded to bf16 in one register, `low` in its lower half.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

// The floats of such a register.
__device__ __forceinline__ float low_bf16(uint32_t both) { return __uint_as_float(both << 16); }
__device__ __forceinline__ float high_bf16(uint32_t both) { return __uint_as_float(both & 0xffff0000u); }
// The larger of each pair; where one is NaN, the other, or with _nan NaN.
__device__ __forceinline__ uint32_t max_bf16x2(uint32_t a, uint32_t b) {
  uint32_t larger;
  asm("max.bf16x2 %0, %1, %2;\n" : "=r"(larger) : "r"(a), "r"(b));
  return larger;
}
__device__ __forceinline__ uint32_t max_nan_bf16x2(uint32_t a, uint32_t b) {
  uint32_t larger;
  asm("max.NaN.bf16x2 %0, %1, %2;\n" : "=r"(larger) : "r"(a), "r"(b));
  return larger;
}
__device__ __forceinline__ float max_nan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;\n" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
}

// 2^x within 2 units in the last place; 0 for -Inf, NaN stays NaN.
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

// 1 / x within 1 unit in the last place; 0 for Inf.
__device__ __forceinline__ float reciprocal_fast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace pk::cuda
