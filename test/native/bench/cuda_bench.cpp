// Speed of the CUDA backend's hot ops beside the card's own copy bandwidth and matrix rate. Built and run by scripts/gpu_check.sh.
// Every line is the best of five; an op is called as often as fills 50 ms, between two waits for the device.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "core/rng.h"
#include "ops/backend.h"

namespace pk::bench {

namespace {

class Bench {
 public:
  explicit Bench(Backend& on) : on_(on), flag_(on.allocate(64)) {}
  ~Bench() {
    on_.release(flag_);
    for (void* data : owned_) on_.release(data);
  }

  // Zeros; random bf16 or float32 values in [-1, 1) when asked (a block of them, repeated).
  Tensor tensor(DType dtype, int64_t rows, int64_t cols, bool random = true) {
    Tensor t(on_.allocate(rows * cols * dtype_size(dtype)), dtype, rows, cols);
    owned_.push_back(t.data);
    if (!random) return t;
    std::vector<char> block(static_cast<size_t>(std::min<int64_t>(t.bytes(), 1 << 20)));
    for (size_t i = 0; i + 4 <= block.size(); i += dtype == DType::f32 ? 4 : 2) {
      float value = 2 * philox_uniform(philox(1, 0, i)[0]) - 1;
      bf16 half = to_bf16(value);
      std::copy_n(dtype == DType::f32 ? reinterpret_cast<char*>(&value) : reinterpret_cast<char*>(&half), dtype_size(dtype), block.data() + i);
    }
    for (int64_t at = 0; at < t.bytes(); at += static_cast<int64_t>(block.size()))
      on_.copy_from_host(t.as<char>() + at, block.data(), std::min<int64_t>(static_cast<int64_t>(block.size()), t.bytes() - at));
    return t;
  }
  int32_t* integers(const std::vector<int32_t>& values) {
    void* data = on_.allocate(static_cast<int64_t>(values.size()) * 4);
    owned_.push_back(data);
    on_.copy_from_host(data, values.data(), static_cast<int64_t>(values.size()) * 4);
    return static_cast<int32_t*>(data);
  }

  // Seconds of one call.
  double time(const std::function<void()>& op) {
    using Clock = std::chrono::steady_clock;
    auto seconds_of = [&](int count) {
      wait();
      auto start = Clock::now();
      for (int i = 0; i < count; ++i) op();
      wait();
      return std::chrono::duration<double>(Clock::now() - start).count() / count;
    };
    double once = seconds_of(2), best = once;
    int count = std::clamp(static_cast<int>(0.05 / once), 1, 1000);
    for (int i = 0; i < 5; ++i) best = std::min(best, seconds_of(count));
    return best;
  }
  void line(const char* what, double seconds, double bytes, double operations) {
    std::printf("%-58s %9.3f ms", what, seconds * 1e3);
    if (bytes > 0) std::printf("  %6.2f TB/s (%3.0f %% of copy)", bytes / seconds / 1e12, 100 * bytes / seconds / copy_rate);
    if (operations > 0) std::printf("  %6.0f TFLOP/s (%3.0f %% of the matrix rate)", operations / seconds / 1e12, 100 * operations / seconds / matrix_rate);
    std::printf("\n");
    std::fflush(stdout);
  }
  double copy_rate = 1, matrix_rate = 1;

