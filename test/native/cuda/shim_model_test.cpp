// The whole model on the CUDA backend of the shim, in device memory that faults when the host touches it, against the CPU; and what
// the backend says when memory runs out or the device is lost.
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <thread>

#include "../harness.h"
#include "compare.h"
#include "model/decode.h"
#include "model/qwen2.h"
#include "shim_control.h"

namespace pk::test {

namespace {

std::vector<float> frequencies(int64_t head, double theta) {
  std::vector<float> out;
  for (int64_t d = 0; d < head / 2; ++d) out.push_back(static_cast<float>(1.0 / std::pow(theta, 2.0 * static_cast<double>(d) / static_cast<double>(head))));
  return out;
}
const ModelConfig kTiny{16, 2, 4, 2, 4, 24, 33, 1e-6f, true, true, false, false, frequencies(4, 1e4), 1.0f};
const ModelConfig kHead64{64, 1, 2, 1, 64, 40, 65, 1e-6f, false, false, true, true, frequencies(64, 1e6), 1.0f};

PackedBatch batch_of(const std::vector<int32_t>& lengths, int64_t vocab) {
  auto offsets = offsets_of(lengths);
  auto tokens = random_ids(offsets.back(), vocab, 9);
  return make_packed_batch(tokens.data(), offsets.back(), offsets.data(), static_cast<int64_t>(lengths.size()));
}

// Device memory of a backend made while one lives is guarded.
struct Guarded {
  Guarded() { cuda_shim::guard_device_memory(true); }
  ~Guarded() { cuda_shim::guard_device_memory(false); }
};

struct Trained {
  std::vector<float> logprobs, entropy, logits, weights;
  double norm = 0;
};

// Two steps of training, and then the logits.
Trained train(Backend& on, const ModelConfig& config, DType type, bool recompute) {
  Qwen2 model(on, config, type, recompute, true);
  model.initialize(3, 0.1f);
  std::vector<int32_t> lengths = {9, 0, 33, 2}, prompts = {2, 0, 1, 1};
  PackedBatch batch = batch_of(lengths, config.vocab_size);
  size_t scored = 7 + 32 + 1;
  Trained t{std::vector<float>(scored), std::vector<float>(scored), std::vector<float>(static_cast<size_t>(batch.size() * config.vocab_size)), {}};
  JobContext job;
  for (int step = 0; step < 2; ++step) {
    model.forward(t.logprobs.data(), t.entropy.data(), batch, prompts.data(), 0.8f, true, job);
    Buffer d(DType::f32, static_cast<int64_t>(scored), 1, 5), d_entropy(DType::f32, static_cast<int64_t>(scored), 1, 6);
    model.backward(d.f32(), step == 0 ? nullptr : d_entropy.f32(), job);
    t.norm = model.step({1e-3f, 0.9, 0.999, 1e-8f, 0.1f, 1.0f}).grad_norm;
  }
  model.logits(t.logits.data(), batch, job);
  for (const Parameter& p : model.table().entries) {
    std::vector<float> values(static_cast<size_t>(p.size()));
    model.read(values.data(), p, Qwen2::Slot::value);
    t.weights.insert(t.weights.end(), values.begin(), values.end());
  }
  return t;
}

void same_values(const std::vector<float>& expected, const std::vector<float>& got, double tolerance, const char* what) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += (static_cast<double>(expected[i]) - got[i]) * (static_cast<double>(expected[i]) - got[i]);
    size += static_cast<double>(expected[i]) * expected[i];
  }
  double share = std::sqrt(difference / size);
  PK_CHECK_WITH(share <= tolerance, std::string(what) + " differ by " + std::to_string(share) + " of their norm");
}

}  // namespace

PK_TEST("cuda: a model trains as on the CPU, without touching device memory") {
  Guarded guard;
  auto device = make_cuda_backend();
  for (const ModelConfig& config : {kTiny, kHead64})
    for (DType type : {DType::f32, DType::bf16}) {
      bool recompute = type == DType::bf16;
      Trained expected = train(backend(), config, type, recompute), got = train(*device, config, type, recompute);
      double tolerance = type == DType::f32 ? 1e-5 : 0.02;
      same_values(expected.logprobs, got.logprobs, tolerance, "log-probs");
      same_values(expected.entropy, got.entropy, tolerance, "entropies");
      same_values(expected.logits, got.logits, 3 * tolerance, "logits");
      same_values(expected.weights, got.weights, tolerance, "weights");
      same_number(expected.norm, got.norm, 3 * tolerance, "gradient norm");
    }
}

PK_TEST("cuda: guarded device memory is out of the host's reach") {
  Guarded guard;
  auto device = make_cuda_backend();
  void* data = device->allocate(64);
  int ends[2];
  PK_CHECK(pipe(ends) == 0);
  PK_CHECK(write(ends[1], data, 1) == -1 && errno == EFAULT);
  close(ends[0]);
  close(ends[1]);
  device->release(data);
}

PK_TEST("cuda: a model generates what the CPU generates") {
  Guarded guard;
  auto device = make_cuda_backend();
  int before = cuda_shim::graphs_launched();
  std::vector<std::vector<GeneratedSequence>> results;
  for (Backend* on : {&backend(), device.get()}) {
    Qwen2 model(*on, kTiny, DType::f32, false, true);
    model.initialize(4, 0.3f);
    JobContext job;
    GenerateSettings settings;
    settings.samples = 3;
    settings.max_new_tokens = 12;
    settings.max_batch = 4;
    settings.sampling = {1.0f, 0.95f, 0, 5};
    settings.stop_tokens = {2};
    results.push_back(generate(model, batch_of({1, 3, 18}, kTiny.vocab_size), {0, 1, 2, 3, 4, 5, 6, 7, 8}, settings, job));
  }
  PK_CHECK(cuda_shim::graphs_launched() > before);
  for (size_t i = 0; i < 9; ++i) {
    PK_CHECK_WITH(results[0][i].tokens == results[1][i].tokens, "sequence " + std::to_string(i));
    same_values(results[0][i].logprobs, results[1][i].logprobs, 1e-5, "log-probs");
  }
}

