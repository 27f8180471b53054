// Generation: batched decoding with a KV cache. A finished sequence frees its slot for the next prompt; a prompt is
// computed once for its G samples. The same samples come out whatever the batch, as draws are counted, not stateful.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/job.h"
#include "model/qwen2.h"

namespace pk {

// Rows of logits that are held at once: about 64 MiB.
inline int64_t logits_rows(int64_t vocab) { return std::clamp<int64_t>((16 << 20) / vocab / 32 * 32, 32, 1024); }

struct GenerateSettings {
  int64_t samples = 1;  // G
  int64_t max_new_tokens = 0;
  int64_t max_batch = 256;  // slots
  SampleSettings sampling{};
  std::vector<int32_t> stop_tokens;
  std::vector<std::string> stop_strings;
  std::vector<std::string> token_bytes;  // [V], needed with stop strings only
  bool stream_tokens = false;            // also report every token as it is drawn: progress(sequence, -1 - token)
};

struct GeneratedSequence {
  std::vector<int32_t> tokens;  // the stop token included
  std::vector<float> logprobs;
  bool stopped = false;  // by a stop token or stop string, not by the length limit
};

// prompts: packed rows, none empty. sequence_ids [P*G] name the random streams. Result: [P*G], prompt-major.
std::vector<GeneratedSequence> generate(Qwen2& model, const PackedBatch& prompts, const std::vector<uint64_t>& sequence_ids, const GenerateSettings& settings,
                                        JobContext& job);

}  // namespace pk
