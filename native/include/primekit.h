/* primekit.h: PRIME's kernels for another program, in plain C. Link with libprimekit.so (`bun run build:c`).
 *
 * Pointers are the host's for a context on "cpu" and the device's for one on "cuda". Arrays are packed, without padding: row i of a batch is
 * [offsets[i], offsets[i + 1]). Shape letters: N packed tokens, B rows, P prompts, S steps, V vocabulary, C hidden size. Arguments come in the
 * order outputs, inputs, sizes, numbers; outputs are overwritten unless "accumulates" is said. The equations are at the functions of the same
 * names in ts/kernels.
 *
 * Every function returns PK_OK or another pk_status; pk_last_error() then says in a sentence what was wrong. No exception and no signal comes out
 * of the library. A context is used by one thread at a time; several contexts may be used side by side.
 *
 * On "cuda", work follows what is already in the caller's stream, and what the caller puts there afterwards waits for it; functions return before
 * the work is done, but for those that give back numbers (the losses). Sizes and numbers are always checked. What index arrays (targets, offsets,
 * step ends) hold is checked on the CPU only: reading it back from a GPU would cost more than the kernels do.
 */
#ifndef PRIMEKIT_H
#define PRIMEKIT_H

#include <stdint.h>

#if defined(_WIN32)
#define PK_API
#else
#define PK_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Counts up with every change that a program compiled for an older header would notice. */
#define PK_ABI_VERSION 2
PK_API int32_t pk_abi_version(void); /* of the library; compare it with PK_ABI_VERSION */

typedef int32_t pk_status;
enum {
  PK_OK = 0,
  PK_INVALID_ARGUMENT = 1,
  PK_UNSUPPORTED = 2, /* no GPU, no driver, or a build without CUDA */
  PK_OUT_OF_MEMORY = 3,
  PK_DEVICE_LOST = 4, /* nothing on the GPU works in this process from now on */
  PK_FAILED = 5       /* anything else */
};

typedef int32_t pk_dtype;
enum { PK_FLOAT32 = 0, PK_BFLOAT16 = 1, PK_FLOAT64 = 2 };

typedef struct pk_context pk_context;

/* device: "cpu" or "cuda" (the first GPU). stream: the caller's cudaStream_t, NULL for the default stream and on the CPU. It must outlive the
 * context. *context is NULL after a failure, and pk_last_error(NULL) tells why. */
PK_API pk_status pk_context_create(const char* device, void* stream, pk_context** context);
PK_API void pk_context_destroy(pk_context* context); /* NULL is allowed */
/* Of the context's last call; with NULL, of this thread's last failed call without one. "" when there was no error. Never NULL; valid until the next call. */
PK_API const char* pk_last_error(const pk_context* context);

/* --- log-probabilities ------------------------------------------------------------------------------------------------------------------------ */

/* logprobs[i] = log softmax(logits[i] / temperature)[targets[i]]; entropy in nats. logits are float32 or bfloat16; their rows are `stride` elements
 * apart (>= V). */
PK_API pk_status pk_token_logprobs_forward(pk_context* context, float* logprobs /* [N] */, float* entropy /* [N] or NULL */, const void* logits /* [N, V] */,
                                           const int32_t* targets /* [N] */, pk_dtype type, int64_t n, int64_t vocab, int64_t stride, float temperature);
/* d_logits is of d_logits_type: float32, or as logits (and may then be logits itself). Its rows lie as those of logits; padding gets zeros. */
PK_API pk_status pk_token_logprobs_backward(pk_context* context, void* d_logits /* [N, V] */, const void* logits /* [N, V] */, const int32_t* targets /* [N] */,
                                            const float* d_logprobs /* [N] */, const float* d_entropy /* [N] or NULL */, pk_dtype type, pk_dtype d_logits_type,
                                            int64_t n, int64_t vocab, int64_t stride, float temperature);

/* The same on logits = hidden @ weight^T, which are never held. hidden and weight are of one type, float32 or bfloat16. log_sum_exp and entropy are
 * what the backward needs (entropy only with d_entropy). */
PK_API pk_status pk_linear_logprobs_forward(pk_context* context, float* logprobs /* [N] */, float* entropy /* [N] or NULL */, float* log_sum_exp /* [N] */,
                                            const void* hidden /* [N, C] */, const void* weight /* [V, C] */, const int32_t* targets /* [N] */, pk_dtype type,
                                            int64_t n, int64_t vocab, int64_t hidden_size, float temperature);
/* d_hidden is of d_hidden_type: float32, or as hidden. d_weight accumulates. */
PK_API pk_status pk_linear_logprobs_backward(pk_context* context, void* d_hidden /* [N, C] */, float* d_weight /* [V, C] */, const void* hidden /* [N, C] */,
                                             const void* weight /* [V, C] */, const int32_t* targets /* [N] */, const float* log_sum_exp /* [N] */,
                                             const float* entropy /* [N] or NULL */, const float* d_logprobs /* [N] */,
                                             const float* d_entropy /* [N] or NULL */, pk_dtype type, pk_dtype d_hidden_type, int64_t n, int64_t vocab,
                                             int64_t hidden_size, float temperature);

/* --- rewards and advantages ------------------------------------------------------------------------------------------------------------------- */
/* Log-probs of one call are all of one type, float32 or float64. n is offsets[B]. */