PK_TEST("cuda: a step is two launches for the norm and one each for matrices and vectors, whatever the number of parameters") {
  auto device = make_cuda_backend();
  for (int64_t layers : {1, 7}) {
    ModelConfig config = kTiny;
    config.layers = layers;
    Qwen2 model(*device, config, DType::bf16, false, true, DType::bf16);
    model.initialize(4, 0.3f);
    int before = cuda_shim::kernels_launched();
    model.step({1e-3f, 0.9, 0.999, 1e-8f, 0.1f, 1.0f});
    PK_CHECK(cuda_shim::kernels_launched() - before == 4);
  }
}

PK_TEST("cuda: memory that another thread takes while ops are recorded is no part of the record") {
  auto device = make_cuda_backend();
  void *x = device->allocate(64), *taken = nullptr;
  auto repeated = device->make_repeated();
  for (int call = 0; call < 3; ++call)  // the third is recorded
    repeated->run({1}, [&] {
      device->zero(x, 64);
      if (call == 2) std::thread([&] { taken = device->allocate(64); }).join();
    });
  std::vector<float> zeros(16, 1.0f), ones(16, 1.0f);
  device->copy_to_host(zeros.data(), taken, 64);
  PK_CHECK_WITH(zeros == std::vector<float>(16, 0.0f), "the memory is not zeroed");
  device->copy_from_host(taken, ones.data(), 64);
  repeated->run({1}, [] { throw std::logic_error("recorded already"); });
  device->copy_to_host(zeros.data(), taken, 64);
  PK_CHECK_WITH(zeros == ones, "the record zeroes it");
  device->release(x);
  device->release(taken);
}

PK_TEST("cuda: a card with little shared memory computes the gradient of wide heads as well") {
  cuda_shim::limit_shared(99 << 10);
  auto device = make_cuda_backend();
  cuda_shim::limit_shared(227 << 10);
  HeadShape shape{2, 1, 128};
  int64_t n = 40;
  std::vector<int32_t> offsets = {0, 7, 40};
  std::vector<std::vector<float>> results;
  for (Backend* on : {&backend(), device.get()}) {
    Buffer qkv(DType::bf16, n, shape.qkv_size(), 1), d_out(DType::bf16, n, shape.q_size(), 2);
    auto put = [&](const void* data, int64_t bytes) {
      void* at = on->allocate(bytes);
      on->copy_from_host(at, data, bytes);
      return at;
    };
    Tensor x(put(qkv.tensor().data, qkv.tensor().bytes()), DType::bf16, n, shape.qkv_size()),
        d(put(d_out.tensor().data, d_out.tensor().bytes()), DType::bf16, n, shape.q_size());
    Tensor out(on->allocate(d.bytes()), DType::bf16, n, shape.q_size()), d_x(on->allocate(x.bytes()), DType::bf16, n, shape.qkv_size());
    float* lse = static_cast<float*>(on->allocate(n * shape.heads * 4));
    auto* at = static_cast<int32_t*>(put(offsets.data(), 12));
    on->attention_forward(out, lse, x, at, 2, shape);
    on->attention_backward(d_x, d, out, lse, x, at, 2, shape);
    std::vector<bf16> got(static_cast<size_t>(d_x.size()));
    on->copy_to_host(got.data(), d_x.data, d_x.bytes());
    results.emplace_back();
    for (bf16 value : got) results.back().push_back(to_float(value));
    for (void* data : {x.data, d.data, out.data, d_x.data, static_cast<void*>(lse), static_cast<void*>(at)}) on->release(data);
  }
  same_values(results[0], results[1], 0.006, "gradients");
}

PK_TEST("cuda: out of memory names the op and leaves the process usable") {
  auto device = make_cuda_backend();
  Buffer in(DType::f32, 40, 24, 1);
  void *x = device->allocate(40 * 24 * 4), *sum = device->allocate(24 * 4);
  device->copy_from_host(x, in.f32(), 40 * 24 * 4);
  cuda_shim::fail_allocations(1);
  std::string code, message;
  try {
    device->column_sum(static_cast<float*>(sum), Tensor(static_cast<float*>(x), 40, 24));
  } catch (const Error& error) {
    code = error.code();
    message = error.what();
  }
  PK_CHECK_WITH(code == "ERR_OUT_OF_MEMORY" && message.find("column_sum [40 x 24]") != std::string::npos, message);
  device->column_sum(static_cast<float*>(sum), Tensor(static_cast<float*>(x), 40, 24));
  std::vector<float> got(24);
  device->copy_to_host(got.data(), sum, 24 * 4);
  double expected = 0;
  for (int64_t i = 0; i < 40; ++i) expected += in.at(i * 24);
  same_number(expected, got[0], 1e-5, "the sum after the failure");
  device->release(x);
  device->release(sum);
}

PK_TEST("cuda: a lost device is reported as such") {
  auto device = make_cuda_backend();
  void* x = device->allocate(64);
  cuda_shim::fail_from_now_on(cudaErrorIllegalAddress);
  std::string code, message;
  try {
    device->zero(x, 64);
  } catch (const Error& error) {
    code = error.code();
    message = error.what();
  }
  device->release(x);  // must not throw
  cuda_shim::fail_from_now_on(cudaSuccess);
  PK_CHECK_WITH(code == "ERR_DEVICE_LOST" && message.find("restart the process") != std::string::npos, message);
}

}  // namespace pk::test
