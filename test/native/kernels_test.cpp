// Every kernel on exactly allocated arrays of all small sizes, for builds with sanitizers: an access one element beyond, an
// uninitialised index or undefined arithmetic stops the program. What the kernels compute is tested in test/ops.
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "core/parallel.h"
#include "harness.h"

namespace pk::test {

namespace {

// A vector with exactly `n` elements on the heap, so that the sanitizer sees its end.
template <class T>
using Exact = std::unique_ptr<T[]>;

struct Random {
  uint64_t index = 0;
  uint32_t bits() { return philox(7, 0, index++)[0]; }
  int64_t integer(int64_t low, int64_t high) { return low + bits() % (high - low + 1); }
  float uniform() { return philox_uniform(bits()); }
  // Mostly ordinary values, sometimes extreme ones.
  float value() {
    constexpr float extremes[] = {
        0, -0.0f, 1e30f, -1e30f, 1e-40f, -1e3f, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), std::nanf("")};
    return bits() % 64 == 0 ? extremes[bits() % 9] : 4 * uniform() - 3;
  }
  template <class T>
  Exact<T> values(int64_t n) {
    Exact<T> data(new T[n]);
    for (int64_t i = 0; i < n; ++i) data[i] = static_cast<T>(value());
    return data;
  }
  Exact<bf16> bfloats(int64_t n) {
    Exact<bf16> data(new bf16[n]);
    for (int64_t i = 0; i < n; ++i) data[i] = to_bf16(value());
    return data;
  }
  Exact<int32_t> tokens(int64_t n, int64_t vocab) {
    Exact<int32_t> data(new int32_t[n]);
    for (int64_t i = 0; i < n; ++i) data[i] = static_cast<int32_t>(integer(0, vocab - 1));
    return data;
  }
  Exact<int32_t> offsets(int64_t rows, int64_t longest) {
    Exact<int32_t> data(new int32_t[rows + 1]);
    data[0] = 0;
    for (int64_t i = 0; i < rows; ++i) data[i + 1] = data[i] + static_cast<int32_t>(integer(0, longest));
    return data;
  }
};

void logprobs_case(Backend& backend, Random& random, int64_t n, int64_t vocab) {
  int64_t stride = vocab + random.integer(0, 3);
  auto logits = random.values<float>(n * stride);
  auto targets = random.tokens(n, vocab);
  auto d_logprobs = random.values<float>(n), d_entropy = random.values<float>(n);
  Exact<float> out(new float[n]), entropy(new float[n]), d_logits(new float[n * stride]);
  Tensor in(logits.get(), n, stride), d(d_logits.get(), n, stride);
  backend.token_logprobs_forward(out.get(), entropy.get(), in, targets.get(), vocab, 0.7f);
  backend.token_logprobs_forward(out.get(), nullptr, in, targets.get(), vocab, 1.0f);
  backend.token_logprobs_backward(d, in, targets.get(), d_logprobs.get(), d_entropy.get(), vocab, 0.7f);
  backend.token_logprobs_backward(in, in, targets.get(), d_logprobs.get(), nullptr, vocab, 1.0f);
}

template <class T>
void linear_case(Backend& backend, Random& random, int64_t n, int64_t channels, int64_t vocab, DType dtype, Exact<T> hidden, Exact<T> weight) {
  auto targets = random.tokens(n, vocab);
  auto d_logprobs = random.values<float>(n), d_entropy = random.values<float>(n);
  Exact<float> out(new float[n]), entropy(new float[n]), lse(new float[n]), d_weight(new float[vocab * channels]());
  Exact<T> d_hidden(new T[n * channels]);
  Tensor h(hidden.get(), dtype, n, channels), w(weight.get(), dtype, vocab, channels);
  backend.linear_logprobs_forward(out.get(), entropy.get(), lse.get(), h, w, targets.get(), 1.3f);
  backend.linear_logprobs_backward(Tensor(d_hidden.get(), dtype, n, channels), Tensor(d_weight.get(), vocab, channels), h, w, targets.get(), lse.get(),
                                   entropy.get(), d_logprobs.get(), d_entropy.get(), 1.3f);
}

// Groups of 2 or more rows each.
std::vector<int32_t> groups_of(Random& random, int64_t rows) {
  std::vector<int32_t> groups{0};
  while (rows - groups.back() > 3) groups.push_back(groups.back() + static_cast<int32_t>(random.integer(2, std::min<int64_t>(5, rows - groups.back() - 2))));
  if (groups.back() < rows) groups.push_back(static_cast<int32_t>(rows));
  return groups;
}

template <class T>
void rewards_case(Backend& backend, Random& random, int64_t rows, int64_t longest, DType dtype) {
  auto offsets = random.offsets(rows, longest);
  int64_t n = offsets[rows];
  auto a = random.values<T>(n), b = random.values<T>(n), c = random.values<T>(n);
  Tensor first(a.get(), dtype, n, 1), second(b.get(), dtype, n, 1), third(c.get(), dtype, n, 1);
  Exact<float> x(new float[n]), y(new float[n]), scores(new float[rows]);
  backend.implicit_rewards(x.get(), y.get(), scores.get(), first, second, offsets.get(), rows, 0.05);

  auto process = random.values<float>(n), entropy = random.values<float>(n), outcome = random.values<float>(rows);
  auto groups = groups_of(random, rows);
  int64_t number = static_cast<int64_t>(groups.size()) - 1;
  for (Baseline baseline : {Baseline::leave_one_out, Baseline::released}) {
    AdvantageSettings settings{0.9f, 1.0f, 1.0f, 0.5f, baseline, baseline == Baseline::released, true};
    backend.prime_advantages(x.get(), y.get(), process.get(), outcome.get(), offsets.get(), rows, groups.data(), number, settings);
    backend.prime_advantages(x.get(), y.get(), nullptr, outcome.get(), offsets.get(), rows, groups.data(), number, settings);
  }
  for (Aggregate aggregate : {Aggregate::token_mean, Aggregate::sequence_mean, Aggregate::sequence_sum_mean}) {
    PpoSettings settings{0.2f, 0.3f, aggregate, 3.0f, 0.1f, 0.1f, 0};
    backend.ppo_clip_loss(x.get(), y.get(), first, second, process.get(), entropy.get(), third, offsets.get(), rows, settings);
    backend.ppo_clip_loss(x.get(), nullptr, first, second, process.get(), nullptr, Tensor(), offsets.get(), rows, settings);
  }
  Exact<float> labels(new float[rows]);
  for (int64_t i = 0; i < rows; ++i) labels[i] = random.uniform() < 0.5f ? 0.0f : 1.0f;
  backend.prm_cross_entropy_loss(x.get(), scores.get(), first, second, offsets.get(), rows, labels.get(), 0.05, 0);
  backend.prm_dpo_loss(x.get(), first, second, offsets.get(), rows, labels.get(), groups.data(), number, nullptr, 0.05);
  backend.prm_dpo_loss(x.get(), first, second, offsets.get(), rows, labels.get(), groups.data(), number, outcome.get(), 0.05);
}

void steps_case(Backend& backend, Random& random, int64_t rows) {
  auto offsets = random.offsets(rows, 9), step_offsets = random.offsets(rows, 3);
  for (int64_t i = 0; i < rows; ++i)
    if (offsets[i] == offsets[i + 1]) {  // no token, no step
      int32_t steps = step_offsets[i + 1] - step_offsets[i];
      for (int64_t j = i + 1; j <= rows; ++j) step_offsets[j] -= steps;
    }
  auto q = random.values<float>(offsets[rows]);
  int64_t steps = step_offsets[rows];
  Exact<int32_t> ends(new int32_t[steps]);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t s = step_offsets[i]; s < step_offsets[i + 1]; ++s) ends[s] = static_cast<int32_t>(random.integer(0, offsets[i + 1] - offsets[i] - 1));
  Exact<float> cumulative(new float[steps]), per_step(new float[steps]);
  backend.step_rewards(cumulative.get(), per_step.get(), q.get(), offsets.get(), ends.get(), step_offsets.get(), rows);
}

}  // namespace