 private:
  void wait() {
    char byte;
    on_.copy_to_host(&byte, flag_, 1);
  }
  Backend& on_;
  void* flag_;
  std::vector<void*> owned_;
};

std::vector<int32_t> even_rows(int64_t rows, int64_t length) {
  std::vector<int32_t> offsets;
  for (int64_t i = 0; i <= rows; ++i) offsets.push_back(static_cast<int32_t>(i * length));
  return offsets;
}

std::vector<int32_t> ids(int64_t n, int64_t below) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(static_cast<int32_t>(philox(2, 0, static_cast<uint64_t>(i))[0] % static_cast<uint32_t>(below)));
  return out;
}

// The card's copy bandwidth (read and written bytes) and bf16 matrix rate, which everything else is a share of.
void calibrate(Backend& on, double& copy_rate, double& matrix_rate) {
  Bench b(on);
  Tensor from = b.tensor(DType::f32, 1 << 14, 1 << 14), to = b.tensor(DType::f32, 1 << 14, 1 << 14, false);
  double seconds = b.time([&] { on.copy(to.data, from.data, to.bytes()); });
  copy_rate = 2.0 * static_cast<double>(to.bytes()) / seconds;
  Tensor a = b.tensor(DType::bf16, 8192, 8192), w = b.tensor(DType::bf16, 8192, 8192), out = b.tensor(DType::bf16, 8192, 8192, false);
  seconds = b.time([&] { on.matmul(out, a, false, w, true, nullptr, false); });
  matrix_rate = 2.0 * 8192 * 8192 * 8192 / seconds;
  std::printf("copy %.2f TB/s, bf16 product of 8192^3 %.0f TFLOP/s\n", copy_rate / 1e12, matrix_rate / 1e12);
}

void token_logprobs(Backend& on, Bench& b) {
  int64_t n = 8192, v = 151936;
  Tensor logits = b.tensor(DType::f32, n, v), logprobs = b.tensor(DType::f32, n, 1), entropy = b.tensor(DType::f32, n, 1);
  int32_t* targets = b.integers(ids(n, v));
  double bytes = static_cast<double>(logits.bytes());
  b.line("token_logprobs [8192 x 151936] f32, with entropy", b.time([&] { on.token_logprobs_forward(logprobs.f32(), entropy.f32(), logits, targets, v, 1); }),
         bytes, 0);
  b.line("its gradient, in place", b.time([&] { on.token_logprobs_backward(logits, logits, targets, logprobs.f32(), entropy.f32(), v, 1); }), 2 * bytes, 0);
}

void linear_logprobs(Backend& on, Bench& b, int64_t n, int64_t c, int64_t v) {
  Tensor hidden = b.tensor(DType::bf16, n, c), weight = b.tensor(DType::bf16, v, c), d_hidden = b.tensor(DType::bf16, n, c),
         d_weight = b.tensor(DType::f32, v, c, false), logprobs = b.tensor(DType::f32, n, 1), entropy = b.tensor(DType::f32, n, 1),
         lse = b.tensor(DType::f32, n, 1);
  int32_t* targets = b.integers(ids(n, v));
  double operations = 2.0 * static_cast<double>(n) * static_cast<double>(c) * static_cast<double>(v);
  auto forward = [&] { on.linear_logprobs_forward(logprobs.f32(), entropy.f32(), lse.f32(), hidden, weight, targets, 1); };
  char name[96];
  std::snprintf(name, sizeof name, "linear_logprobs N=%d C=%d V=%d", static_cast<int>(n), static_cast<int>(c), static_cast<int>(v));
  b.line(name, b.time(forward), 0, operations);
  b.line("  forward and backward", b.time([&] {
    forward();
    on.linear_logprobs_backward(d_hidden, d_weight, hidden, weight, targets, lse.f32(), nullptr, logprobs.f32(), nullptr, 1);
  }),
         0, 3 * operations);
}

void rewards(Backend& on, Bench& b) {
  int64_t rows = 8192, length = 2048, n = rows * length;
  Tensor prm = b.tensor(DType::f32, n, 1), ref = b.tensor(DType::f32, n, 1), r = b.tensor(DType::f32, n, 1), q = b.tensor(DType::f32, n, 1),
         advantages = b.tensor(DType::f32, n, 1), returns = b.tensor(DType::f32, n, 1), d = b.tensor(DType::f32, n, 1), scores = b.tensor(DType::f32, rows, 1);
  int32_t *offsets = b.integers(even_rows(rows, length)), *groups = b.integers(even_rows(rows / 4, 4));
  AdvantageSettings settings{1, 1, 1, 1, Baseline::leave_one_out, false, true};
  PpoSettings ppo{0.2f, 0.2f, Aggregate::token_mean, 0, 0, 0, 0};
  b.line("implicit_rewards + prime_advantages + ppo_clip_loss, 16 M", b.time([&] {
    on.implicit_rewards(r.f32(), q.f32(), scores.f32(), prm, ref, offsets, rows, 0.05);
    on.prime_advantages(advantages.f32(), returns.f32(), r.f32(), scores.f32(), offsets, rows, groups, rows / 4, settings);
    on.ppo_clip_loss(d.f32(), nullptr, prm, ref, advantages.f32(), nullptr, Tensor(), offsets, rows, ppo);
  }),
         52.0 * static_cast<double>(n), 0);
}

void attention(Backend& on, Bench& b, HeadShape shape) {
  int64_t rows = 8, length = 2048, n = rows * length;
  Tensor qkv = b.tensor(DType::bf16, n, shape.qkv_size()), out = b.tensor(DType::bf16, n, shape.q_size()), d_qkv = b.tensor(DType::bf16, n, shape.qkv_size()),
         lse = b.tensor(DType::f32, n, shape.heads);
  int32_t* offsets = b.integers(even_rows(rows, length));
  double operations = 2.0 * static_cast<double>(n) * static_cast<double>(length) * static_cast<double>(shape.q_size());  // 4 T^2 HD / 2 (causal)
  char name[96];
  std::snprintf(name, sizeof name, "attention, %d/%d heads of %d, 8 rows of 2048", static_cast<int>(shape.heads), static_cast<int>(shape.kv_heads),
                static_cast<int>(shape.head_size));
  b.line(name, b.time([&] { on.attention_forward(out, lse.f32(), qkv, offsets, rows, shape); }), 0, operations);
  b.line("  backward", b.time([&] { on.attention_backward(d_qkv, out, out, lse.f32(), qkv, offsets, rows, shape); }), 0, 2.5 * operations);
}

void optimizer(Backend& on, Bench& b) {
  int64_t n = 494 << 20;
  Tensor p = b.tensor(DType::f32, 1, n), g = b.tensor(DType::f32, 1, n), m = b.tensor(DType::f32, 1, n, false), v = b.tensor(DType::f32, 1, n, false),
         rounded = b.tensor(DType::bf16, 1, n, false);
  b.line("adamw, 0.5 B weights", b.time([&] {
    on.adamw(p.f32(), rounded.as<bf16>(), g.f32(), m.f32(), v.f32(), n, {1e-6f, 0.9, 0.999, 1e-8f, 0, 1, 1});
  }),
         30.0 * static_cast<double>(n), 0);
}

}  // namespace

int run() {
  auto on = make_cuda_backend();
  double copy_rate = 1, matrix_rate = 1;
  calibrate(*on, copy_rate, matrix_rate);
  for (const std::function<void(Bench&)>& part :
       std::vector<std::function<void(Bench&)>>{[&](Bench& b) { token_logprobs(*on, b); }, [&](Bench& b) { linear_logprobs(*on, b, 8192, 4096, 131072); },
                                                [&](Bench& b) { linear_logprobs(*on, b, 8192, 896, 151936); }, [&](Bench& b) { rewards(*on, b); },
                                                [&](Bench& b) {
                                                  attention(*on, b, {16, 4, 128});
                                                },
                                                [&](Bench& b) {
                                                  attention(*on, b, {14, 2, 64});
                                                },
                                                [&](Bench& b) { optimizer(*on, b); }}) {
    Bench bench(*on);  // one part's memory at a time
    bench.copy_rate = copy_rate;
    bench.matrix_rate = matrix_rate;
    part(bench);
  }
  return 0;
}

}  // namespace pk::bench

int main() {
  try {
    return pk::bench::run();
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
}
