// PPO's clipped loss and its exact gradient, in one pass over the tokens: a block per piece of the batch, then the pieces' sums in order.
#include "cuda/cuda_backend.h"
#include "cuda/packed_rows.cuh"

namespace pk {

namespace cuda {

namespace {

constexpr float kLogRatioLimit = 20.0f;  // log-ratios are clamped to +-20 before exp; beyond, the gradient is 0
constexpr int kThreads = 256;
constexpr int64_t kPieceTokens = 16 * kThreads;
constexpr int kAhead = 4;  // tokens of a thread
constexpr int kSums = 6;   // loss, clipped, approx_kl, kl, entropy, ratio_max

template <class T>
struct Token {
  T logprob, old_logprob, ref_logprob;
  float advantage, entropy;
};

template <class T>
struct PpoArrays {
  float *d_logprobs, *d_entropy;
  const T *logprobs, *old_logprobs, *ref_logprobs;
  const float *advantages, *entropy;
  const int32_t* offsets;
  int64_t tokens, rows;
  double divisor;
  __device__ __forceinline__ Token<T> load(int64_t t) const {
    return {logprobs[t], old_logprobs[t], ref_logprobs ? ref_logprobs[t] : T(0), advantages[t], entropy ? entropy[t] : 0};
  }
};

__device__ float clamp_log_ratio(float d) { return at_most(at_least(d, -kLogRatioLimit), kLogRatioLimit); }
__device__ float zero_where_clamped(float gradient, float d) { return d < -kLogRatioLimit || d > kLogRatioLimit ? 0.0f : gradient; }

// e^d - d - 1, without cancellation near 0.
__device__ float exp_minus_line(float d) {
  if (!(d > -0.5f && d < 0.5f)) return expf(d) - d - 1.0f;
  float series = 1.0f / 362880;
  series = series * d + 1.0f / 40320;
  series = series * d + 1.0f / 5040;
  series = series * d + 1.0f / 720;
  series = series * d + 1.0f / 120;
  series = series * d + 1.0f / 24;
  series = series * d + 1.0f / 6;
  series = series * d + 0.5f;
  return series * d * d;
}

struct PpoTerm {
  float loss, gradient;
  bool clipped;
};
// Loss and d loss / d logprob of the clipped objective of one token.
__device__ PpoTerm policy_term(float log_ratio, float ratio, float advantage, const PpoSettings& s) {
  float plain = -advantage * ratio, clipped = -advantage * at_most(at_least(ratio, 1.0f - s.clip_low), 1.0f + s.clip_high);
  bool is_clipped = clipped > plain;
  PpoTerm term{is_clipped ? clipped : plain, zero_where_clamped(is_clipped ? 0.0f : plain, log_ratio), is_clipped};
  if (s.dual_clip > 0) {
    float cap = -advantage * s.dual_clip;
    if (advantage < 0.0f && cap < term.loss) {
      term.loss = cap;
      term.gradient = 0.0f;
    }
  }
  return term;
}

template <class T>
__device__ float log_ratio_of(T a, T b) {
  return static_cast<float>(difference(a, b));
}

template <class T>
__global__ void __launch_bounds__(kThreads) ppo_clip_loss_kernel(double* sums, PpoArrays<T> a, PpoSettings s) {
  int64_t begin = blockIdx.x * kPieceTokens, end = begin + kPieceTokens < a.tokens ? begin + kPieceTokens : a.tokens;
  double approx_kl = 0, kl_sum = 0, entropy_sum = 0, loss = 0;
  int64_t clipped = 0;
  float ratio_max = 0;
  double inverse = 1 / a.divisor;
  for (int64_t t0 = begin + threadIdx.x; t0 < end; t0 += kAhead * kThreads) {
    Token<T> ahead[kAhead];  // all on their way before the first is used
    for (int k = 0; k < kAhead; ++k)
      if (t0 + k * kThreads < end) ahead[k] = a.load(t0 + k * kThreads);
    for (int k = 0; k < kAhead; ++k) {
      int64_t t = t0 + k * kThreads;
      if (t >= end) break;
      const Token<T>& token = ahead[k];
      if (s.aggregate == Aggregate::sequence_mean) {
        int64_t row = find_row(a.offsets, a.rows, t);
        inverse = 1 / (a.divisor * static_cast<double>(a.offsets[row + 1] - a.offsets[row]));
      }
      float weight = static_cast<float>(inverse), log_ratio = log_ratio_of(token.logprob, token.old_logprob);
      float bounded = clamp_log_ratio(log_ratio), ratio = expf(bounded);
      PpoTerm term = policy_term(log_ratio, ratio, token.advantage, s);
      double token_loss = term.loss;
      if (a.ref_logprobs) {
        float d = log_ratio_of(token.ref_logprob, token.logprob), at = clamp_log_ratio(d), kl = exp_minus_line(at);
        term.gradient += s.kl_coef * zero_where_clamped(-(kl + at), d);  // d k3 / d logprob = -(e^d - 1)
        if (s.kl_coef != 0) token_loss += static_cast<double>(s.kl_coef) * kl;
        kl_sum += kl;
      }
      if (a.entropy) {
        if (s.entropy_coef != 0) token_loss -= static_cast<double>(s.entropy_coef) * token.entropy;
        entropy_sum += token.entropy;
      }
      a.d_logprobs[t] = term.gradient * weight;
      if (a.d_entropy) a.d_entropy[t] = -s.entropy_coef * weight;
      loss += token_loss * inverse;
      approx_kl -= bounded;
      clipped += term.clipped;
      ratio_max = ratio > ratio_max ? ratio : ratio_max;
    }
  }
  double parts[kSums] = {loss, static_cast<double>(clipped), approx_kl, kl_sum, entropy_sum, 0};
  for (int k = 0; k < kSums - 1; ++k) parts[k] = block_sum(parts[k]);
  parts[kSums - 1] = block_reduce(ratio_max, Max());
  if (threadIdx.x == 0)
    for (int k = 0; k < kSums; ++k) sums[blockIdx.x * kSums + k] = parts[k];
}

// Block k adds up column k of the pieces' sums; the last one's is a maximum.
__global__ void ppo_totals_kernel(double* totals, const double* sums, int64_t pieces) {
  double total = 0;
  bool is_maximum = blockIdx.x == kSums - 1;
  for (int64_t i = threadIdx.x; i < pieces; i += blockDim.x) {
    double value = sums[i * kSums + blockIdx.x];
    total = !is_maximum ? total + value : value > total ? value : total;
  }
  total = is_maximum ? block_reduce(total, Max()) : block_sum(total);
  if (threadIdx.x == 0) totals[blockIdx.x] = total;
}

}  // namespace

}  // namespace cuda

PpoResult CudaBackend::ppo_clip_loss(float* d_logprobs, float* d_entropy, Tensor logprobs, Tensor old_logprobs, const float* advantages, const float* entropy,
                                     Tensor ref_logprobs, const int32_t* offsets, int64_t rows, const PpoSettings& settings) {
  using namespace cuda;
  int64_t n = logprobs.rows, pieces = ceil_div(n, kPieceTokens);
  begin("ppo_clip_loss", rows, n);
  if (n == 0) return {};
  double own = static_cast<double>(settings.aggregate == Aggregate::token_mean ? n : rows);
  double* sums = scratch_.take<double>(pieces * kSums);
  double* totals = scratch_.take<double>(kSums);
  with_log_probs(logprobs, old_logprobs, [&](auto* now, auto* old) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(now)>>;
    PpoArrays<T> arrays{d_logprobs,
                        d_entropy,
                        now,
                        old,
                        ref_logprobs.as<const T>(),
                        advantages,
                        entropy,
                        offsets,
                        n,
                        rows,
                        settings.normalizer > 0 ? settings.normalizer : own};
    launch(stream_, ppo_clip_loss_kernel<T>, grid_of(pieces), kThreads, 0, sums, arrays, settings);
  });
  launch(stream_, ppo_totals_kernel, kSums, kThreads, 0, totals, sums, pieces);
  double t[kSums], tokens = static_cast<double>(n);
  read_doubles(t, totals, kSums);
  return {t[0], t[1] / tokens, t[2] / tokens, t[5], t[3] / tokens, t[4] / tokens};
}

}  // namespace pk