PK_TEST("kernels on many sizes, with extreme values") {
  Random random;
  for (int team : {1, 3}) {
    set_threads(team);
    for (int64_t vocab = 1; vocab < 70; ++vocab) logprobs_case(backend(), random, random.integer(0, 4), vocab);
    for (int64_t vocab : {1023, 1025, 16383, 16384, 16385, 40000}) logprobs_case(backend(), random, random.integer(1, 3), vocab);
    for (int64_t vocab : {1, 2, 17, 64, 65, 4096, 4097, 6000}) {
      int64_t n = random.integer(1, 70), channels = random.integer(1, 40);
      linear_case<float>(backend(), random, n, channels, vocab, DType::f32, random.values<float>(n * channels), random.values<float>(vocab * channels));
      linear_case<bf16>(backend(), random, n, channels, vocab, DType::bf16, random.bfloats(n * channels), random.bfloats(vocab * channels));
    }
    for (int64_t rows : {0, 2, 3, 8, 100})
      for (int64_t longest : {0, 1, 7, 8, 9, 16, 17, 33, 700}) {
        rewards_case<float>(backend(), random, rows, longest, DType::f32);
        rewards_case<double>(backend(), random, rows, longest, DType::f64);
        steps_case(backend(), random, rows);
      }
    rewards_case<float>(backend(), random, 2, 30000, DType::f32);
  }
  set_threads(0);
}

}  // namespace pk::test
