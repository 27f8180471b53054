// Token log-probs straight from hidden states: logits = hidden @ weight^T exist only as one chunk of tokens x vocabulary.
// A chunk is at most kChunkLogits floats (8 MiB, so it stays in the cache between the product and the softmax sums); with
// a bfloat16 or float32 copy of its gradient and a float32 d_hidden the scratch is under 32 MiB a thread.
#include <algorithm>

#include "core/job.h"
#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/logprob_rows.h"
#include "cpu/scratch.h"

namespace pk {

namespace {

constexpr int64_t kChunkLogits = 2 << 20;
constexpr int64_t kWholeVocab = 4096;  // a vocabulary up to this is one chunk
constexpr int64_t kVocabChunk = 2048;
constexpr int64_t kPieceLogits = 16384;

struct ChunkPlan {
  int64_t tokens, vocab;  // per chunk
};

ChunkPlan plan_chunks(int64_t n, int64_t c, int64_t v) {
  int64_t vocab = v <= kWholeVocab ? std::max<int64_t>(v, 1) : kVocabChunk;
  int64_t tokens = std::max<int64_t>(16, kChunkLogits / vocab);
  tokens = std::max<int64_t>(16, std::min(tokens, 2 * kChunkLogits / std::max<int64_t>(c, 1)));  // bounds the d_hidden chunk
  // Equal chunks, in steps of 64 rows: a small last one would be a slow product of a shape of its own.
  int64_t chunks = std::max<int64_t>(1, (n + tokens - 1) / tokens);
  int64_t even = ((n + chunks - 1) / chunks + 63) / 64 * 64;
  return {std::min(tokens, even), vocab};
}

// body(first, count) over [0, total) in chunks; between them the job may be stopped.
template <class Body>
void for_chunks(int64_t total, int64_t chunk, const Body& body) {
  for (int64_t at = 0; at < total; at += chunk) {
    check_current_job();
    body(at, std::min(chunk, total - at));
  }
}

// Rows of a chunk with `vocab` logits each, shared among the threads.
template <class Body>
void for_rows(int64_t rows, int64_t vocab, const Body& body) {
  parallel_for(rows, std::max<int64_t>(1, kPieceLogits / vocab), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

template <bool with_entropy>
void forward_chunk(float* logprobs, float* entropy, float* lse, const Tensor& hidden, const Tensor& weight, const int32_t* targets, float inverse_temperature,
                   CpuBackend& backend, int64_t vocab_chunk) {
  static thread_local Scratch logit_scratch, sum_scratch;
  int64_t n = hidden.rows;
  float* logits = logit_scratch.get<float>(n * std::min(vocab_chunk, weight.rows));
  SoftmaxSums* sums = sum_scratch.get<SoftmaxSums>(n);
  std::fill(sums, sums + n, SoftmaxSums{});
  for_chunks(weight.rows, vocab_chunk, [&](int64_t v0, int64_t v) {
    backend.matmul(Tensor(logits, n, v), hidden, false, weight.slice_rows(v0, v), true, nullptr, false);
    for_rows(n, v, [&](int64_t i) {
      const float* row = logits + i * v;
      if (v0 <= targets[i] && targets[i] < v0 + v) logprobs[i] = row[targets[i] - v0];  // the target's logit; the log-sum-exp is subtracted at the end
      sums[i].merge(softmax_row_sums<with_entropy>(row, v, inverse_temperature));
    });
  });
  for_rows(n, 16, [&](int64_t i) {
    double log_sum = sums[i].log_sum_exp();
    logprobs[i] = static_cast<float>(static_cast<double>(logprobs[i]) * inverse_temperature - log_sum);
    lse[i] = static_cast<float>(log_sum);
    if constexpr (with_entropy) entropy[i] = static_cast<float>(sums[i].entropy());
  });
}

// Gradient of a chunk's logits in place of (float32) or beside (bfloat16) the logits.
template <class T>
void chunk_gradient(T* d_logits, float* logits, int64_t n, int64_t v, int64_t v0, const int32_t* targets, const float* lse, const float* entropy,
                    const float* d_logprobs, const float* d_entropy, float inverse_temperature) {
  for_rows(n, v, [&](int64_t i) {
    bool has_target = v0 <= targets[i] && targets[i] < v0 + v;
    int64_t at = i * v + targets[i] - v0;
    float target_logit = has_target ? logits[at] : 0;
    LogitGradient row{inverse_temperature, lse[i], d_entropy ? entropy[i] : 0, d_logprobs[i], d_entropy ? d_entropy[i] : 0};
    logit_gradient(d_logits + i * v, logits + i * v, v, row);
    // (1 - p) is formed before rounding to T, as p may be close to 1.
    if (has_target && d_logprobs[i] != 0) d_logits[at] = from_float<T>(target_gradient(target_logit, row));
  });
}

}  // namespace

void CpuBackend::linear_logprobs_forward(float* logprobs, float* entropy, float* lse, Tensor hidden, Tensor weight, const int32_t* targets, float temperature) {
  ChunkPlan plan = plan_chunks(hidden.rows, hidden.cols, weight.rows);
  float inverse_temperature = 1.0f / temperature;
  for_chunks(hidden.rows, plan.tokens, [&](int64_t at, int64_t n) {
    if (entropy)
      forward_chunk<true>(logprobs + at, entropy + at, lse + at, hidden.slice_rows(at, n), weight, targets + at, inverse_temperature, *this, plan.vocab);
    else
      forward_chunk<false>(logprobs + at, nullptr, lse + at, hidden.slice_rows(at, n), weight, targets + at, inverse_temperature, *this, plan.vocab);
  });
}

void CpuBackend::linear_logprobs_backward(Tensor d_hidden, Tensor d_weight, Tensor hidden, Tensor weight, const int32_t* targets, const float* lse,
                                          const float* entropy, const float* d_logprobs, const float* d_entropy, float temperature) {
  static thread_local Scratch logit_scratch, gradient_scratch, hidden_scratch;
  ChunkPlan plan = plan_chunks(hidden.rows, hidden.cols, weight.rows);
  float inverse_temperature = 1.0f / temperature;
  // d_hidden is summed over the vocabulary chunks in float32; with one chunk, or a float32 output, that needs no memory.
  bool sum_apart = d_hidden.dtype != DType::f32 && weight.rows > plan.vocab;
  for_chunks(hidden.rows, plan.tokens, [&](int64_t at, int64_t n) {
    Tensor h = hidden.slice_rows(at, n), out = d_hidden.slice_rows(at, n);
    Tensor d_h = sum_apart ? Tensor(hidden_scratch.get<float>(n * h.cols), n, h.cols) : out;
    float* logits = logit_scratch.get<float>(n * std::min(plan.vocab, weight.rows));
    for_chunks(weight.rows, plan.vocab, [&](int64_t v0, int64_t v) {
      Tensor w = weight.slice_rows(v0, v), gradient(logits, n, v);
      matmul(gradient, h, false, w, true, nullptr, false);
      auto fill = [&](auto* d_logits) {
        chunk_gradient(d_logits, logits, n, v, v0, targets + at, lse + at, entropy ? entropy + at : nullptr, d_logprobs + at,
                       d_entropy ? d_entropy + at : nullptr, inverse_temperature);
      };
      if (hidden.dtype == DType::bf16) {
        gradient = Tensor(gradient_scratch.get<bf16>(n * v), DType::bf16, n, v);
        fill(gradient.as<bf16>());
      } else {
        fill(logits);
      }
      matmul(d_h, gradient, false, w, false, nullptr, v0 > 0);
      matmul(d_weight.slice_rows(v0, v), gradient, true, h, false, nullptr, true);
    });
    if (sum_apart) cast(out, d_h);
  });
}

}  // namespace pk
