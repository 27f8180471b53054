// Token log-probs, from logits and from hidden states, and sampling on the CUDA backend against the CPU's.
#include <cmath>
#include <limits>

#include "compare.h"

namespace pk::test {

static const float kInf = std::numeric_limits<float>::infinity();

PK_TEST("cuda: token_logprobs") {
  for (DType type : {DType::f32, DType::bf16})
    for (int64_t vocab : {1, 31, 33, 127, 1003, 1025, 9001, 12000})
      for (bool with_entropy : {false, true}) {
        Compare c;
        int64_t n = vocab > 5000 ? 2 : 5, stride = vocab + (vocab % 31 == 0 || vocab == 127 ? 3 : vocab == 33 ? 7 : 0);
        DType d_type = with_entropy || vocab % 3 == 0 ? type : DType::f32;
        auto logits = c.floats(type, n, stride, 1, 30.0f), targets = c.numbers(random_ids(n, vocab, 2)), logprobs = c.floats(DType::f32, n, 1, 3),
             entropy = c.floats(DType::f32, n, 1, 4), d = c.floats(DType::f32, n, 1, 5), d_entropy = c.floats(DType::f32, n, 1, 6),
             d_logits = c.floats(d_type, n, stride, 7), in_place = logits;
        if (n > 4 && vocab > 5) {
          c.set(logits, stride + 4, -kInf);
          c.set(logits, 2 * stride + 1, kInf);
          c.set(logits, 3 * stride, std::nanf(""));
          for (int64_t j = 0; j < vocab; ++j) c.set(logits, 4 * stride + j, -kInf);
          c.set(d, 0, 0.0f);
          c.set(d_entropy, 0, 0.0f);
        }
        c.run([&](Backend& on, const Compare::Place& p) {
          float* h = with_entropy ? p.f32(entropy) : nullptr;
          const float* dh = with_entropy ? p.f32(d_entropy) : nullptr;
          on.token_logprobs_forward(p.f32(logprobs), h, p(logits), p.ids(targets), vocab, 0.7f);
          on.token_logprobs_backward(p(d_logits), p(logits), p.ids(targets), p.f32(d), dh, vocab, 0.7f);
          on.token_logprobs_backward(p(in_place), p(in_place), p.ids(targets), p.f32(d), dh, vocab, 0.7f);
        });
        std::string name = "token_logprobs V=" + std::to_string(vocab) + " " + type_name(type);
        c.same(logprobs, kF32, name, 1e-6);  // where it is nearly 0, the exponentials' last bits remain
        c.same(entropy, kF32, name + " entropy", 1e-6);
        c.same(d_logits, tolerance_of(d_type), name + " gradient");
        c.same(in_place, tolerance_of(type), name + " gradient in place");
      }
}

PK_TEST("cuda: a nearly certain target keeps its small log-prob and gradient") {
  for (DType type : {DType::f32, DType::bf16}) {
    Compare c;
    auto logits = c.floats(type, 1, 2, 1), targets = c.numbers(std::vector<int32_t>{0}), logprobs = c.floats(DType::f32, 1, 1, 2),
         d = c.floats(DType::f32, 1, 1, 3), d_logits = c.floats(DType::f32, 1, 2, 4);
    c.set(logits, 0, 20.0f);
    c.set(logits, 1, 0.0f);
    c.set(d, 0, 1.0f);
    c.run([&](Backend& on, const Compare::Place& p) {
      on.token_logprobs_forward(p.f32(logprobs), nullptr, p(logits), p.ids(targets), 2, 1.0f);
      on.token_logprobs_backward(p(d_logits), p(logits), p.ids(targets), p.f32(d), nullptr, 2, 1.0f);
    });
    double small = std::log1p(std::exp(-20.0));
    PK_CHECK(std::fabs(c.cuda_values(logprobs)[0] / -small - 1) < 1e-5);
    PK_CHECK(std::fabs(c.cuda_values(d_logits)[0] * (1 + std::exp(20.0)) - 1) < 1e-5);
  }
}

PK_TEST("cuda: linear_logprobs") {
  struct Size {
    int64_t n, channels, vocab;
  };
  for (Size s : {Size{1, 7, 1}, Size{33, 17, 127}, Size{5, 64, 1003}, Size{70, 16, 1025}, Size{3, 8, 8195}})
    for (DType type : {DType::f32, DType::bf16})
      for (bool with_entropy : {false, true}) {
        Compare c;
        auto hidden = c.floats(type, s.n, s.channels, 1), weight = c.floats(type, s.vocab, s.channels, 2), targets = c.numbers(random_ids(s.n, s.vocab, 3)),
             logprobs = c.floats(DType::f32, s.n, 1, 4), entropy = c.floats(DType::f32, s.n, 1, 5), lse = c.floats(DType::f32, s.n, 1, 6),
             d = c.floats(DType::f32, s.n, 1, 7), d_entropy = c.floats(DType::f32, s.n, 1, 8), d_hidden = c.floats(type, s.n, s.channels, 9),
             d_weight = c.floats(DType::f32, s.vocab, s.channels, 10);
        c.run([&](Backend& on, const Compare::Place& p) {
          float* h = with_entropy ? p.f32(entropy) : nullptr;
          on.linear_logprobs_forward(p.f32(logprobs), h, p.f32(lse), p(hidden), p(weight), p.ids(targets), 0.9f);
          on.linear_logprobs_backward(p(d_hidden), p(d_weight), p(hidden), p(weight), p.ids(targets), p.f32(lse), h, p.f32(d),
                                      with_entropy ? p.f32(d_entropy) : nullptr, 0.9f);
        });
        std::string name = "linear_logprobs V=" + std::to_string(s.vocab) + " " + type_name(type);
        for (auto id : {logprobs, entropy, lse}) c.same(id, kF32, name);
        c.same(d_hidden, tolerance_of(type), name + " d_hidden");
        c.same(d_weight, tolerance_of(type), name + " d_weight");
      }
}

PK_TEST("cuda: sample draws what the CPU draws") {
  for (int64_t vocab : {1, 33, 1003, 3000}) {
    for (SampleSettings settings : {SampleSettings{1.0f, 1.0f, 0, 5}, SampleSettings{0.0f, 1.0f, 0, 5}, SampleSettings{0.7f, 0.9f, 0, 6},
                                    SampleSettings{1.0f, 1.0f, 7, 7}, SampleSettings{1.5f, 0.5f, 40, 8}, SampleSettings{1.0f, 1e-6f, 0, 9}}) {
      Compare c;
      int64_t m = 12;
      std::vector<uint64_t> sequence_ids;
      std::vector<int32_t> place;
      for (int64_t i = 0; i < m; ++i) {
        sequence_ids.push_back(static_cast<uint64_t>(1000 + 3 * i));
        place.push_back(static_cast<int32_t>(i % 5));
      }
      auto logits = c.floats(DType::f32, m, vocab, 1, 4.0f), sequences = c.numbers(sequence_ids), positions = c.numbers(place),
           tokens = c.numbers(std::vector<int32_t>(static_cast<size_t>(m))), logprobs = c.floats(DType::f32, m, 1, 2);
      for (int64_t j = 0; j < vocab; ++j) c.set(logits, 3 * vocab + j, 1.0f);  // all alike: ties everywhere
      for (int64_t j = 0; j < vocab; ++j) c.set(logits, 4 * vocab + j, j == vocab / 2 ? 50.0f : -50.0f);
      if (vocab > 2) {
        c.set(logits, 5 * vocab + 1, -kInf);
        c.set(logits, 6 * vocab, std::nanf(""));
        c.set(logits, 7 * vocab + 2, kInf);
      }
      c.run([&](Backend& on, const Compare::Place& p) {
        on.sample(p.ids(tokens), p.f32(logprobs), p.f32(logits), p.as<uint64_t>(sequences), p.ids(positions), m, vocab, settings);
      });
      std::string name = "sample V=" + std::to_string(vocab) + " top-p " + std::to_string(settings.top_p) + " top-k " + std::to_string(settings.top_k);
      c.equal(tokens, name);
      c.same(logprobs, kF32, name);
    }
  }
}

}  // namespace pk::test