/* r_t = beta (log phi - log ref), its running sum in the row, and the sum at the row's end (0 for an empty row). */
PK_API pk_status pk_implicit_rewards(pk_context* context, float* rewards /* [N] */, float* q /* [N] */, float* scores /* [B] */,
                                     const void* prm_logprobs /* [N] */, const void* ref_logprobs /* [N] */, const int32_t* offsets /* [B+1] */, pk_dtype type,
                                     int64_t n, int64_t rows, double beta);

/* q at the ends of steps (positions inside the row), and its differences within the row. */
PK_API pk_status pk_step_rewards(pk_context* context, float* cumulative /* [S] */, float* per_step /* [S] */, const float* q /* [N] */,
                                 const int32_t* offsets /* [B+1] */, const int32_t* step_ends /* [S] */, const int32_t* step_offsets /* [B+1] */, int64_t n,
                                 int64_t rows, int64_t steps);

typedef struct {
  float gamma_process, gamma_outcome; /* 0..1 */
  float process_coef, outcome_coef;   /* 0 leaves the source out */
  int32_t released;                   /* 0: leave-one-out baseline (the paper's); 1: n/(n-1) (r - group mean) */
  int32_t normalize_batch;            /* 1: process rewards divided by the batch's largest |reverse cumulative sum| + 1e-6 */
  int32_t whiten;                     /* 1: over all tokens, unbiased variance */
} pk_advantage_settings;
PK_API pk_advantage_settings pk_default_advantage_settings(void); /* 1, 1, 1, 1, leave-one-out, not normalised, whitened */

/* At least one source is given. Groups of whole rows [group_offsets[p], group_offsets[p + 1]) are the answers to one prompt: two or more, or none. */
PK_API pk_status pk_prime_advantages(pk_context* context, float* advantages /* [N] */, float* returns /* [N] */, const float* process_rewards /* [N] or NULL */,
                                     const float* outcome_rewards /* [B] or NULL */, const int32_t* offsets /* [B+1] */,
                                     const int32_t* group_offsets /* [P+1] */, int64_t n, int64_t rows, int64_t groups, const pk_advantage_settings* settings);

/* --- losses ----------------------------------------------------------------------------------------------------------------------------------- */

enum { PK_TOKEN_MEAN = 0, PK_SEQUENCE_MEAN = 1, PK_SEQUENCE_SUM_MEAN = 2 };
typedef struct {
  float clip_low, clip_high;
  int32_t aggregate;
  float dual_clip;    /* 0: off, otherwise >= 1 */
  float entropy_coef; /* loss term - entropy_coef * entropy */
  float kl_coef;      /* loss term + kl_coef * k3(ref, new) */
  double normalizer;  /* divisor of the token or row sum; 0: the number of tokens or rows */
} pk_ppo_settings;
PK_API pk_ppo_settings pk_default_ppo_settings(void); /* 0.2, 0.2, token mean, the rest 0 */
typedef struct {
  double loss;
  double clip_fraction; /* share of tokens whose clipped term is strictly larger */
  double approx_kl;     /* token mean of old - new */
  double ratio_max;
  double kl;      /* token mean of k3, with ref_logprobs */
  double entropy; /* token mean, with entropy */
} pk_ppo_result;
typedef struct {
  double loss, accuracy;
} pk_prm_result;

PK_API pk_status pk_ppo_clip_loss(pk_context* context, pk_ppo_result* result /* on the host */, float* d_logprobs /* [N] */, float* d_entropy /* [N] or NULL */,
                                  const void* logprobs /* [N] */, const void* old_logprobs /* [N] */, const float* advantages /* [N] */,
                                  const float* entropy /* [N] or NULL */, const void* ref_logprobs /* [N] or NULL */, const int32_t* offsets /* [B+1] */,
                                  pk_dtype type, int64_t n, int64_t rows, const pk_ppo_settings* settings);

/* Cross entropy of sigmoid(row score) and the outcome label (0..1), mean over rows; normalizer as above. */
PK_API pk_status pk_prm_cross_entropy_loss(pk_context* context, pk_prm_result* result /* on the host */, float* d_logprobs /* [N] */,
                                           float* probabilities /* [B] */, const void* prm_logprobs /* [N] */, const void* ref_logprobs /* [N] */,
                                           const int32_t* offsets /* [B+1] */, const float* labels /* [B] */, pk_dtype type, int64_t n, int64_t rows,
                                           double beta, double normalizer);

/* Each row against the mean score of its group's better (or worse) rows; group_scores: beta * sum of log-ratios before the update, NULL: the current ones. */
PK_API pk_status pk_prm_dpo_loss(pk_context* context, pk_prm_result* result /* on the host */, float* d_logprobs /* [N] */, const void* prm_logprobs /* [N] */,
                                 const void* ref_logprobs /* [N] */, const int32_t* offsets /* [B+1] */, const float* labels /* [B] */,
                                 const int32_t* group_offsets /* [P+1] */, const float* group_scores /* [B] or NULL */, pk_dtype type, int64_t n, int64_t rows,
                                 int64_t groups, double beta);

#ifdef __cplusplus
}
#endif

#endif /* PRIMEKIT_H */
