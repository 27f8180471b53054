// Rewards, advantages and losses on the CUDA backend against the CPU's.
#include <limits>

#include "compare.h"

namespace pk::test {

namespace {

struct Batch {
  const char* name;
  std::vector<int32_t> lengths, groups;
};
const Batch kBatches[] = {
    {"no rows", {}, {}},
    {"empty rows", {0, 0}, {2}},
    {"odd rows", {1, 31, 33, 127, 0, 1025}, {2, 4}},
    {"long rows", {5000, 2049, 1024, 3}, {4}},
};
int64_t rows_of(const Batch& b) { return static_cast<int64_t>(b.lengths.size()); }

std::string name_of(const char* op, const Batch& b, DType type) { return std::string(op) + ", " + b.name + ", " + type_name(type); }

}  // namespace

PK_TEST("cuda: implicit_rewards, step_rewards") {
  for (const Batch& b : kBatches)
    for (DType type : {DType::f32, DType::f64}) {
      Compare c;
      auto offsets = offsets_of(b.lengths);
      int64_t n = offsets.back(), rows = rows_of(b);
      auto prm = c.floats(type, n, 1, 1, 3.0f), ref = c.floats(type, n, 1, 2, 3.0f), rewards = c.floats(DType::f32, n, 1, 3), q = c.floats(DType::f32, n, 1, 4),
           scores = c.floats(DType::f32, rows, 1, 5), at = c.numbers(offsets);
      if (n > 3) {
        c.set(prm, 2, -std::numeric_limits<float>::infinity());
        c.set(ref, 2, -std::numeric_limits<float>::infinity());
      }
      std::vector<int32_t> ends, steps{0};
      for (int32_t length : b.lengths) {
        for (int32_t s = 0; s < std::min(length, 3); ++s)
          ends.push_back((s + 1) * length / 3 - (length >= 3 ? 1 : 0) - (length < 3 && (s + 1) * length / 3 >= length ? 1 : 0));
        steps.push_back(static_cast<int32_t>(ends.size()));
      }
      int64_t total = static_cast<int64_t>(ends.size());
      auto step_ends = c.numbers(ends), step_offsets = c.numbers(steps), cumulative = c.floats(DType::f32, total, 1, 6),
           per_step = c.floats(DType::f32, total, 1, 7);
      c.run([&](Backend& on, const Compare::Place& p) {
        on.implicit_rewards(p.f32(rewards), p.f32(q), p.f32(scores), p(prm), p(ref), p.ids(at), rows, 0.05);
        on.step_rewards(p.f32(cumulative), p.f32(per_step), p.f32(q), p.ids(at), p.ids(step_ends), p.ids(step_offsets), rows);
      });
      for (auto id : {rewards, q, scores, cumulative, per_step}) c.same(id, kF32, name_of("implicit_rewards", b, type));
    }
}

PK_TEST("cuda: prime_advantages") {
  for (const Batch& b : kBatches)
    for (Baseline baseline : {Baseline::leave_one_out, Baseline::released})
      for (int form = 0; form < 4; ++form) {
        Compare c;
        auto offsets = offsets_of(b.lengths), groups = offsets_of(b.groups);
        int64_t n = offsets.back(), rows = rows_of(b), number = static_cast<int64_t>(b.groups.size());
        auto process = c.floats(DType::f32, n, 1, 1), outcome = c.floats(DType::f32, rows, 1, 2), advantages = c.floats(DType::f32, n, 1, 3),
             returns = c.floats(DType::f32, n, 1, 4), at = c.numbers(offsets), group_at = c.numbers(groups);
        AdvantageSettings settings{form == 0 ? 1.0f : 0.9f, form == 1 ? 1.0f : 0.95f, form == 2 ? 0.0f : 1.0f, 0.5f, baseline, form % 2 == 0, form != 3};
        c.run([&](Backend& on, const Compare::Place& p) {
          on.prime_advantages(p.f32(advantages), p.f32(returns), form == 2 ? nullptr : p.f32(process), form == 1 ? nullptr : p.f32(outcome), p.ids(at), rows,
                              p.ids(group_at), number, settings);
        });
        c.same(advantages, kF32, name_of("advantages", b, DType::f32));
        c.same(returns, kF32, name_of("returns", b, DType::f32));
      }
}

PK_TEST("cuda: ppo_clip_loss") {
  for (const Batch& b : kBatches)
    for (DType type : {DType::f32, DType::f64})
      for (Aggregate aggregate : {Aggregate::token_mean, Aggregate::sequence_mean, Aggregate::sequence_sum_mean})
        for (bool full : {false, true}) {
          Compare c;
          auto offsets = offsets_of(b.lengths);
          int64_t n = offsets.back(), rows = rows_of(b);
          auto now = c.floats(type, n, 1, 1, 0.5f), old = c.floats(type, n, 1, 2, 0.5f), ref = c.floats(type, n, 1, 3, 0.5f),
               advantages = c.floats(DType::f32, n, 1, 4), entropy = c.floats(DType::f32, n, 1, 5), d = c.floats(DType::f32, n, 1, 6),
               d_entropy = c.floats(DType::f32, n, 1, 7), at = c.numbers(offsets);
          if (n > 40) {
            c.set(now, 3, -50.0f);
            c.set(now, 7, 50.0f);
            c.set(old, 9, -std::numeric_limits<float>::infinity());
          }
          PpoSettings settings{0.2f, 0.3f, aggregate, full ? 3.0f : 0.0f, 0.01f, 0.02f, full ? 17.0 : 0.0};
          std::vector<PpoResult> results;
          c.run([&](Backend& on, const Compare::Place& p) {
            results.push_back(on.ppo_clip_loss(p.f32(d), full ? p.f32(d_entropy) : nullptr, p(now), p(old), p.f32(advantages), full ? p.f32(entropy) : nullptr,
                                               full ? p(ref) : Tensor(), p.ids(at), rows, settings));
          });
          std::string name = name_of("ppo_clip_loss", b, type);
          c.same(d, kF32, name + " d_logprobs");
          c.same(d_entropy, kF32, name + " d_entropy");
          const PpoResult &x = results[0], &y = results[1];
          same_number(x.loss, y.loss, kF32, name + " loss");
          same_number(x.clip_fraction, y.clip_fraction, 1e-9, name + " clip fraction");
          same_number(x.approx_kl, y.approx_kl, kF32, name + " kl of old");
          same_number(x.ratio_max, y.ratio_max, kF32, name + " largest ratio");
          same_number(x.kl, y.kl, kF32, name + " kl");
          same_number(x.entropy, y.entropy, kF32, name + " entropy");
        }
}

PK_TEST("cuda: prm losses") {
  for (const Batch& b : kBatches)
    for (DType type : {DType::f32, DType::f64})
      for (bool own_scores : {false, true}) {
        Compare c;
        auto offsets = offsets_of(b.lengths), groups = offsets_of(b.groups);
        int64_t n = offsets.back(), rows = rows_of(b), number = static_cast<int64_t>(b.groups.size());
        std::vector<float> label_values;
        for (int64_t i = 0; i < rows; ++i) label_values.push_back(i % 3 == 0 ? 1.0f : i % 3 == 1 ? 0.0f : 0.4f);
        auto prm = c.floats(type, n, 1, 1, 3.0f), ref = c.floats(type, n, 1, 2, 3.0f), d = c.floats(DType::f32, n, 1, 3), dpo = c.floats(DType::f32, n, 1, 4),
             probabilities = c.floats(DType::f32, rows, 1, 5), scores = c.floats(DType::f32, rows, 1, 6), labels = c.numbers(label_values),
             at = c.numbers(offsets), group_at = c.numbers(groups);
        std::vector<PrmResult> results;
        c.run([&](Backend& on, const Compare::Place& p) {
          results.push_back(
              on.prm_cross_entropy_loss(p.f32(d), p.f32(probabilities), p(prm), p(ref), p.ids(at), rows, p.f32(labels), 0.05, own_scores ? 0 : 9));
          results.push_back(
              on.prm_dpo_loss(p.f32(dpo), p(prm), p(ref), p.ids(at), rows, p.f32(labels), p.ids(group_at), number, own_scores ? nullptr : p.f32(scores), 0.05));
        });
        std::string name = name_of("prm loss", b, type);
        for (auto id : {d, dpo, probabilities}) c.same(id, kF32, name);
        for (size_t i = 0; i < 2; ++i) {
          same_number(results[i].loss, results[2 + i].loss, kF32, name);
          same_number(results[i].accuracy, results[2 + i].accuracy, 1e-9, name);
        }
      }
}

}  // namespace pk::test
