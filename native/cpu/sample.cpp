// Sampling: temperature, top-k, top-p, by inverse cumulative distribution with a counter-based uniform draw.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/parallel.h"
#include "core/rng.h"
#include "cpu/cpu_backend.h"
#include "cpu/scratch.h"
#include "cpu/vector_math.h"

namespace pk {

namespace {

int32_t argmax(const float* x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i)
    if (x[i] > x[best]) best = i;
  return static_cast<int32_t>(best);
}

// Index at which the running sum of weights passes `target`; the last positive weight when rounding leaves none.
int64_t pick(const float* weights, int64_t n, double target) {
  double sum = 0.0;
  int64_t last = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (weights[i] > 0.0f) {
      sum += weights[i];
      last = i;
      if (sum > target) return i;
    }
  }
  return last;
}

// top-k, then top-p on what is left (renormalised), as transformers does; ties go to the smaller id.
int32_t pick_restricted(const float* weights, int64_t vocab, const SampleSettings& s, float uniform) {
  std::vector<int32_t> order(static_cast<size_t>(vocab));
  std::iota(order.begin(), order.end(), 0);
  auto heavier = [&](int32_t a, int32_t b) { return weights[a] != weights[b] ? weights[a] > weights[b] : a < b; };
  int64_t k = s.top_k > 0 ? std::min<int64_t>(s.top_k, vocab) : vocab;
  std::partial_sort(order.begin(), order.begin() + k, order.end(), heavier);
  double total = 0.0;
  for (int64_t i = 0; i < k; ++i) total += weights[order[i]];
  int64_t kept = k;
  if (s.top_p < 1.0f) {
    double sum = 0.0;
    for (kept = 0; kept < k && (kept == 0 || sum < s.top_p * total); ++kept) sum += weights[order[kept]];
    total = sum;
  }
  double sum = 0.0, target = uniform * total;
  for (int64_t i = 0; i < kept; ++i) {
    sum += weights[order[i]];
    if (sum > target) return order[i];
  }
  return order[kept - 1];
}

void sample_row(int32_t* token, float* logprob, const float* logits, int64_t vocab, uint64_t sequence, int32_t position, const SampleSettings& s) {
  static thread_local Scratch scratch;
  float* weights = scratch.get<float>(vocab);
  bool greedy = s.temperature == 0.0f;
  float inverse = greedy ? 1.0f : 1.0f / s.temperature, top = logits[0];
  for (int64_t i = 1; i < vocab; ++i) top = logits[i] > top ? logits[i] : top;
  if (!std::isfinite(top)) {
    *token = -1;  // the decoder reports it
    return;
  }
  for (int64_t i = 0; i < vocab; ++i) weights[i] = exp_f32((logits[i] - top) * inverse);
  double total = 0.0;
  for (int64_t i = 0; i < vocab; ++i) total += weights[i];
  if (!std::isfinite(total)) {
    *token = -1;
    return;
  }
  if (greedy) {
    *token = argmax(logits, vocab);
  } else {
    float uniform = philox_uniform(philox(s.seed, sequence, static_cast<uint64_t>(position))[0]);
    bool restricted = (s.top_k > 0 && s.top_k < vocab) || s.top_p < 1.0f;
    *token = restricted ? pick_restricted(weights, vocab, s, uniform) : static_cast<int32_t>(pick(weights, vocab, uniform * total));
  }
  *logprob = (logits[*token] - top) * inverse - static_cast<float>(std::log(total));
}

}  // namespace

void CpuBackend::sample(int32_t* tokens, float* logprobs, const float* logits, const uint64_t* sequence_ids, const int32_t* positions, int64_t m, int64_t vocab,
                        const SampleSettings& settings) {
  parallel_for(m, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sample_row(tokens + i, logprobs + i, logits + i * vocab, vocab, sequence_ids[i], positions[i], settings);
  });
}

}  // namespace pk
