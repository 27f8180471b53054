// 08, in C++: PRIME inside a trainer of your own, through primekit.h. The policy here is one softmax layer that knows the token before and the
// position; your own would have a network below it and hand `d_hidden` on to it. Everything from log-probs to gradients is the library's.
//
//   bun run build:c
//   c++ -std=c++20 -O2 -Inative/include examples/08_embed/trainer.cpp -Lbuild/lib -lprimekit -Wl,-rpath,$PWD/build/lib -o trainer && ./trainer
//
// On a GPU (a library built with CUDA): nvcc -x cu -std=c++20 -DON_GPU … -Xlinker -rpath,$PWD/build/lib, and the rest as above.
//
// The task: the answer to digit d is d+1, d+2, d+3, d+4 (mod 10), right or wrong as a whole. The policy starts out right in about six steps of ten.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "primekit.h"

#ifdef ON_GPU
#include <cuda_runtime.h>
const char* const kDevice = "cuda";
void* take(size_t bytes) {
  void* data = nullptr;
  if (cudaMallocManaged(&data, bytes) != cudaSuccess) std::exit(2);  // memory of both sides: no copies in this text
  return data;
}
void wait() { cudaDeviceSynchronize(); }
#else
const char* const kDevice = "cpu";
void* take(size_t bytes) { return std::malloc(bytes); }
void wait() {}
#endif

constexpr int V = 10, T = 4, C = V + T;             // vocabulary, answer length; inputs: the token before, the position
constexpr int P = 16, G = 8, B = P * G, N = B * T;  // prompts, answers each, rows, tokens

template <class Value>
struct Array {  // as long as the program; zeroed
  explicit Array(int size) : size(size), data(static_cast<Value*>(take(sizeof(Value) * size))) { std::memset(data, 0, sizeof(Value) * size); }
  Value& operator[](int i) { return data[i]; }
  operator Value*() { return data; }
  int size;
  Value* data;
};
using Floats = Array<float>;

pk_context* context = nullptr;
void ok(pk_status status) {
  if (status == PK_OK) return;
  std::fprintf(stderr, "%s\n", pk_last_error(context));
  std::exit(1);
}

// A softmax layer [V, C] and its Adam.
struct Layer {
  Floats weight{V * C}, gradient{V * C}, m{V * C}, v{V * C};
  int steps = 0;
  void step(float lr) {
    wait();
    ++steps;
    for (int i = 0; i < V * C; ++i) {
      m[i] = 0.9f * m[i] + 0.1f * gradient[i];
      v[i] = 0.99f * v[i] + 0.01f * gradient[i] * gradient[i];
      weight[i] -= lr * (m[i] / (1 - std::pow(0.9f, steps))) / (std::sqrt(v[i] / (1 - std::pow(0.99f, steps))) + 1e-8f);
      gradient[i] = 0;
    }
  }
};

struct Batch {
  Floats hidden{N * C}, outcomes{B};
  Array<int32_t> tokens{N}, offsets{B + 1}, groups{P + 1};
};

// Log-probs of the batch's tokens by a layer; log_sum_exp is for its backward.
void logprobs_of(Layer& layer, Batch& batch, Floats& logprobs, Floats& log_sum_exp) {
  ok(pk_linear_logprobs_forward(context, logprobs, nullptr, log_sum_exp, batch.hidden, layer.weight, batch.tokens, PK_FLOAT32, N, V, C, 1));
}

// What the loss wants of the log-probs, as gradients of the layer.
void backward(Layer& layer, Batch& batch, Floats& log_sum_exp, Floats& d_logprobs) {
  static Floats d_hidden{N * C};
  ok(pk_linear_logprobs_backward(context, d_hidden, layer.gradient, batch.hidden, layer.weight, batch.tokens, log_sum_exp, nullptr, d_logprobs, nullptr,
                                 PK_FLOAT32, PK_FLOAT32, N, V, C, 1));
}

