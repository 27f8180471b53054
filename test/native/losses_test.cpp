// Log-probs, rewards, losses and the optimizer on odd sizes, empty rows and extreme values.
#include <cmath>
#include <limits>

#include "harness.h"

namespace pk::test {

static const float kInf = std::numeric_limits<float>::infinity();

PK_TEST("token_logprobs") {
  for (DType type : {DType::f32, DType::bf16})
    for (int64_t n : {0, 1, 3, 65})
      for (int64_t vocab : {1, 2, 15, 16, 17, 1000}) {
        int64_t stride = vocab + n % 2 * 3;
        Buffer logits(type, n, stride, 1, 40.0f), d_typed(type, n, stride), logprobs(DType::f32, n, 1), entropy(DType::f32, n, 1), d(DType::f32, n, 1, 2),
            d_entropy(DType::f32, n, 1, 3), d_logits(DType::f32, n, stride);
        auto targets = random_ids(n, vocab, 4);
        if (n > 1 && vocab > 2) logits.set(stride + (targets[1] + 1) % vocab, -kInf);
        backend().token_logprobs_forward(logprobs.f32(), entropy.f32(), logits.tensor(), targets.data(), vocab, 0.7f);
        backend().token_logprobs_forward(logprobs.f32(), nullptr, logits.tensor(), targets.data(), vocab, 1.0f);
        backend().token_logprobs_backward(d_typed.tensor(), logits.tensor(), targets.data(), d.f32(), d_entropy.f32(), vocab, 0.7f);
        backend().token_logprobs_backward(d_logits.tensor(), logits.tensor(), targets.data(), d.f32(), nullptr, vocab, 0.7f);
        backend().token_logprobs_backward(d_logits.tensor(), logits.tensor(), targets.data(), d.f32(), d_entropy.f32(), vocab, 0.7f);
        PK_CHECK(logprobs.finite() && entropy.finite());
        for (int64_t i = 0; i < n; ++i)
          for (int64_t v = 0; v < vocab; ++v)
            PK_CHECK(std::fabs(d_logits.at(i * stride + v) - d_typed.at(i * stride + v)) <= 0.01f * std::fabs(d_logits.at(i * stride + v)));
      }
}

PK_TEST("linear_logprobs") {
  for (DType type : {DType::f32, DType::bf16})
    for (int64_t n : {0, 1, 7, 130})
      for (int64_t c : {2, 17, 64})
        for (int64_t vocab : {1, 39, 1025}) {
          Buffer hidden(type, n, c, 1), weight(type, vocab, c, 2), logprobs(DType::f32, n, 1), entropy(DType::f32, n, 1), lse(DType::f32, n, 1);
          Buffer d(DType::f32, n, 1, 3), d_entropy(DType::f32, n, 1, 4), d_hidden(type, n, c), d_weight(DType::f32, vocab, c, 5);
          auto targets = random_ids(n, vocab, 6);
          backend().linear_logprobs_forward(logprobs.f32(), entropy.f32(), lse.f32(), hidden.tensor(), weight.tensor(), targets.data(), 0.9f);
          backend().linear_logprobs_backward(d_hidden.tensor(), d_weight.tensor(), hidden.tensor(), weight.tensor(), targets.data(), lse.f32(), entropy.f32(),
                                             d.f32(), d_entropy.f32(), 0.9f);
          backend().linear_logprobs_backward(d_hidden.tensor(), d_weight.tensor(), hidden.tensor(), weight.tensor(), targets.data(), lse.f32(), nullptr,
                                             d.f32(), nullptr, 0.9f);
          PK_CHECK(logprobs.finite() && entropy.finite() && d_hidden.finite() && d_weight.finite());
        }
}

// Rows, grouped: with empty rows, single tokens and no rows at all.
struct Grouping {
  std::vector<int32_t> lengths, groups;
};
static const Grouping kGroupings[] = {{{}, {}}, {{0, 0}, {2}}, {{1, 1}, {2}}, {{5, 0, 33, 1}, {2, 2}}, {{7, 7, 7, 64, 2}, {3, 2}}, {{300, 2000}, {2}}};

PK_TEST("rewards and advantages") {
  for (const Grouping& g : kGroupings)
    for (DType type : {DType::f32, DType::f64}) {
      auto offsets = offsets_of(g.lengths), groups = offsets_of(g.groups);
      int64_t n = offsets.back(), rows = static_cast<int64_t>(g.lengths.size());
      Buffer prm(type, n, 1, 1, 1000.0f), ref(type, n, 1, 2, 1000.0f), rewards(DType::f32, n, 1), q(DType::f32, n, 1), scores(DType::f32, rows, 1),
          outcome(DType::f32, rows, 1, 3);
      backend().implicit_rewards(rewards.f32(), q.f32(), scores.f32(), prm.tensor(), ref.tensor(), offsets.data(), rows, 0.05);
      PK_CHECK(rewards.finite() && q.finite() && scores.finite());
      std::vector<int32_t> ends, step_offsets = {0};
      for (int32_t length : g.lengths) {
        for (int32_t t = 0; t < length; t += 3) ends.push_back(t);
        step_offsets.push_back(static_cast<int32_t>(ends.size()));
      }
      Buffer cumulative(DType::f32, static_cast<int64_t>(ends.size()), 1), per_step(DType::f32, static_cast<int64_t>(ends.size()), 1);
      backend().step_rewards(cumulative.f32(), per_step.f32(), q.f32(), offsets.data(), ends.data(), step_offsets.data(), rows);
      PK_CHECK(cumulative.finite() && per_step.finite());
      for (Baseline baseline : {Baseline::leave_one_out, Baseline::released})
        for (int form = 1; form < 16; ++form) {
          Buffer advantages(DType::f32, n, 1), returns(DType::f32, n, 1);
          AdvantageSettings settings{0.9f, 1.0f, 5.0f, 5.0f, baseline, (form & 4) != 0, (form & 8) != 0};
          backend().prime_advantages(advantages.f32(), returns.f32(), form & 1 ? rewards.f32() : nullptr, form & 2 ? outcome.f32() : nullptr, offsets.data(),
                                     rows, groups.data(), static_cast<int64_t>(g.groups.size()), settings);
          PK_CHECK(advantages.finite() && returns.finite());
        }
    }
}

PK_TEST("losses") {
  for (const Grouping& g : kGroupings)
    for (DType type : {DType::f32, DType::f64}) {
      auto offsets = offsets_of(g.lengths), groups = offsets_of(g.groups);
      int64_t n = offsets.back(), rows = static_cast<int64_t>(g.lengths.size());
      Buffer now(type, n, 1, 1, 50.0f), old(type, n, 1, 2, 50.0f), ref(type, n, 1, 3, 50.0f), advantages(DType::f32, n, 1, 4), entropy(DType::f32, n, 1, 5),
          labels(DType::f32, rows, 1, 6);
      for (int64_t i = 0; i < rows; ++i) labels.set(i, labels.at(i) > 0 ? 1.0f : 0.0f);
      for (Aggregate aggregate : {Aggregate::token_mean, Aggregate::sequence_mean, Aggregate::sequence_sum_mean})
        for (bool extra : {false, true}) {
          Buffer d(DType::f32, n, 1), d_entropy(DType::f32, n, 1);
          PpoSettings settings{0.2f, 0.3f, aggregate, extra ? 3.0f : 0.0f, extra ? 0.01f : 0.0f, extra ? 0.1f : 0.0f, extra ? 7.0 : 0.0};
          PpoResult result = backend().ppo_clip_loss(d.f32(), extra ? d_entropy.f32() : nullptr, now.tensor(), old.tensor(), advantages.f32(),
                                                     extra ? entropy.f32() : nullptr, extra ? ref.tensor() : Tensor(), offsets.data(), rows, settings);
          PK_CHECK(d.finite() && std::isfinite(result.loss));
        }
      Buffer d(DType::f32, n, 1), probabilities(DType::f32, rows, 1), group_scores(DType::f32, rows, 1, 7);
      PrmResult ce = backend().prm_cross_entropy_loss(d.f32(), probabilities.f32(), now.tensor(), ref.tensor(), offsets.data(), rows, labels.f32(), 0.05, 0);
      PK_CHECK(d.finite() && probabilities.finite() && std::isfinite(ce.loss));
      int64_t count = static_cast<int64_t>(g.groups.size());
      for (const float* scores : {static_cast<const float*>(nullptr), static_cast<const float*>(group_scores.f32())}) {
        PrmResult dpo = backend().prm_dpo_loss(d.f32(), now.tensor(), ref.tensor(), offsets.data(), rows, labels.f32(), groups.data(), count, scores, 0.05);
        PK_CHECK(d.finite() && std::isfinite(dpo.loss));
      }
    }
}

PK_TEST("optimizer") {
  for (DType moments : {DType::f32, DType::bf16})
    for (int64_t n : {0, 1, 15, 16, 17, 4099}) {
      Buffer params(DType::f32, 1, n, 1), cast(DType::bf16, 1, n), grads(DType::f32, 1, n, 2), m(moments, 1, n), v(moments, 1, n);
      m.fill(0);
      v.fill(0);
      PK_CHECK(std::isfinite(backend().squared_norm(grads.f32(), n)));
      for (int64_t step = 1; step <= 3; ++step) {
        AdamWSettings settings{1e-3f, 0.9f, 0.999f, 1e-8f, 0.1f, step, 0.5f, 4 * n};
        backend().adamw(params.f32(), step == 2 ? nullptr : cast.half(), grads.f32(), m.tensor(), v.tensor(), settings);
      }
      PK_CHECK(params.finite() && m.finite() && v.finite());
      if (n > 0) {
        grads.set(n - 1, kInf);
        PK_CHECK(!std::isfinite(backend().squared_norm(grads.f32(), n)));
      }
    }
}

PK_TEST("optimizer: bfloat16 moments do not depend on where a call begins") {
  int64_t n = 40000, half = 16640;
  for (bool cut : {false, true}) {
    Buffer params(DType::f32, 1, n, 1), grads(DType::f32, 1, n, 2), m(DType::bf16, 1, n, 3, 0.1f), v(DType::bf16, 1, n);
    v.fill(0.01f);
    AdamWSettings settings{1e-3f, 0.9, 0.999, 1e-8f, 0.1f, 7, 1.0f, 64};
    static std::vector<bf16> first;
    if (cut) {
      backend().adamw(params.f32(), nullptr, grads.f32(), {m.half(), DType::bf16, 1, half}, {v.half(), DType::bf16, 1, half}, settings);
      settings.first += half;
      backend().adamw(params.f32() + half, nullptr, grads.f32() + half, {m.half() + half, DType::bf16, 1, n - half},
                      {v.half() + half, DType::bf16, 1, n - half}, settings);
      for (int64_t i = 0; i < n; ++i) PK_CHECK(v.half()[i].bits == first[static_cast<size_t>(i)].bits);
    } else {
      backend().adamw(params.f32(), nullptr, grads.f32(), m.tensor(), v.tensor(), settings);
      first.assign(v.half(), v.half() + n);
    }
  }
}

}  // namespace pk::test
