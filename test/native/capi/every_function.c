/* Calls every function of primekit.h and compares with cases.h (made by cases.ts from the float64 oracles). Prints a line for every
 * difference and at the end "N values agree, M errors as they should be"; exits with 1 when anything differed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cases.h"
#include "primekit.h"

static int values = 0, errors = 0, failures = 0;

static void compare(const char *name, const float *got, const double *wanted, int n, double tolerance) {
  double scale = 1e-3;
  for (int i = 0; i < n; ++i) scale = fmax(scale, fabs(wanted[i]));
  for (int i = 0; i < n; ++i, ++values)
    if (!(fabs(got[i] - wanted[i]) <= tolerance * scale)) {
      printf("%s[%d] is %.9g, but should be %.9g\n", name, i, got[i], wanted[i]);
      ++failures;
    }
}

static void compare_number(const char *name, double got, double wanted) {
  ++values;
  if (fabs(got - wanted) <= 1e-6 * fmax(1, fabs(wanted))) return;
  printf("%s is %.9g, but should be %.9g\n", name, got, wanted);
  ++failures;
}

static void expect_ok(const pk_context *context, const char *name, pk_status status) {
  if (status == PK_OK && pk_last_error(context)[0] == '\0') return;
  printf("%s failed with %d: %s\n", name, status, pk_last_error(context));
  ++failures;
}

static void expect_error(const pk_context *context, pk_status status, pk_status wanted, const char *sentence) {
  ++errors;
  if (status == wanted && strcmp(pk_last_error(context), sentence) == 0) return;
  printf("got error %d \"%s\", but should be %d \"%s\"\n", status, pk_last_error(context), wanted, sentence);
  ++failures;
}

static void test_token_logprobs(pk_context *c) {
  float logprobs[kScored], h[kScored], d_logits[kScored * kVocab];
  expect_ok(c, "token_logprobs", pk_token_logprobs_forward(c, logprobs, h, logits, targets, PK_FLOAT32, kScored, kVocab, kVocab, (float)temperature));
  compare("logprobs", logprobs, want_logprobs, kScored, 2e-6);
  compare("entropy", h, want_entropy, kScored, 2e-6);
  expect_ok(c, "token_logprobs_backward",
            pk_token_logprobs_backward(c, d_logits, logits, targets, d_logprobs, d_entropy, PK_FLOAT32, PK_FLOAT32, kScored, kVocab, kVocab,
                                       (float)temperature));
  compare("d_logits", d_logits, want_d_logits, kScored * kVocab, 1e-5);
  expect_ok(c, "token_logprobs of bfloat16",
            pk_token_logprobs_forward(c, logprobs, h, logits_bf16, targets, PK_BFLOAT16, kScored, kVocab, kVocab, (float)temperature));
  compare("logprobs of bfloat16", logprobs, want_half_logprobs, kScored, 2e-6);
  compare("entropy of bfloat16", h, want_half_entropy, kScored, 2e-6);
  expect_ok(c, "token_logprobs_backward of bfloat16",
            pk_token_logprobs_backward(c, d_logits, logits_bf16, targets, d_logprobs, d_entropy, PK_BFLOAT16, PK_FLOAT32, kScored, kVocab, kVocab,
                                       (float)temperature));
  compare("d_logits of bfloat16", d_logits, want_half_d_logits, kScored * kVocab, 1e-5);
}

static void test_linear_logprobs(pk_context *c, pk_dtype type, const void *h, const void *w, double tolerance) {
  float logprobs[kScored], ent[kScored], lse[kScored], d_hidden[kScored * kHidden], d_weight[kVocab * kHidden];
  expect_ok(c, "linear_logprobs",
            pk_linear_logprobs_forward(c, logprobs, ent, lse, h, w, targets, type, kScored, kVocab, kHidden, (float)temperature));
  compare("linear logprobs", logprobs, want_linear_logprobs, kScored, tolerance);
  compare("linear entropy", ent, want_linear_entropy, kScored, tolerance);
  for (int i = 0; i < kVocab * kHidden; ++i) d_weight[i] = 1; /* it accumulates */
  expect_ok(c, "linear_logprobs_backward",
            pk_linear_logprobs_backward(c, d_hidden, d_weight, h, w, targets, lse, ent, d_logprobs, d_entropy, type, PK_FLOAT32, kScored, kVocab,
                                        kHidden, (float)temperature));
  for (int i = 0; i < kVocab * kHidden; ++i) d_weight[i] -= 1;
  compare("d_hidden", d_hidden, want_d_hidden, kScored * kHidden, 3 * tolerance);
  compare("d_weight", d_weight, want_d_weight, kVocab * kHidden, 3 * tolerance);
}

