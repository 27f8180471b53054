// The C functions of rewards and advantages.
#include "capi/checks.h"
#include "capi/context.h"

using namespace pk;
using namespace pk::capi;

namespace {

void check_steps(const int32_t* offsets, const int32_t* step_ends, const int32_t* step_offsets, int64_t rows, int64_t steps, bool readable) {
  check_size("steps", steps, 0);
  check_array("step_ends", step_ends, steps);
  check_offsets("step_offsets", step_offsets, rows, steps, readable);
  for (int64_t i = 0; readable && i < rows; ++i)
    for (int64_t s = step_offsets[i], length = offsets[i + 1] - offsets[i]; s < step_offsets[i + 1]; ++s)
      if (step_ends[s] < 0 || step_ends[s] >= length)
        refuse("step_ends must be positions inside their row, but step_ends[" + std::to_string(s) + "] is " + std::to_string(step_ends[s]) + " in a row of " +
               std::to_string(length) + " tokens.");
}

AdvantageSettings checked(const pk_advantage_settings* s) {
  if (!s) refuse("settings must not be NULL.");
  check_number("gamma_process", s->gamma_process, 0, 1);
  check_number("gamma_outcome", s->gamma_outcome, 0, 1);
  check_number("process_coef", s->process_coef, -1e30, 1e30);
  check_number("outcome_coef", s->outcome_coef, -1e30, 1e30);
  check_size("released", s->released, 0, 1);
  check_size("normalize_batch", s->normalize_batch, 0, 1);
  check_size("whiten", s->whiten, 0, 1);
  return {s->gamma_process,        s->gamma_outcome, s->process_coef, s->outcome_coef, s->released ? Baseline::released : Baseline::leave_one_out,
          s->normalize_batch != 0, s->whiten != 0};
}

}  // namespace

extern "C" {

pk_status pk_implicit_rewards(pk_context* context, float* rewards, float* q, float* scores, const void* prm_logprobs, const void* ref_logprobs,
                              const int32_t* offsets, pk_dtype type, int64_t n, int64_t rows, double beta) {
  return run(context, [&](Backend& backend, bool readable) {
    check_rows(offsets, n, rows, readable);
    Tensor prm = log_probs("prm_logprobs", prm_logprobs, type, n), ref = log_probs("ref_logprobs", ref_logprobs, type, n);
    check_array("rewards", rewards, n);
    check_array("q", q, n);
    check_array("scores", scores, rows);
    check_beta(beta);
    if (rows > 0) backend.implicit_rewards(rewards, q, scores, prm, ref, offsets, rows, beta);
  });
}

pk_status pk_step_rewards(pk_context* context, float* cumulative, float* per_step, const float* q, const int32_t* offsets, const int32_t* step_ends,
                          const int32_t* step_offsets, int64_t n, int64_t rows, int64_t steps) {
  return run(context, [&](Backend& backend, bool readable) {
    check_rows(offsets, n, rows, readable);
    check_steps(offsets, step_ends, step_offsets, rows, steps, readable);
    check_array("q", q, n);
    check_array("cumulative", cumulative, steps);
    check_array("per_step", per_step, steps);
    if (steps > 0) backend.step_rewards(cumulative, per_step, q, offsets, step_ends, step_offsets, rows);
  });
}

pk_advantage_settings pk_default_advantage_settings(void) { return {1, 1, 1, 1, 0, 0, 1}; }

pk_status pk_prime_advantages(pk_context* context, float* advantages, float* returns, const float* process_rewards, const float* outcome_rewards,
                              const int32_t* offsets, const int32_t* group_offsets, int64_t n, int64_t rows, int64_t groups,
                              const pk_advantage_settings* settings) {
  return run(context, [&](Backend& backend, bool readable) {
    AdvantageSettings s = checked(settings);
    check_rows(offsets, n, rows, readable);
    check_groups(group_offsets, groups, rows, 2, readable);
    if (!process_rewards && !outcome_rewards) refuse("process_rewards or outcome_rewards must be given: advantages need at least one source.");
    check_array("advantages", advantages, n);
    check_array("returns", returns, n);
    if (n > 0) backend.prime_advantages(advantages, returns, process_rewards, outcome_rewards, offsets, rows, group_offsets, groups, s);
  });
}
}
