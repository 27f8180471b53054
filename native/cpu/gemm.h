// The two ways to compute a matrix product; CpuBackend::matmul picks. See Backend::matmul for the meaning of arguments.
#pragma once
#include "core/tensor.h"

namespace pk {

struct MatmulCall {
  Tensor out, a, b;
  bool transpose_a, transpose_b;
  const float* bias;
  bool accumulate;
};

void portable_matmul(const MatmulCall& call);
bool onednn_matmul(const MatmulCall& call);         // false: not built in, or this CPU cannot (bf16 without AVX-512)
const char* onednn_version();                       // null: not built in
int64_t onednn_packed_bytes(int64_t n, int64_t k);  // 0: no packed layout here
void onednn_pack(void* packed, Tensor b, bool transposed);

}  // namespace pk
