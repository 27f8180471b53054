#include "model/memory_plan.h"

#include <algorithm>

#include "model/decode_queue.h"

namespace pk {

namespace {

constexpr int64_t kCpuScratch = int64_t{64} << 20;   // what linear_logprobs may take
constexpr int64_t kGpuScratch = int64_t{384} << 20;  // the same with longer chunks, and cuBLASLt's workspace

int64_t packed_bytes(const ModelConfig& c, const Backend& backend) {
  HeadShape shape = head_shape(c);
  auto bytes = [&](int64_t n, int64_t k) { return backend.packed_bytes(n, k); };
  int64_t layer = bytes(shape.qkv_size(), c.hidden_size) + bytes(c.hidden_size, shape.q_size()) + bytes(2 * c.feed_forward_size, c.hidden_size) +
                  bytes(c.hidden_size, c.feed_forward_size);
  return bytes(c.vocab_size, c.hidden_size) + c.layers * layer;
}

int64_t activation_bytes(const ModelConfig& config, DType compute, bool recompute, const PlannedWork& work) {
  int64_t kept = 0, shared = 0;  // the model's two arenas, which grow to the largest pass
  for (bool keep : {false, true}) {
    int64_t n = keep ? work.train_tokens : work.score_tokens;
    if (n == 0) continue;
    Arena a, b;
    take_pass(a, b, config, compute, recompute, n, n, keep);
    kept = std::max(kept, a.taken());
    shared = std::max(shared, b.taken());
  }
  return kept + shared;
}

// Layers' activations for n tokens, as decode.cpp's run_layers takes them.
int64_t inference_bytes(const ModelConfig& config, DType compute, int64_t n) {
  Arena arena;
  take_layer(arena, config, compute, n, true);
  arena.take(compute, n, config.feed_forward_size);
  for (int i = 0; i < 2; ++i) arena.take(compute, n, config.hidden_size);
  arena.take(DType::f32, n, 1);
  return arena.taken();
}

}  // namespace

MemoryPlan plan_memory(const ModelConfig& config, DType compute, bool recompute, bool trainable, DType moments, const PlannedWork& work, const Backend* cpu) {
  ParameterTable table(config);
  bool masters = trainable || compute == DType::f32, rounds = compute == DType::bf16;
  MemoryPlan plan;
  plan.weights = 4 * (masters ? table.size : table.size - table.vectors);
  plan.rounded = rounds ? 2 * table.vectors : 0;
  if (work.train_tokens > 0) {
    plan.gradients = 4 * table.size;
    plan.moments = 2 * table.size * dtype_size(moments);
  }
  plan.activations = activation_bytes(config, compute, recompute, work);
  plan.scratch = cpu ? kCpuScratch : kGpuScratch;
  if (work.slots == 0) return plan;

  if (cpu && rounds && 2 * table.vectors <= kPackedLimit) plan.rounded += packed_bytes(config, *cpu);
  HeadShape shape = head_shape(config);
  int64_t capacity = (work.prompt_tokens + work.new_tokens + 15) / 16 * 16, shards = cpu ? cpu->decode_shards(work.slots) : 1;
  int64_t slots = (work.slots + shards - 1) / shards, rows = (slots + 31) / 32 * 32;  // of a shard
  int64_t cached = cpu ? slots : slots + 1;                                           // recorded steps have a slot for rows that fill up
  plan.cache = config.layers * shards * cached * shape.kv_heads * capacity * (shape.head_size + shape.padded_head()) * dtype_size(compute);
  int64_t logits = 4 * std::min(rows, logits_rows(config.vocab_size)) * config.vocab_size;
  plan.decoding = shards * (inference_bytes(config, compute, std::max(kPrefillTokens, work.prompt_tokens)) + inference_bytes(config, compute, rows) + logits);
  return plan;
}

}  // namespace pk