// G answers to each of P digits, drawn from the policy; their outcomes. Returns the share of right ones.
float roll_out(Layer& policy, Batch& batch, std::mt19937& random) {
  std::uniform_real_distribution<float> uniform;
  float right = 0;
  std::fill_n(batch.hidden.data, N * C, 0.0f);
  for (int row = 0, digit = 0; row < B; ++row) {
    if (row % G == 0) digit = static_cast<int>(random() % V);
    bool all_right = true;
    for (int t = 0, before = digit; t < T; ++t) {
      int i = row * T + t;
      batch.hidden[i * C + before] = batch.hidden[i * C + V + t] = 1;
      float weights[V], sum = 0;
      for (int k = 0; k < V; ++k) sum += weights[k] = std::exp(policy.weight[k * C + before] + policy.weight[k * C + V + t]);
      float draw = uniform(random) * sum;
      int token = 0;
      while (token + 1 < V && draw >= weights[token]) draw -= weights[token++];
      batch.tokens[i] = before = token;
      all_right &= token == (digit + t + 1) % V;
    }
    right += batch.outcomes[row] = all_right;
  }
  return right / B;
}

int main() {
  if (pk_abi_version() != PK_ABI_VERSION) return std::fprintf(stderr, "libprimekit.so does not fit primekit.h\n"), 1;
  ok(pk_context_create(kDevice, nullptr, &context));

  Layer policy, prm, reference;
  for (Layer* layer : {&policy, &prm, &reference})
    for (int k = 0; k < V; ++k) layer->weight[k * C + (k + V - 1) % V] = 2.6f;  // as fine-tuning would have left them
  Batch batch;
  for (int row = 0; row <= B; ++row) batch.offsets[row] = row * T;
  for (int p = 0; p <= P; ++p) batch.groups[p] = p * G;
  Floats old_logprobs{N}, logprobs{N}, phi{N}, ref{N}, lse{N}, unused{N}, d_logprobs{N}, probabilities{B};
  Floats rewards{N}, q{N}, scores{B}, advantages{N}, returns{N};
  const pk_advantage_settings advantage_settings = pk_default_advantage_settings();
  const pk_ppo_settings ppo_settings = pk_default_ppo_settings();
  const double beta = 0.5;
  std::mt19937 random(1);

  std::printf("step   right   PRM loss   PRM right   PPO loss   clipped\n");
  for (int step = 0; step <= 60; ++step) {
    float right = roll_out(policy, batch, random);

    // The PRM learns right and wrong of whole answers; its log-ratios are rewards of tokens.
    pk_prm_result prm_result;
    logprobs_of(reference, batch, ref, unused);
    logprobs_of(prm, batch, phi, lse);
    ok(pk_prm_cross_entropy_loss(context, &prm_result, d_logprobs, probabilities, phi, ref, batch.offsets, batch.outcomes, PK_FLOAT32, N, B, beta, 0));
    backward(prm, batch, lse, d_logprobs);
    prm.step(0.05f);
    logprobs_of(prm, batch, phi, lse);
    ok(pk_implicit_rewards(context, rewards, q, scores, phi, ref, batch.offsets, PK_FLOAT32, N, B, beta));
    ok(pk_prime_advantages(context, advantages, returns, rewards, batch.outcomes, batch.offsets, batch.groups, N, B, P, &advantage_settings));

    // Two epochs of PPO on the same answers.
    pk_ppo_result ppo_result{};
    logprobs_of(policy, batch, old_logprobs, lse);
    for (int epoch = 0; epoch < 2; ++epoch) {
      logprobs_of(policy, batch, logprobs, lse);
      ok(pk_ppo_clip_loss(context, &ppo_result, d_logprobs, nullptr, logprobs, old_logprobs, advantages, nullptr, nullptr, batch.offsets, PK_FLOAT32, N, B,
                          &ppo_settings));
      backward(policy, batch, lse, d_logprobs);
      policy.step(0.03f);
    }
    if (step % 10 == 0)
      std::printf("%4d   %4.0f %%   %8.3f   %7.0f %%   %8.4f   %5.1f %%\n", step, 100.0 * right, prm_result.loss, 100 * prm_result.accuracy, ppo_result.loss,
                  100 * ppo_result.clip_fraction);
  }
  pk_context_destroy(context);
}
