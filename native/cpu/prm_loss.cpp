// Losses of the implicit reward model on outcome labels: cross entropy and DPO. A row's score is beta times the sum of its
// log-ratios; every token of a row has the same gradient.
#include <cmath>

#include "cpu/cpu_backend.h"
#include "cpu/packed_rows.h"
#include "cpu/scratch.h"

namespace pk {

namespace {

double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Binary cross entropy of sigmoid(score) in logits form: finite wherever its true value is, and 0 at a certain and right answer.
double cross_entropy(double score, double label) {
  double right = label > 0 ? label * softplus(-score) : 0, wrong = label < 1 ? (1 - label) * softplus(score) : 0;
  return right + wrong;
}

int sign(double x) { return (x > 0) - (x < 0); }

struct RowLoss {
  double loss, correct;
};

PrmResult total_of(const RowLoss* losses, int64_t rows, double normalizer) {
  double loss = 0, correct = 0;
  for (int64_t i = 0; i < rows; ++i) {
    loss += losses[i].loss;
    correct += losses[i].correct;
  }
  return {loss / normalizer, correct / static_cast<double>(rows)};
}

struct Member {
  double label, score;
  int64_t row;
};

// thresholds[row] for the rows of one group: the mean score of the members with a smaller label (of a right row) or a
// larger one (of a wrong row), 0 when there are none. Sorted by label, so that a large group takes n log n.
void group_thresholds(double* thresholds, Member* members, int64_t count) {
  std::sort(members, members + count, [](const Member& a, const Member& b) { return a.label != b.label ? a.label < b.label : a.row < b.row; });
  double below = 0, running = 0;
  int64_t number_below = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (i > 0 && members[i].label != members[i - 1].label) below = running, number_below = i;
    if (members[i].label > 0) thresholds[members[i].row] = number_below ? below / static_cast<double>(number_below) : 0;
    running += members[i].score;
  }
  double above = 0;
  int64_t number_above = 0;
  running = 0;
  for (int64_t i = count - 1; i >= 0; --i) {
    if (i < count - 1 && members[i].label != members[i + 1].label) above = running, number_above = count - 1 - i;
    if (!(members[i].label > 0)) thresholds[members[i].row] = number_above ? above / static_cast<double>(number_above) : 0;
    running += members[i].score;
  }
}

}  // namespace

PrmResult CpuBackend::prm_cross_entropy_loss(float* d_logprobs, float* probabilities, Tensor prm_logprobs, Tensor ref_logprobs, const int32_t* offsets,
                                             int64_t rows, const float* labels, double beta, double normalizer) {
  if (rows == 0) return {};
  static thread_local Scratch scratch;
  RowLoss* losses = scratch.get<RowLoss>(rows);
  double divisor = normalizer > 0 ? normalizer : static_cast<double>(rows);
  with_log_probs(prm_logprobs, ref_logprobs, [&](auto* prm, auto* ref) {
    for_packed_rows(offsets, rows, [&](int64_t i) {
      double score = beta * log_ratio_sum(prm, ref, offsets[i], offsets[i + 1]), label = labels[i], probability = sigmoid(score);
      std::fill(d_logprobs + offsets[i], d_logprobs + offsets[i + 1], static_cast<float>(beta * (probability - label) / divisor));
      probabilities[i] = static_cast<float>(probability);
      losses[i] = {cross_entropy(score, label), sign(score) == sign(2 * label - 1) ? 1.0 : 0.0};
    });
  });
  return total_of(losses, rows, divisor);
}

PrmResult CpuBackend::prm_dpo_loss(float* d_logprobs, Tensor prm_logprobs, Tensor ref_logprobs, const int32_t* offsets, int64_t rows, const float* labels,
                                   const int32_t* group_offsets, int64_t groups, const float* group_scores, double beta) {
  if (rows == 0) return {};
  static thread_local Scratch loss_scratch, number_scratch, member_scratch;
  RowLoss* losses = loss_scratch.get<RowLoss>(rows);
  double *scores = number_scratch.get<double>(2 * rows), *thresholds = scores + rows;
  Member* members = member_scratch.get<Member>(rows);
  with_log_probs(prm_logprobs, ref_logprobs, [&](auto* prm, auto* ref) {
    for_packed_rows(offsets, rows, [&](int64_t i) { scores[i] = beta * log_ratio_sum(prm, ref, offsets[i], offsets[i + 1]); });
  });
  for (int64_t i = 0; i < rows; ++i) members[i] = {labels[i], group_scores ? group_scores[i] : scores[i], i};
  for (int64_t p = 0; p < groups; ++p) group_thresholds(thresholds, members + group_offsets[p], group_offsets[p + 1] - group_offsets[p]);
  double divisor = static_cast<double>(rows);
  for_packed_rows(offsets, rows, [&](int64_t i) {
    double side = labels[i] > 0 ? 1 : -1, margin = scores[i] == thresholds[i] ? 0 : side * (scores[i] - thresholds[i]);
    std::fill(d_logprobs + offsets[i], d_logprobs + offsets[i + 1], static_cast<float>(-side * beta * sigmoid(-margin) / divisor));
    losses[i] = {softplus(-margin), sign(scores[i]) == sign(2 * labels[i] - 1) ? 1.0 : 0.0};
  });
  return total_of(losses, rows, divisor);
}

}  // namespace pk
