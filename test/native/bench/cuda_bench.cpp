// Speed of the CUDA backend beside the card's own copy bandwidth and matrix rate: cuda_bench [--json FILE] [--small] [part ...].
// Built and run by scripts/gpu_check.sh, which calls it once per part, so that a part that fails or hangs costs no other.
// --small takes sizes of a thousandth, to try the program itself (on the test shim too, where figures say nothing).
#include <map>

#include "bench.h"

namespace pk::bench {

namespace {

int64_t shrink = 1;  // --small

int64_t scaled(int64_t size) { return std::max<int64_t>(size / shrink, 8); }

double as_double(int64_t v) { return static_cast<double>(v); }

// The card's copy bandwidth (read and written bytes) and bf16 matrix rate, which everything else is a share of.
void calibrate(Bench& b) {
  int64_t n = scaled(8192), bytes = scaled(int64_t{1} << 30) * 4;
  Tensor from = b.tensor(DType::f32, 1, bytes / 4), to = b.tensor(DType::f32, 1, bytes / 4, 0);
  double copy = b.time([&] { b.on.copy(to.data, from.data, bytes); });
  Tensor a = b.tensor(DType::bf16, n, n), w = b.tensor(DType::bf16, n, n), out = b.tensor(DType::bf16, n, n, 0);
  double matrix = b.time([&] { b.on.matmul(out, a, false, w, true, nullptr, false); });
  b.report.rates(2.0 * as_double(bytes) / copy, 2.0 * as_double(n) * as_double(n) * as_double(n) / matrix);
}

void token_logprobs(Bench& b, DType dtype) {
  int64_t n = scaled(8192), v = scaled(151936);
  Tensor logprobs = b.tensor(DType::f32, n, 1), entropy = b.tensor(DType::f32, n, 1);
  int32_t* targets = b.integers(ids(n, v));
  Tensor logits = b.tensor(dtype, n, v, 4);
  bool half = dtype == DType::bf16;
  Result forward{half ? "logits_bf16" : "logits_f32", std::string("token_logprobs [8192 x 151936] ") + (half ? "bf16" : "f32") + ", with entropy",
                 as_double(logits.bytes())};
  Result backward{half ? "logits_bf16_backward" : "logits_f32_backward", "  its gradient, in place", 2 * as_double(logits.bytes())};
  b.measure(forward, [&] { b.on.token_logprobs_forward(logprobs.f32(), entropy.f32(), logits, targets, v, 1); });
  b.measure(backward, [&] { b.on.token_logprobs_backward(logits, logits, targets, logprobs.f32(), entropy.f32(), v, 1); });
}

void linear_logprobs(Bench& b, bool large) {
  int64_t n = scaled(8192), c = large ? scaled(4096) : scaled(896), v = large ? scaled(131072) : scaled(151936);
  Tensor hidden = b.tensor(DType::bf16, n, c), weight = b.tensor(DType::bf16, v, c, 0.05f), d_hidden = b.tensor(DType::bf16, n, c),
         d_weight = b.tensor(DType::f32, v, c, 0), logprobs = b.tensor(DType::f32, n, 1), entropy = b.tensor(DType::f32, n, 1),
         lse = b.tensor(DType::f32, n, 1);
  int32_t* targets = b.integers(ids(n, v));
  double operations = 2.0 * as_double(n) * as_double(c) * as_double(v);
  auto forward = [&] { b.on.linear_logprobs_forward(logprobs.f32(), entropy.f32(), lse.f32(), hidden, weight, targets, 1); };
  std::string name = std::string("linear_logprobs N=8192 ") + (large ? "C=4096 V=131072" : "C=896 V=151936");
  b.measure({large ? "linear_forward" : "linear_small_forward", name, 0, operations}, forward);
  b.measure({large ? "linear_full" : "linear_small_full", "  forward and backward", 0, 3 * operations}, [&] {
    forward();
    b.on.linear_logprobs_backward(d_hidden, d_weight, hidden, weight, targets, lse.f32(), nullptr, logprobs.f32(), nullptr, 1);
  });
}

void rewards(Bench& b) {
  int64_t rows = std::max<int64_t>(scaled(8192) / 4 * 4, 4), length = scaled(2048), n = rows * length;
  Tensor prm = b.tensor(DType::f32, n, 1), ref = b.tensor(DType::f32, n, 1), r = b.tensor(DType::f32, n, 1), q = b.tensor(DType::f32, n, 1),
         advantages = b.tensor(DType::f32, n, 1), returns = b.tensor(DType::f32, n, 1), d = b.tensor(DType::f32, n, 1), scores = b.tensor(DType::f32, rows, 1);
  int32_t *offsets = b.integers(even_rows(rows, length)), *groups = b.integers(even_rows(rows / 4, 4));
  AdvantageSettings settings{1, 1, 1, 1, Baseline::leave_one_out, false, true};
  PpoSettings ppo{0.2f, 0.2f, Aggregate::token_mean, 0, 0, 0, 0};
  auto implicit = [&] { b.on.implicit_rewards(r.f32(), q.f32(), scores.f32(), prm, ref, offsets, rows, 0.05); };
  auto shape = [&] { b.on.prime_advantages(advantages.f32(), returns.f32(), r.f32(), scores.f32(), offsets, rows, groups, rows / 4, settings); };
  auto loss = [&] { b.on.ppo_clip_loss(d.f32(), nullptr, prm, ref, advantages.f32(), nullptr, Tensor(), offsets, rows, ppo); };
  b.measure({"rewards", "implicit_rewards + prime_advantages + ppo_clip_loss, 16 M", 52.0 * as_double(n)}, [&] {
    implicit();
    shape();
    loss();
  });
  b.measure({"rewards_implicit", "  implicit_rewards", 16.0 * as_double(n)}, implicit);
  b.measure({"rewards_advantages", "  prime_advantages", 20.0 * as_double(n)}, shape);
  b.measure({"rewards_loss", "  ppo_clip_loss", 16.0 * as_double(n)}, loss);
}

void attention(Bench& b, HeadShape shape) {
  int64_t rows = 8, length = scaled(2048), n = rows * length;
  Tensor qkv = b.tensor(DType::bf16, n, shape.qkv_size()), out = b.tensor(DType::bf16, n, shape.q_size()), d_qkv = b.tensor(DType::bf16, n, shape.qkv_size()),
         lse = b.tensor(DType::f32, n, shape.heads);
  int32_t* offsets = b.integers(even_rows(rows, length));
  double operations = 2.0 * as_double(n) * as_double(length) * as_double(shape.q_size());  // 4 T^2 HD / 2 (causal)
  bool small = shape.head_size == 64;
  std::string name =
      "attention, " + std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads) + " heads of " + std::to_string(shape.head_size) + ", 8 rows of 2048";
  b.measure({small ? "attention_64" : "attention_128", name, 0, operations}, [&] { b.on.attention_forward(out, lse.f32(), qkv, offsets, rows, shape); });
  b.measure({small ? "attention_64_backward" : "attention_128_backward", "  backward (of 5 products)", 0, 2.5 * operations},
            [&] { b.on.attention_backward(d_qkv, out, out, lse.f32(), qkv, offsets, rows, shape); });
}

// The element-wise passes of a layer of the 0.5 B shape.
void layers(Bench& b) {
  int64_t n = scaled(16384), c = 896, f = 4864;
  HeadShape shape{14, 2, 64};
  Tensor x = b.tensor(DType::f32, n, c), delta = b.tensor(DType::bf16, n, c), normed = b.tensor(DType::bf16, n, c), rstd = b.tensor(DType::f32, n, 1),
         weight = b.tensor(DType::f32, 1, c), gate_up = b.tensor(DType::bf16, n, 2 * f), act = b.tensor(DType::bf16, n, f),
         qkv = b.tensor(DType::bf16, n, shape.qkv_size()), table = b.tensor(DType::f32, n, 64);
  std::vector<int32_t> counted;
  for (int64_t i = 0; i < n; ++i) counted.push_back(static_cast<int32_t>(i));
  int32_t* positions = b.integers(counted);
  double elements = as_double(n * c), wide = as_double(n * f);
  b.measure({"rmsnorm", "rmsnorm_forward [16384 x 896]", 12 * elements}, [&] { b.on.rmsnorm_forward(normed, rstd.f32(), x, x, delta, weight.f32(), 1e-6f); });
  b.measure({"rmsnorm_backward", "rmsnorm_backward", 16 * elements},
            [&] { b.on.rmsnorm_backward(x, delta, weight.f32(), normed, x, weight.f32(), rstd.f32()); });
  b.measure({"swiglu", "swiglu_forward [16384 x 4864]", 6 * wide}, [&] { b.on.swiglu_forward(act, gate_up); });
  b.measure({"swiglu_backward", "swiglu_backward", 12 * wide}, [&] { b.on.swiglu_backward(gate_up, act, act, gate_up); });
  b.measure({"rope", "rope", 4.0 * as_double(n * (shape.heads + shape.kv_heads) * 64)}, [&] { b.on.rope(qkv, positions, table.f32(), shape, false); });
}

void optimizer(Bench& b, DType moments) {
  int64_t n = scaled(494 << 20);
  Tensor p = b.tensor(DType::f32, 1, n), g = b.tensor(DType::f32, 1, n), m = b.tensor(moments, 1, n, 0), v = b.tensor(moments, 1, n, 0),
         rounded = b.tensor(DType::bf16, 1, n, 0);
  bool half = moments == DType::bf16;
  Result result{half ? "adamw_bf16" : "adamw", half ? "  bfloat16 moments" : "adamw, 0.5 B weights",
                (14.0 + 4.0 * as_double(dtype_size(moments))) * as_double(n)};
  AdamWSettings settings{};
  settings.lr = 1e-6f;
  settings.beta1 = 0.9;
  settings.beta2 = 0.999;
  settings.eps = 1e-8f;
  settings.step = 1;
  settings.grad_scale = 1;
  b.measure(result, [&] { b.on.adamw(p.f32(), rounded.as<bf16>(), g.f32(), m, v, settings); });
}

using Part = std::function<void(Bench&)>;
const std::vector<std::pair<std::string, std::vector<Part>>> kParts = {
    {"logits", {[](Bench& b) { token_logprobs(b, DType::bf16); }, [](Bench& b) { token_logprobs(b, DType::f32); }}},
    {"linear", {[](Bench& b) { linear_logprobs(b, true); }, [](Bench& b) { linear_logprobs(b, false); }}},
    {"rewards", {rewards}},
    {"attention",
     {[](Bench& b) {
        attention(b, {16, 4, 128});
      },
      [](Bench& b) {
        attention(b, {14, 2, 64});
      }}},
    {"train_0.5b", {[](Bench& b) { training(b, false); }}},
    {"train_1.5b", {[](Bench& b) { training(b, true); }}},
    {"decode", {decoding}},
    {"layers", {layers, [](Bench& b) { optimizer(b, DType::f32); }, [](Bench& b) { optimizer(b, DType::bf16); }}},
};

int run(const std::vector<std::string>& wanted, const char* json) {
  auto on = make_cuda_backend();
  Report report(json);
  int failed = 0;
  auto run_part = [&](const Part& part) {
    try {
      Bench bench(*on, report);  // one part's memory at a time
      part(bench);
    } catch (const std::exception& error) {
      std::printf("FAILED: %s\n", error.what());
      ++failed;
    }
  };
  run_part(calibrate);
  for (const auto& [name, parts] : kParts)
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end())
      for (const Part& part : parts) run_part(part);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int64_t size_divisor() { return shrink; }

}  // namespace pk::bench

int main(int argc, char** argv) {
  const char* json = nullptr;
  std::vector<std::string> wanted;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0 && i + 1 < argc)
      json = argv[++i];
    else if (std::strcmp(argv[i], "--small") == 0)
      pk::bench::shrink = 64;
    else
      wanted.push_back(argv[i]);
  }
  try {
    return pk::bench::run(wanted, json);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
}
