// Ops not written yet; each leaves this file as it is written, and then the file goes.
#include "core/error.h"
#include "cpu/cpu_backend.h"

namespace pk {

[[noreturn]] static void pending(const char* op) { throw Error("ERR_PENDING", std::string("The op ") + op + " is not written yet."); }

void CpuBackend::implicit_rewards(float*, float*, float*, Tensor, Tensor, const int32_t*, int64_t, double) { pending("implicit_rewards"); }
void CpuBackend::step_rewards(float*, float*, const float*, const int32_t*, const int32_t*, const int32_t*, int64_t) { pending("step_rewards"); }
void CpuBackend::prime_advantages(float*, float*, const float*, const float*, const int32_t*, int64_t, const int32_t*, int64_t, const AdvantageSettings&) { pending("prime_advantages"); }
PpoResult CpuBackend::ppo_clip_loss(float*, float*, Tensor, Tensor, const float*, const float*, Tensor, const int32_t*, int64_t, const PpoSettings&) { pending("ppo_clip_loss"); }
PrmResult CpuBackend::prm_cross_entropy_loss(float*, float*, Tensor, Tensor, const int32_t*, int64_t, const float*, double, double) { pending("prm_cross_entropy_loss"); }
PrmResult CpuBackend::prm_dpo_loss(float*, Tensor, Tensor, const int32_t*, int64_t, const float*, const int32_t*, int64_t, const float*, double) { pending("prm_dpo_loss"); }

}  // namespace pk
