// The C functions of losses.
#include "capi/checks.h"
#include "capi/context.h"

using namespace pk;
using namespace pk::capi;

namespace {

PpoSettings checked(const pk_ppo_settings* s, bool has_entropy, bool has_ref) {
  if (!s) refuse("settings must not be NULL.");
  check_number("clip_low", s->clip_low, 0, 1e30);
  check_number("clip_high", s->clip_high, 0, 1e30);
  check_size("aggregate", s->aggregate, 0, 2);
  if (s->dual_clip != 0) check_number("dual_clip", s->dual_clip, 1, 1e30);
  check_number("entropy_coef", s->entropy_coef, -1e30, 1e30);
  check_number("kl_coef", s->kl_coef, -1e30, 1e30);
  check_number("normalizer", s->normalizer, 0, 1e30);
  if (s->entropy_coef != 0 && !has_entropy) refuse("entropy must be given when entropy_coef is not 0.");
  if (s->kl_coef != 0 && !has_ref) refuse("ref_logprobs must be given when kl_coef is not 0.");
  return {s->clip_low, s->clip_high, static_cast<Aggregate>(s->aggregate), s->dual_clip, s->entropy_coef, s->kl_coef, s->normalizer};
}

void check_labels(const float* labels, int64_t rows, bool readable) {
  check_array("labels", labels, rows);
  for (int64_t i = 0; readable && i < rows; ++i)
    if (!(labels[i] >= 0 && labels[i] <= 1)) refuse("labels[" + std::to_string(i) + "] must be a number from 0 to 1, but is " + text(labels[i]) + ".");
}

}  // namespace

extern "C" {

pk_ppo_settings pk_default_ppo_settings(void) { return {0.2f, 0.2f, PK_TOKEN_MEAN, 0, 0, 0, 0}; }

pk_status pk_ppo_clip_loss(pk_context* context, pk_ppo_result* result, float* d_logprobs, float* d_entropy, const void* logprobs, const void* old_logprobs,
                           const float* advantages, const float* entropy, const void* ref_logprobs, const int32_t* offsets, pk_dtype type, int64_t n,
                           int64_t rows, const pk_ppo_settings* settings) {
  return run(context, [&](Backend& backend, bool readable) {
    PpoSettings s = checked(settings, entropy != nullptr, ref_logprobs != nullptr);
    check_array("result", result, 1);
    check_rows(offsets, n, rows, readable);
    Tensor now = log_probs("logprobs", logprobs, type, n), old = log_probs("old_logprobs", old_logprobs, type, n);
    Tensor ref = ref_logprobs ? log_probs("ref_logprobs", ref_logprobs, type, n) : Tensor();
    check_array("advantages", advantages, n);
    check_array("d_logprobs", d_logprobs, n);
    PpoResult r = backend.ppo_clip_loss(d_logprobs, d_entropy, now, old, advantages, entropy, ref, offsets, rows, s);
    *result = {r.loss, r.clip_fraction, r.approx_kl, r.ratio_max, r.kl, r.entropy};
  });
}

pk_status pk_prm_cross_entropy_loss(pk_context* context, pk_prm_result* result, float* d_logprobs, float* probabilities, const void* prm_logprobs,
                                    const void* ref_logprobs, const int32_t* offsets, const float* labels, pk_dtype type, int64_t n, int64_t rows, double beta,
                                    double normalizer) {
  return run(context, [&](Backend& backend, bool readable) {
    check_array("result", result, 1);
    check_rows(offsets, n, rows, readable);
    Tensor prm = log_probs("prm_logprobs", prm_logprobs, type, n), ref = log_probs("ref_logprobs", ref_logprobs, type, n);
    check_labels(labels, rows, readable);
    check_array("d_logprobs", d_logprobs, n);
    check_array("probabilities", probabilities, rows);
    check_beta(beta);
    check_number("normalizer", normalizer, 0, 1e30);
    PrmResult r = backend.prm_cross_entropy_loss(d_logprobs, probabilities, prm, ref, offsets, rows, labels, beta, normalizer);
    *result = {r.loss, r.accuracy};
  });
}

pk_status pk_prm_dpo_loss(pk_context* context, pk_prm_result* result, float* d_logprobs, const void* prm_logprobs, const void* ref_logprobs,
                          const int32_t* offsets, const float* labels, const int32_t* group_offsets, const float* group_scores, pk_dtype type, int64_t n,
                          int64_t rows, int64_t groups, double beta) {
  return run(context, [&](Backend& backend, bool readable) {
    check_array("result", result, 1);
    check_rows(offsets, n, rows, readable);
    check_groups(group_offsets, groups, rows, 1, readable);
    Tensor prm = log_probs("prm_logprobs", prm_logprobs, type, n), ref = log_probs("ref_logprobs", ref_logprobs, type, n);
    check_labels(labels, rows, readable);
    check_array("d_logprobs", d_logprobs, n);
    check_beta(beta);
    PrmResult r = backend.prm_dpo_loss(d_logprobs, prm, ref, offsets, rows, labels, group_offsets, groups, group_scores, beta);
    *result = {r.loss, r.accuracy};
  });
}
}