static void test_rewards(pk_context *c, pk_dtype type, const void *phi, const void *reference) {
  float r[kTokens], q[kTokens], scores[kRows], cumulative[kSteps], per_step[kSteps];
  expect_ok(c, "implicit_rewards", pk_implicit_rewards(c, r, q, scores, phi, reference, offsets, type, kTokens, kRows, beta));
  compare("rewards", r, want_rewards, kTokens, 1e-6);
  compare("q", q, want_q, kTokens, 1e-6);
  compare("scores", scores, want_scores, kRows, 1e-6);
  expect_ok(c, "step_rewards", pk_step_rewards(c, cumulative, per_step, q_in, offsets, step_ends, step_offsets, kTokens, kRows, kSteps));
  compare("cumulative", cumulative, want_cumulative, kSteps, 1e-6);
  compare("per_step", per_step, want_per_step, kSteps, 1e-6);
}

static void test_advantages(pk_context *c) {
  float adv[kTokens], returns[kTokens];
  pk_advantage_settings settings = pk_default_advantage_settings();
  expect_ok(c, "prime_advantages", pk_prime_advantages(c, adv, returns, process_rewards, outcome_rewards, offsets, group_offsets, kTokens, kRows,
                                                       kGroups, &settings));
  compare("advantages", adv, want_advantages, kTokens, 1e-5);
  compare("returns", returns, want_returns, kTokens, 1e-5);
  settings.released = settings.normalize_batch = 1;
  settings.whiten = 0;
  settings.gamma_process = 0.9f;
  settings.outcome_coef = 2;
  expect_ok(c, "prime_advantages, other settings", pk_prime_advantages(c, adv, returns, process_rewards, outcome_rewards, offsets, group_offsets,
                                                                       kTokens, kRows, kGroups, &settings));
  compare("other advantages", adv, want_other_advantages, kTokens, 1e-5);
  compare("other returns", returns, want_other_returns, kTokens, 1e-5);
}

static void test_ppo(pk_context *c) {
  float gradient[kTokens], d_ent[kTokens];
  pk_ppo_result r;
  pk_ppo_settings settings = pk_default_ppo_settings();
  expect_ok(c, "ppo_clip_loss", pk_ppo_clip_loss(c, &r, gradient, NULL, prm64, old64, advantages, NULL, NULL, offsets, PK_FLOAT64, kTokens, kRows,
                                                 &settings));
  compare("plain gradient", gradient, want_plain_gradient, kTokens, 1e-5);
  compare_number("plain loss", r.loss, want_plain_loss);
  compare_number("plain clip fraction", r.clip_fraction, want_plain_clip);
  compare_number("plain approx_kl", r.approx_kl, want_plain_kl);
  compare_number("plain ratio_max", r.ratio_max, want_plain_ratio);
  settings = (pk_ppo_settings){0.1f, 0.3f, PK_SEQUENCE_MEAN, 3, 0.02f, 0.05f, 7};
  expect_ok(c, "ppo_clip_loss, everything on",
            pk_ppo_clip_loss(c, &r, gradient, d_ent, prm, old, advantages, entropy, ref, offsets, PK_FLOAT32, kTokens, kRows, &settings));
  compare("full gradient", gradient, want_full_gradient, kTokens, 1e-5);
  compare("full d_entropy", d_ent, want_full_d_entropy, kTokens, 1e-5);
  compare_number("full loss", r.loss, want_full_loss);
  compare_number("full clip fraction", r.clip_fraction, want_full_clip);
  compare_number("full approx_kl", r.approx_kl, want_full_kl);
  compare_number("full ratio_max", r.ratio_max, want_full_ratio);
  compare_number("full kl", r.kl, want_full_k3);
}

