// PRIME's advantages: per source a leave-one-out baseline within the group, reverse discounted sums, both sources added,
// whitened over all tokens. Three passes over the tokens (row means, statistics of the returns, results); the returns are
// computed twice in float64 rather than kept, so whitening loses nothing to rounding.
#include <cmath>

#include "cpu/cpu_backend.h"
#include "cpu/packed_rows.h"
#include "cpu/scratch.h"

namespace pk {

namespace {

// Powers of the two discounts, worked out once a call.
struct Discounts {
  double gamma, gamma2, gamma4, block;
  VDouble powers;  // gamma^(kHalf - i)
  double outcome_block;
  double outcome[3 * kHalf] = {};  // outcome_gamma^(2 kHalf - 1 - j), then zeros: a vector loaded from it ends where it must

  Discounts(double process_gamma, double outcome_gamma)
      : gamma(process_gamma), gamma2(gamma * gamma), gamma4(gamma2 * gamma2), block(std::pow(gamma, kHalf)), outcome_block(std::pow(outcome_gamma, kHalf)) {
    for (int i = 0; i < kHalf; ++i) powers[i] = std::pow(gamma, kHalf - i);
    for (int j = 0; j < 2 * kHalf; ++j) outcome[j] = std::pow(outcome_gamma, 2 * kHalf - 1 - j);
  }
};

// Per row: what turns raw rewards into shaped ones.
struct RowShape {
  double mean;                 // token mean of the process rewards, 0 for an empty row
  double scale;                // process rewards are multiplied by this,
  double baseline;             // and this is subtracted
  double outcome;              // shaped outcome reward, given at the last token
  double sum, sum_of_squares;  // of the row's returns
};

const VDouble kLaneIndex = [] {
  VDouble index;
  for (int i = 0; i < kHalf; ++i) index[i] = i;
  return index;
}();

// G_t = sum over s >= t of gamma^(s-t) (scale x_s - baseline) + outcome_gamma^(n-1-t) outcome; x may be null (no process rewards).
// sink(t, G_t.., count) from the last block to the first; lanes from `count` on are 0.
template <class Sink>
inline void scan_returns(const float* x, int64_t n, const RowShape& shape, const Discounts& d, const Sink& sink) {
  double scale = shape.scale, baseline = shape.baseline;
  VDouble carry{}, outcome{};
  auto block = [&](int64_t t, VDouble raw, int64_t count) {
    VDouble shaped = x ? raw * scale - baseline : VDouble{};
    if (count < kHalf) shaped = kLaneIndex < static_cast<double>(count) ? shaped : VDouble{};
    VDouble local = discounted_suffix_sum(shaped, d.gamma, d.gamma2, d.gamma4);
    sink(t, local + carry * d.powers + outcome, count);
    carry = splat(static_cast<double>(local[0])) + carry * d.block;
  };
  int64_t tail = n % kHalf, t = n - tail;
  if (tail) {
    outcome = shape.outcome * load<VDouble>(d.outcome + 2 * kHalf - tail);
    block(t, x ? load_doubles_part(x + t, tail) : VDouble{}, tail);
  }
  outcome = shape.outcome * load<VDouble>(d.outcome + kHalf - tail);
  while (t > 0) {
    t -= kHalf;
    block(t, x ? load_doubles(x + t) : VDouble{}, kHalf);
    outcome *= d.outcome_block;
  }
}

double row_mean(const float* x, int64_t n) {
  VDouble total{};
  int64_t t = 0;
  for (; t + kHalf <= n; t += kHalf) total += load_doubles(x + t);
  if (t < n) total += load_doubles_part(x + t, n - t);
  return n ? sum(total) / static_cast<double>(n) : 0;
}

// Largest |sum over s >= t of x_s| of a row.
double largest_suffix_sum(const float* x, int64_t n, const Discounts& undiscounted) {
  VDouble most{};
  scan_returns(x, n, {0, 1, 0, 0, 0, 0}, undiscounted, [&](int64_t, VDouble sums, int64_t) {
    VDouble size = sums < 0.0 ? -sums : sums;
    most = size > most ? size : most;
  });
  double result = 0;
  for (int i = 0; i < kHalf; ++i) result = std::max(result, static_cast<double>(most[i]));
  return result;
}

double process_norm(const float* x, const int32_t* offsets, int64_t rows) {
  static thread_local Scratch scratch;
  double* sizes = scratch.get<double>(rows);
  Discounts undiscounted(1, 1);
  for_packed_rows(offsets, rows, [&](int64_t i) { sizes[i] = largest_suffix_sum(x + offsets[i], offsets[i + 1] - offsets[i], undiscounted); });
  double most = 0;
  for (int64_t i = 0; i < rows; ++i) most = std::max(most, sizes[i]);
  return most + 1e-6;
}

// Baselines of one group of rows [begin, end), process rewards being multiplied by `scale`.
void shape_group(RowShape* shapes, const float* outcomes, int64_t begin, int64_t end, double scale, double outcome_coef, Baseline baseline) {
  double means = 0, outcome_sum = 0, others = static_cast<double>(end - begin - 1);
  bool released = baseline == Baseline::released;
  for (int64_t i = begin; i < end; ++i) {
    means += shapes[i].mean;
    if (outcomes) outcome_sum += outcomes[i];
  }
  for (int64_t i = begin; i < end; ++i) {
    // released: n/(n-1) (x - group mean) = n/(n-1) x - sum of means / (n-1)
    shapes[i].scale = released ? scale * (others + 1) / others : scale;
    shapes[i].baseline = scale * (released ? means : means - shapes[i].mean) / others;
    shapes[i].outcome = outcomes ? outcome_coef * (outcomes[i] - (outcome_sum - outcomes[i]) / others) : 0;
  }
}

struct Whitening {
  double mean = 0, factor = 1;
};

// (G - mean) / sqrt(unbiased variance + 1e-8) over all tokens; a single token has no variance. NaN stays NaN.
Whitening whitening_of(const RowShape* shapes, int64_t rows, double n) {
  double total = 0, squares = 0;
  for (int64_t i = 0; i < rows; ++i) {
    total += shapes[i].sum;
    squares += shapes[i].sum_of_squares;
  }
  double mean = n > 0 ? total / n : 0, deviation = squares - total * mean;
  double variance = n > 1 ? (deviation < 0 ? 0 : deviation) / (n - 1) : 0;
  return {mean, 1 / std::sqrt(variance + 1e-8)};
}

}  // namespace

void CpuBackend::prime_advantages(float* advantages, float* returns, const float* process_rewards, const float* outcome_rewards, const int32_t* offsets,
                                  int64_t rows, const int32_t* group_offsets, int64_t groups, const AdvantageSettings& settings) {
  if (rows == 0) return;
  static thread_local Scratch scratch;
  RowShape* shapes = scratch.get<RowShape>(rows);
  const float* process = settings.process_coef == 0 ? nullptr : process_rewards;  // a source with weight 0 may hold anything
  const float* outcomes = settings.outcome_coef == 0 ? nullptr : outcome_rewards;
  for_packed_rows(offsets, rows, [&](int64_t i) { shapes[i].mean = process ? row_mean(process + offsets[i], offsets[i + 1] - offsets[i]) : 0; });
  double scale = settings.process_coef;
  if (process && settings.normalize_process_batch) scale /= process_norm(process, offsets, rows);
  for (int64_t p = 0; p < groups; ++p) shape_group(shapes, outcomes, group_offsets[p], group_offsets[p + 1], scale, settings.outcome_coef, settings.baseline);

  Discounts discounts(settings.gamma_process, settings.gamma_outcome);
  auto scan_row = [&](int64_t i, const auto& sink) {
    scan_returns(process ? process + offsets[i] : nullptr, offsets[i + 1] - offsets[i], shapes[i], discounts, sink);
  };
  Whitening white;
  if (settings.whiten) {
    for_packed_rows(offsets, rows, [&](int64_t i) {
      VDouble total{}, squares{};
      scan_row(i, [&](int64_t, VDouble g, int64_t) {
        total += g;
        squares += g * g;
      });
      shapes[i].sum = sum(total);
      shapes[i].sum_of_squares = sum(squares);
    });
    white = whitening_of(shapes, rows, offsets[rows]);
  }
  for_packed_rows(offsets, rows, [&](int64_t i) {
    float *row_advantages = advantages + offsets[i], *row_returns = returns + offsets[i];
    scan_row(i, [&](int64_t t, VDouble g, int64_t count) {
      VDouble whitened = (g - white.mean) * white.factor;
      if (count == kHalf) {
        store_floats(row_returns + t, g);
        store_floats(row_advantages + t, whitened);
      } else {
        store_floats_part(row_returns + t, g, count);
        store_floats_part(row_advantages + t, whitened, count);
      }
    });
  });
}

}  // namespace pk
