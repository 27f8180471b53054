// PPO's clipped loss and its exact gradient, in one pass over the tokens.
#include <cmath>

#include "cpu/cpu_backend.h"
#include "cpu/packed_rows.h"
#include "cpu/scratch.h"

namespace pk {

namespace {

constexpr float kLogRatioLimit = 20.0f;  // log-ratios are clamped to +-20 before exp; beyond, the gradient is 0
constexpr int64_t kPieceTokens = 8192;

// Unweighted sums over some tokens.
struct PpoSums {
  double policy = 0, approx_kl = 0, kl = 0, entropy = 0;
  int64_t clipped = 0;
  float ratio_max = 0;
};

// Sums of at most kBlockTokens tokens stay in float32 lanes; then they go to PpoSums.
constexpr int64_t kBlockTokens = 512;
struct PpoLanes {
  VFloat policy{}, approx_kl{}, kl{}, entropy{}, ratio_max{};
  VInt clipped{};
};

double sum_of(VFloat lanes) {
  VDouble total{};
  add_to(total, lanes);
  return sum(total);
}

void add_block(PpoSums& out, const PpoLanes& lanes) {
  out.policy += sum_of(lanes.policy);
  out.approx_kl += sum_of(lanes.approx_kl);
  out.kl += sum_of(lanes.kl);
  out.entropy += sum_of(lanes.entropy);
  for (int i = 0; i < kLanes; ++i) out.clipped += lanes.clipped[i];
  out.ratio_max = std::max(out.ratio_max, largest(lanes.ratio_max));
}

struct PpoArrays {
  float *d_logprobs, *d_entropy;
  Tensor logprobs, old_logprobs, ref_logprobs;
  const float *advantages, *entropy;
};

inline VFloat log_ratio(const float* a, const float* b) { return difference(load<VFloat>(a), load<VFloat>(b)); }
inline VFloat log_ratio(const double* a, const double* b) {
  VHalf low = __builtin_convertvector(difference(load<VDouble>(a), load<VDouble>(b)), VHalf);
  VHalf high = __builtin_convertvector(difference(load<VDouble>(a + kHalf), load<VDouble>(b + kHalf)), VHalf);
  VFloat both;
  std::memcpy(&both, &low, sizeof(low));
  std::memcpy(reinterpret_cast<char*>(&both) + sizeof(low), &high, sizeof(high));
  return both;
}
template <class T>
inline VFloat log_ratio_part(const T* a, const T* b, int64_t n) {
  T first[kLanes] = {}, second[kLanes] = {};
  std::copy(a, a + n, first);
  std::copy(b, b + n, second);
  return log_ratio(first, second);
}

// e^d - d - 1 without cancellation near 0 (a Taylor series for |d| < 1/2).
inline VFloat exp_minus_line(VFloat d) {
  VFloat series = d * (1.0f / 362880) + 1.0f / 40320;
  series = series * d + 1.0f / 5040;
  series = series * d + 1.0f / 720;
  series = series * d + 1.0f / 120;
  series = series * d + 1.0f / 24;
  series = series * d + 1.0f / 6;
  series = series * d + 0.5f;
  VFloat near = series * d * d, far = exp_in_range(d) - d - 1.0f;
  return (d > -0.5f) & (d < 0.5f) ? near : far;
}

inline VFloat clamp_log_ratio(VFloat d) { return at_most(at_least(d, -kLogRatioLimit), kLogRatioLimit); }
inline VFloat zero_where_clamped(VFloat gradient, VFloat d) { return (d < -kLogRatioLimit) | (d > kLogRatioLimit) ? VFloat{} : gradient; }

// Loss and d loss / d logprob of the clipped objective for one vector of tokens.
inline VFloat policy_gradient(PpoLanes& sums, VFloat log_ratio, VFloat advantage, const PpoSettings& s) {
  VFloat clamped = clamp_log_ratio(log_ratio), ratio = exp_in_range(clamped);
  VFloat plain = -advantage * ratio;
  VFloat clipped = -advantage * at_most(at_least(ratio, 1.0f - s.clip_low), 1.0f + s.clip_high);
  VInt is_clipped = clipped > plain;
  VFloat loss = is_clipped ? clipped : plain;
  VFloat gradient = zero_where_clamped(is_clipped ? VFloat{} : plain, log_ratio);
  if (s.dual_clip > 0) {
    VFloat cap = -advantage * s.dual_clip;
    VInt capped = (advantage < 0.0f) & (cap < loss);
    loss = capped ? cap : loss;
    gradient = capped ? VFloat{} : gradient;
  }
  sums.clipped -= is_clipped;
  sums.ratio_max = ratio > sums.ratio_max ? ratio : sums.ratio_max;
  sums.approx_kl -= clamped;
  sums.policy += loss;
  return gradient;
}

// k3 of the reference against the policy, d = ref - new; its derivative by new is -(e^d - 1).
inline VFloat kl_gradient(PpoLanes& sums, VFloat d) {
  VFloat clamped = clamp_log_ratio(d), kl = exp_minus_line(clamped);
  sums.kl += kl;
  return zero_where_clamped(-(kl + clamped), d);
}

// Tokens [begin, end), all of one weight, at most kBlockTokens.
template <class T>
void ppo_block(PpoSums& out, const PpoArrays& a, int64_t begin, int64_t end, float weight, const PpoSettings& s) {
  const T *logprobs = a.logprobs.as<const T>(), *old = a.old_logprobs.as<const T>(), *ref = a.ref_logprobs.as<const T>();
  PpoLanes sums;
  int64_t t = begin;
  for (; t + kLanes <= end; t += kLanes) {
    VFloat gradient = policy_gradient(sums, log_ratio(logprobs + t, old + t), load<VFloat>(a.advantages + t), s);
    if (ref) gradient += s.kl_coef * kl_gradient(sums, log_ratio(ref + t, logprobs + t));
    if (a.entropy) sums.entropy += load<VFloat>(a.entropy + t);
    store(a.d_logprobs + t, gradient * weight);
  }
  if (int64_t n = end - t; n > 0) {
    // Lanes past the end hold log-ratio 0 and advantage 0, which add nothing but a ratio of 1.
    VFloat before = sums.ratio_max;
    sums.ratio_max = VFloat{};
    VFloat gradient = policy_gradient(sums, log_ratio_part(logprobs + t, old + t, n), load_part<VFloat>(a.advantages + t, n, 0.0f), s);
    for (int i = 0; i < kLanes; ++i) {
      if (i >= n || before[i] > sums.ratio_max[i]) sums.ratio_max[i] = before[i];
    }
    if (ref) gradient += s.kl_coef * kl_gradient(sums, log_ratio_part(ref + t, logprobs + t, n));
    if (a.entropy) sums.entropy += load_part<VFloat>(a.entropy + t, n, 0.0f);
    store_part(a.d_logprobs + t, gradient * weight, n);
  }
  add_block(out, sums);
}

template <class T>
void ppo_tokens(PpoSums& out, const PpoArrays& a, int64_t begin, int64_t end, float weight, const PpoSettings& s) {
  for (int64_t at = begin; at < end; at += kBlockTokens) ppo_block<T>(out, a, at, std::min(end, at + kBlockTokens), weight, s);
  if (a.d_entropy) std::fill(a.d_entropy + begin, a.d_entropy + end, -s.entropy_coef * weight);
}

double loss_of(const PpoSums& sums, const PpoSettings& s, bool has_ref, bool has_entropy) {
  double loss = sums.policy;
  if (has_ref && s.kl_coef != 0) loss += s.kl_coef * sums.kl;
  if (has_entropy && s.entropy_coef != 0) loss -= s.entropy_coef * sums.entropy;
  return loss;
}

struct PieceResult {
  PpoSums sums;
  double loss;
};

// Tokens [begin, end) of the batch. Where each row has a weight of its own, row by row.
template <class T>
PieceResult ppo_piece(const PpoArrays& a, const int32_t* offsets, int64_t rows, int64_t begin, int64_t end, double divisor, const PpoSettings& s) {
  PieceResult result{};
  bool has_ref = a.ref_logprobs.data, has_entropy = a.entropy;
  if (s.aggregate != Aggregate::sequence_mean) {
    ppo_tokens<T>(result.sums, a, begin, end, static_cast<float>(1 / divisor), s);
    result.loss = loss_of(result.sums, s, has_ref, has_entropy) / divisor;
    return result;
  }
  int64_t row = std::upper_bound(offsets, offsets + rows + 1, static_cast<int32_t>(begin)) - offsets - 1;
  for (int64_t at = begin; at < end; ++row) {
    int64_t stop = std::min<int64_t>(end, offsets[row + 1]);
    if (stop <= at) continue;
    double row_divisor = divisor * static_cast<double>(offsets[row + 1] - offsets[row]);
    PpoSums sums;
    ppo_tokens<T>(sums, a, at, stop, static_cast<float>(1 / row_divisor), s);
    result.loss += loss_of(sums, s, has_ref, has_entropy) / row_divisor;
    result.sums.policy += sums.policy;
    result.sums.approx_kl += sums.approx_kl;
    result.sums.kl += sums.kl;
    result.sums.entropy += sums.entropy;
    result.sums.clipped += sums.clipped;
    result.sums.ratio_max = std::max(result.sums.ratio_max, sums.ratio_max);
    at = stop;
  }
  return result;
}

}  // namespace

PpoResult CpuBackend::ppo_clip_loss(float* d_logprobs, float* d_entropy, Tensor logprobs, Tensor old_logprobs, const float* advantages, const float* entropy,
                                    Tensor ref_logprobs, const int32_t* offsets, int64_t rows, const PpoSettings& settings) {
  int64_t n = offsets[rows];
  if (n == 0) return {};
  PpoArrays arrays{d_logprobs, d_entropy, logprobs, old_logprobs, ref_logprobs, advantages, entropy};
  double own = static_cast<double>(settings.aggregate == Aggregate::token_mean ? n : rows);
  double divisor = settings.normalizer > 0 ? settings.normalizer : own;
  int64_t pieces = (n + kPieceTokens - 1) / kPieceTokens;
  static thread_local Scratch scratch;
  PieceResult* results = scratch.get<PieceResult>(pieces);
  parallel_for(n, kPieceTokens, [&](int64_t begin, int64_t end) {
    bool wide = logprobs.dtype == DType::f64;
    results[begin / kPieceTokens] =
        wide ? ppo_piece<double>(arrays, offsets, rows, begin, end, divisor, settings) : ppo_piece<float>(arrays, offsets, rows, begin, end, divisor, settings);
  });
  PieceResult total{};
  for (int64_t p = 0; p < pieces; ++p) {
    const PpoSums& sums = results[p].sums;
    total.loss += results[p].loss;
    total.sums.approx_kl += sums.approx_kl;
    total.sums.kl += sums.kl;
    total.sums.entropy += sums.entropy;
    total.sums.clipped += sums.clipped;
    total.sums.ratio_max = std::max(total.sums.ratio_max, sums.ratio_max);
  }
  double tokens = static_cast<double>(n);
  return {total.loss,
          static_cast<double>(total.sums.clipped) / tokens,
          total.sums.approx_kl / tokens,
          total.sums.ratio_max,
          total.sums.kl / tokens,
          total.sums.entropy / tokens};
}

}  // namespace pk
