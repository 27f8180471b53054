// Implicit process rewards: r_t = beta (log phi_t - log ref_t), their running sum, and rewards of steps. One pass.
#include "cpu/cpu_backend.h"
#include "cpu/packed_rows.h"

namespace pk {

namespace {

// One row; returns the sum of its rewards. The carry is one addition per block: the sums inside a block do not wait for it.
template <class T>
double row_rewards(float* rewards, float* q, const T* prm, const T* ref, int64_t n, double beta) {
  VDouble carry{};
  int64_t t = 0;
  for (; t + kHalf <= n; t += kHalf) {
    VDouble r = beta * difference(load_doubles(prm + t), load_doubles(ref + t));
    store_floats(rewards + t, r);
    VDouble sums = prefix_sum(r);
    store_floats(q + t, sums + carry);
    carry += splat(sums[kHalf - 1]);
  }
  if (t < n) {
    VDouble r = beta * difference(load_doubles_part(prm + t, n - t), load_doubles_part(ref + t, n - t));
    store_floats_part(rewards + t, r, n - t);
    VDouble sums = prefix_sum(r);
    store_floats_part(q + t, sums + carry, n - t);
    carry += splat(sums[kHalf - 1]);
  }
  return carry[0];
}

}  // namespace

void CpuBackend::implicit_rewards(float* rewards, float* q, float* scores, Tensor prm_logprobs, Tensor ref_logprobs, const int32_t* offsets, int64_t rows,
                                  double beta) {
  with_log_probs(prm_logprobs, ref_logprobs, [&](auto* prm, auto* ref) {
    for_packed_rows(offsets, rows, [&](int64_t i) {
      int64_t at = offsets[i];
      scores[i] = static_cast<float>(row_rewards(rewards + at, q + at, prm + at, ref + at, offsets[i + 1] - at, beta));
    });
  });
}

void CpuBackend::step_rewards(float* cumulative, float* per_step, const float* q, const int32_t* offsets, const int32_t* step_ends, const int32_t* step_offsets,
                              int64_t rows) {
  for_packed_rows(step_offsets, rows, [&](int64_t i) {
    float before = 0;
    for (int64_t s = step_offsets[i]; s < step_offsets[i + 1]; ++s) {
      float now = q[offsets[i] + step_ends[s]];
      cumulative[s] = now;
      per_step[s] = now == before ? 0.0f : now - before;
      before = now;
    }
  });
}

}  // namespace pk
