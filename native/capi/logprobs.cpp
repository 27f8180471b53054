// The C functions of log-probabilities.
#include "capi/checks.h"
#include "capi/context.h"

using namespace pk;
using namespace pk::capi;

namespace {

Tensor check_logits(const void* logits, const int32_t* targets, pk_dtype type, int64_t n, int64_t vocab, int64_t stride, float temperature, bool readable) {
  DType dtype = check_matrix_type("type", type);
  check_size("n", n, 0);
  check_size("vocab", vocab, 1);
  check_size("stride", stride, vocab);
  check_array("logits", logits, n);
  check_targets(targets, n, vocab, readable);
  check_temperature(temperature);
  return {const_cast<void*>(logits), dtype, n, stride};
}

struct Projection {
  Tensor hidden, weight;
};

Projection check_projection(const void* hidden, const void* weight, const int32_t* targets, pk_dtype type, int64_t n, int64_t vocab, int64_t hidden_size,
                            float temperature, bool readable) {
  DType dtype = check_matrix_type("type", type);
  check_size("n", n, 0);
  check_size("vocab", vocab, 1);
  check_size("hidden_size", hidden_size, 1, 1 << 24);
  check_array("hidden", hidden, n);
  check_array("weight", weight, vocab);
  check_targets(targets, n, vocab, readable);
  check_temperature(temperature);
  return {{const_cast<void*>(hidden), dtype, n, hidden_size}, {const_cast<void*>(weight), dtype, vocab, hidden_size}};
}

}  // namespace

extern "C" {

pk_status pk_token_logprobs_forward(pk_context* context, float* logprobs, float* entropy, const void* logits, const int32_t* targets, pk_dtype type, int64_t n,
                                    int64_t vocab, int64_t stride, float temperature) {
  return run(context, [&](Backend& backend, bool readable) {
    Tensor rows = check_logits(logits, targets, type, n, vocab, stride, temperature, readable);
    check_array("logprobs", logprobs, n);
    if (n > 0) backend.token_logprobs_forward(logprobs, entropy, rows, targets, vocab, temperature);
  });
}

pk_status pk_token_logprobs_backward(pk_context* context, void* d_logits, const void* logits, const int32_t* targets, const float* d_logprobs,
                                     const float* d_entropy, pk_dtype type, pk_dtype d_logits_type, int64_t n, int64_t vocab, int64_t stride,
                                     float temperature) {
  return run(context, [&](Backend& backend, bool readable) {
    Tensor rows = check_logits(logits, targets, type, n, vocab, stride, temperature, readable);
    DType d_type = check_matrix_type("d_logits_type", d_logits_type);
    if (d_type != DType::f32 && d_type != rows.dtype) refuse("d_logits_type must be PK_FLOAT32 or the type of logits.");
    check_array("d_logits", d_logits, n);
    check_array("d_logprobs", d_logprobs, n);
    if (n > 0) backend.token_logprobs_backward({d_logits, d_type, n, stride}, rows, targets, d_logprobs, d_entropy, vocab, temperature);
  });
}

pk_status pk_linear_logprobs_forward(pk_context* context, float* logprobs, float* entropy, float* log_sum_exp, const void* hidden, const void* weight,
                                     const int32_t* targets, pk_dtype type, int64_t n, int64_t vocab, int64_t hidden_size, float temperature) {
  return run(context, [&](Backend& backend, bool readable) {
    Projection p = check_projection(hidden, weight, targets, type, n, vocab, hidden_size, temperature, readable);
    check_array("logprobs", logprobs, n);
    check_array("log_sum_exp", log_sum_exp, n);
    if (n > 0) backend.linear_logprobs_forward(logprobs, entropy, log_sum_exp, p.hidden, p.weight, targets, temperature);
  });
}

pk_status pk_linear_logprobs_backward(pk_context* context, void* d_hidden, float* d_weight, const void* hidden, const void* weight, const int32_t* targets,
                                      const float* log_sum_exp, const float* entropy, const float* d_logprobs, const float* d_entropy, pk_dtype type,
                                      pk_dtype d_hidden_type, int64_t n, int64_t vocab, int64_t hidden_size, float temperature) {
  return run(context, [&](Backend& backend, bool readable) {
    Projection p = check_projection(hidden, weight, targets, type, n, vocab, hidden_size, temperature, readable);
    DType d_type = check_matrix_type("d_hidden_type", d_hidden_type);
    if (d_type != DType::f32 && d_type != p.hidden.dtype) refuse("d_hidden_type must be PK_FLOAT32 or the type of hidden.");
    check_array("d_hidden", d_hidden, n);
    check_array("d_weight", d_weight, vocab);
    check_array("log_sum_exp", log_sum_exp, n);
    check_array("d_logprobs", d_logprobs, n);
    if (d_entropy && !entropy) refuse("entropy must be given with d_entropy.");
    if (n == 0) return;
    backend.linear_logprobs_backward({d_hidden, d_type, n, hidden_size}, {d_weight, vocab, hidden_size}, p.hidden, p.weight, targets, log_sum_exp, entropy,
                                     d_logprobs, d_entropy, temperature);
  });
}
}
