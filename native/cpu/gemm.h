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
bool onednn_matmul(const MatmulCall& call);  // false: not built in, or this CPU cannot (bf16 without AVX-512)
const char* onednn_version();                // null: not built in

}  // namespace pk
