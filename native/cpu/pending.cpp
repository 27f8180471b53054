// Ops not written yet; each leaves this file as it is written, and then the file goes.
#include "core/error.h"
#include "cpu/cpu_backend.h"

namespace pk {

[[noreturn]] static void pending(const char* op) { throw Error("ERR_PENDING", std::string("The op ") + op + " is not written yet."); }

void CpuBackend::cast(Tensor, Tensor) { pending("cast"); }
void CpuBackend::column_sum(float*, Tensor) { pending("column_sum"); }
void CpuBackend::embedding_forward(Tensor, const int32_t*, const float*) { pending("embedding_forward"); }
void CpuBackend::embedding_backward(float*, Tensor, const int32_t*, int64_t) { pending("embedding_backward"); }
void CpuBackend::rmsnorm_forward(Tensor, float*, Tensor, Tensor, Tensor, const float*, float) { pending("rmsnorm_forward"); }
void CpuBackend::rmsnorm_backward(Tensor, Tensor, float*, Tensor, Tensor, const float*, const float*) { pending("rmsnorm_backward"); }
void CpuBackend::rope(Tensor, const int32_t*, const float*, HeadShape, bool) { pending("rope"); }
void CpuBackend::attention_forward(Tensor, float*, Tensor, const int32_t*, int64_t, HeadShape) { pending("attention_forward"); }
void CpuBackend::attention_backward(Tensor, Tensor, Tensor, const float*, Tensor, const int32_t*, int64_t, HeadShape) { pending("attention_backward"); }
void CpuBackend::swiglu_forward(Tensor, Tensor) { pending("swiglu_forward"); }
void CpuBackend::swiglu_backward(Tensor, Tensor, Tensor, Tensor) { pending("swiglu_backward"); }
void CpuBackend::gather_rows(Tensor, Tensor, const int32_t*) { pending("gather_rows"); }
void CpuBackend::scatter_rows(Tensor, Tensor, const int32_t*) { pending("scatter_rows"); }
void CpuBackend::token_logprobs_forward(float*, float*, const float*, const int32_t*, int64_t, int64_t, int64_t, float) { pending("token_logprobs_forward"); }
void CpuBackend::token_logprobs_backward(float*, const float*, const int32_t*, const float*, const float*, int64_t, int64_t, int64_t, float) { pending("token_logprobs_backward"); }
void CpuBackend::linear_logprobs_forward(float*, float*, float*, Tensor, Tensor, const int32_t*, float) { pending("linear_logprobs_forward"); }
void CpuBackend::linear_logprobs_backward(Tensor, Tensor, Tensor, Tensor, const int32_t*, const float*, const float*, const float*, const float*, float) { pending("linear_logprobs_backward"); }
void CpuBackend::implicit_rewards(float*, float*, float*, Tensor, Tensor, const int32_t*, int64_t, double) { pending("implicit_rewards"); }
void CpuBackend::step_rewards(float*, float*, const float*, const int32_t*, const int32_t*, const int32_t*, int64_t) { pending("step_rewards"); }
void CpuBackend::prime_advantages(float*, float*, const float*, const float*, const int32_t*, int64_t, const int32_t*, int64_t, const AdvantageSettings&) { pending("prime_advantages"); }
PpoResult CpuBackend::ppo_clip_loss(float*, float*, Tensor, Tensor, const float*, const float*, Tensor, const int32_t*, int64_t, const PpoSettings&) { pending("ppo_clip_loss"); }
PrmResult CpuBackend::prm_cross_entropy_loss(float*, float*, Tensor, Tensor, const int32_t*, int64_t, const float*, double, double) { pending("prm_cross_entropy_loss"); }
PrmResult CpuBackend::prm_dpo_loss(float*, Tensor, Tensor, const int32_t*, int64_t, const float*, const int32_t*, int64_t, const float*, double) { pending("prm_dpo_loss"); }
double CpuBackend::squared_norm(const float*, int64_t) { pending("squared_norm"); }
void CpuBackend::adamw(float*, bf16*, const float*, float*, float*, int64_t, const AdamWSettings&) { pending("adamw"); }
void CpuBackend::decode_attention(Tensor, Tensor, Tensor, Tensor, const int32_t*, const int32_t*, int64_t, HeadShape) { pending("decode_attention"); }
void CpuBackend::cache_fill(Tensor, Tensor, Tensor, const int32_t*, int64_t, int64_t, HeadShape) { pending("cache_fill"); }
void CpuBackend::sample(int32_t*, float*, const float*, const uint64_t*, const int32_t*, int64_t, int64_t, const SampleSettings&) { pending("sample"); }

}  // namespace pk