static void test_prm_losses(pk_context *c) {
  float gradient[kTokens], probabilities[kRows];
  pk_prm_result r;
  expect_ok(c, "prm_cross_entropy_loss", pk_prm_cross_entropy_loss(c, &r, gradient, probabilities, prm, ref, offsets, labels, PK_FLOAT32, kTokens,
                                                                   kRows, beta, 0));
  compare("cross entropy gradient", gradient, want_ce_gradient, kTokens, 1e-5);
  compare("probabilities", probabilities, want_probabilities, kRows, 1e-6);
  compare_number("cross entropy", r.loss, want_ce_loss);
  compare_number("accuracy", r.accuracy, want_accuracy);
  expect_ok(c, "prm_dpo_loss", pk_prm_dpo_loss(c, &r, gradient, prm, ref, offsets, labels, group_offsets, group_scores, PK_FLOAT32, kTokens, kRows,
                                               kGroups, beta));
  compare("dpo gradient", gradient, want_dpo_gradient, kTokens, 1e-5);
  compare_number("dpo", r.loss, want_dpo_loss);
  expect_ok(c, "prm_dpo_loss, current scores", pk_prm_dpo_loss(c, &r, gradient, prm, ref, offsets, labels, group_offsets, NULL, PK_FLOAT32, kTokens,
                                                               kRows, kGroups, beta));
  compare_number("dpo, current scores", r.loss, want_dpo_current_loss);
}

static void test_misuse(pk_context *c) {
  float out[kTokens], more[kTokens], scores[kRows];
  int32_t bad[kRows + 1];
  pk_ppo_settings ppo = pk_default_ppo_settings();
  pk_advantage_settings adv = pk_default_advantage_settings();
  pk_ppo_result result;
  memcpy(bad, offsets, sizeof bad);
  expect_error(NULL, pk_implicit_rewards(NULL, out, more, scores, prm, ref, offsets, PK_FLOAT32, kTokens, kRows, beta), PK_INVALID_ARGUMENT,
               "context must not be NULL.");
  expect_error(c, pk_implicit_rewards(c, out, more, scores, NULL, ref, offsets, PK_FLOAT32, kTokens, kRows, beta), PK_INVALID_ARGUMENT,
               "prm_logprobs must not be NULL.");
  expect_error(c, pk_implicit_rewards(c, out, more, scores, prm, ref, offsets, PK_BFLOAT16, kTokens, kRows, beta), PK_INVALID_ARGUMENT,
               "type must be PK_FLOAT32 or PK_FLOAT64, but is 1.");
  expect_error(c, pk_implicit_rewards(c, out, more, scores, prm, ref, offsets, PK_FLOAT32, kTokens, kRows, (double)NAN), PK_INVALID_ARGUMENT,
               "beta must be a number from 1e-30 to 1e+30, but is nan.");
  expect_error(c, pk_implicit_rewards(c, out, more, scores, prm, ref, offsets, PK_FLOAT32, -1, kRows, beta), PK_INVALID_ARGUMENT,
               "n must be an integer from 0 to 2147483647, but is -1.");
  expect_error(c, pk_implicit_rewards(c, out, more, scores, prm, ref, offsets, PK_FLOAT32, kTokens - 1, kRows, beta), PK_INVALID_ARGUMENT,
               "offsets must end at 46, but ends at 47.");
  bad[2] = 1;
  expect_error(c, pk_implicit_rewards(c, out, more, scores, prm, ref, bad, PK_FLOAT32, kTokens, kRows, beta), PK_INVALID_ARGUMENT,
               "offsets must not decrease, but offsets[2] is 1 after 5.");
  expect_error(c, pk_token_logprobs_forward(c, out, NULL, logits, offsets, PK_FLOAT32, kRows, 5, 5, 1), PK_INVALID_ARGUMENT,
               "targets must be from 0 to 4, but targets[1] is 5.");
  expect_error(c, pk_token_logprobs_forward(c, out, NULL, logits, targets, PK_FLOAT32, kScored, kVocab, kVocab, 0), PK_INVALID_ARGUMENT,
               "temperature must be a number from 1e-06 to 1e+06, but is 0.");
  expect_error(c, pk_ppo_clip_loss(c, &result, out, NULL, prm, old, advantages, NULL, NULL, offsets, PK_FLOAT32, kTokens, kRows, NULL),
               PK_INVALID_ARGUMENT, "settings must not be NULL.");
  ppo.kl_coef = 1;
  expect_error(c, pk_ppo_clip_loss(c, &result, out, NULL, prm, old, advantages, NULL, NULL, offsets, PK_FLOAT32, kTokens, kRows, &ppo),
               PK_INVALID_ARGUMENT, "ref_logprobs must be given when kl_coef is not 0.");
  expect_error(c, pk_prime_advantages(c, out, more, NULL, NULL, offsets, group_offsets, kTokens, kRows, kGroups, &adv), PK_INVALID_ARGUMENT,
               "process_rewards or outcome_rewards must be given: advantages need at least one source.");
  bad[1] = 1;
  bad[2] = kRows;
  bad[0] = 0;
  expect_error(c, pk_prime_advantages(c, out, more, process_rewards, NULL, offsets, bad, kTokens, kRows, kGroups, &adv), PK_INVALID_ARGUMENT,
               "Every group must have at least 2 rows, but group 0 has 1.");
  expect_ok(c, "a good call after bad ones", pk_implicit_rewards(c, out, more, scores, prm, ref, offsets, PK_FLOAT32, kTokens, kRows, beta));
  expect_ok(c, "nothing", pk_implicit_rewards(c, NULL, NULL, NULL, NULL, NULL, group_offsets, PK_FLOAT32, 0, 0, beta));
}

