// Attention of any element type and head size, without tensor cores: what the fast kernels leave over. See attention_plain.cu.
#pragma once
#include "cuda/common.cuh"
#include "ops/backend.h"

namespace pk::cuda {

inline bool has_tensor_path(DType dtype, HeadShape shape) { return dtype == DType::bf16 && (shape.head_size == 64 || shape.head_size == 128); }

void plain_attention_forward(cudaStream_t stream, Tensor out, float* lse, Tensor qkv, const int32_t* offsets, int64_t rows, HeadShape shape);

// dots [N, NH]: the scalar products of every head's d_out and out.
void launch_output_dots(cudaStream_t stream, float* dots, Tensor d_out, Tensor out, HeadShape shape);
void plain_attention_backward(cudaStream_t stream, Tensor d_qkv, Tensor d_out, const float* dots, const float* lse, Tensor qkv, const int32_t* offsets,
                              int64_t rows, HeadShape shape);

// One query per head of every sequence against a cache of keys [.., HD] and values [.., HDP].
void plain_decode_attention(cudaStream_t stream, Tensor out, Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, const int32_t* lengths,
                            int64_t capacity, HeadShape shape);

}  // namespace pk::cuda
