// What a model will allocate for a piece of work, before it does: the layouts of the model itself, counted.
#pragma once
#include "model/layout.h"

namespace pk {

struct PlannedWork {
  int64_t train_tokens = 0;   // of the largest batch with a backward
  int64_t score_tokens = 0;   // of the largest batch without
  int64_t slots = 0;          // sequences decoded at once; 0: none
  int64_t prompt_tokens = 0;  // of the longest prompt
  int64_t new_tokens = 0;     // of the longest answer
};

struct MemoryPlan {
  int64_t weights = 0;  // float32
  int64_t rounded = 0;  // bfloat16, and the copy in the order that products read fastest
  int64_t gradients = 0;
  int64_t moments = 0;
  int64_t activations = 0;
  int64_t cache = 0;     // keys and values
  int64_t decoding = 0;  // activations and logits of generation
  int64_t scratch = 0;   // of the ops, for all models on the device together
};

// cpu: the CPU's backend, which packs weights and decodes in shards; null for a GPU, which does neither and need not be there.
MemoryPlan plan_memory(const ModelConfig& config, DType compute, bool recompute, bool trainable, DType moments, const PlannedWork& work, const Backend* cpu);

}  // namespace pk