static void test_contexts(void) {
  pk_context *c = (pk_context *)&values;
  expect_error(NULL, pk_context_create("tpu", NULL, &c), PK_INVALID_ARGUMENT, "device must be \"cpu\" or \"cuda\", but is \"tpu\".");
  if (c != NULL) ++failures;
  expect_error(NULL, pk_context_create("cpu", &values, &c), PK_INVALID_ARGUMENT, "stream must be NULL with device \"cpu\".");
  expect_error(NULL, pk_context_create("cpu", NULL, NULL), PK_INVALID_ARGUMENT, "context must not be NULL.");
  pk_context_destroy(NULL);
  switch (pk_context_create("cuda", NULL, &c)) { /* as the build and the machine are */
    case PK_OK:
      pk_context_destroy(c);
      break;
    case PK_UNSUPPORTED:
      if (c != NULL || (!strstr(pk_last_error(NULL), "NVIDIA") && !strstr(pk_last_error(NULL), "CUDA"))) ++failures;
      break;
    default:
      printf("cuda: %s\n", pk_last_error(NULL));
      ++failures;
  }
}

int main(void) {
  pk_context *c = NULL;
  if (pk_abi_version() != PK_ABI_VERSION) return printf("the library has ABI version %d\n", pk_abi_version()), 1;
  test_contexts();
  if (pk_context_create("cpu", NULL, &c) != PK_OK) return printf("%s\n", pk_last_error(NULL)), 1;
  test_token_logprobs(c);
  test_linear_logprobs(c, PK_FLOAT32, hidden, weight, 1e-5);
  test_linear_logprobs(c, PK_BFLOAT16, hidden_bf16, weight_bf16, 1e-2);
  test_rewards(c, PK_FLOAT32, prm, ref);
  test_rewards(c, PK_FLOAT64, prm64, ref64);
  test_advantages(c);
  test_ppo(c);
  test_prm_losses(c);
  test_misuse(c);
  pk_context_destroy(c);
  printf("%d values agree, %d errors as they should be\n", values - failures, errors);
  return failures ? 1 : 0;
}
