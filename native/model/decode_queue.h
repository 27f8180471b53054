// The work of one generation, shared by its shards: which prompt is next, and what has come out.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "model/decode.h"

namespace pk {

// A prompt, and those of its samples that are started together.
struct Admission {
  int64_t prompt, first, count;
};

constexpr int64_t kPrefillTokens = 2048;  // tokens of prompts computed at once: few enough to stop within 50 ms

// What the shards of one generation share: the prompts still to start, and the results.
class DecodeQueue {
 public:
  DecodeQueue(const PackedBatch& prompts, const std::vector<uint64_t>& ids, const GenerateSettings& settings, JobContext& job)
      : prompts_(prompts), settings_(settings), job_(job), ids(ids), total(prompts.rows() * settings.samples), out(static_cast<size_t>(total)) {}

  // Prompts with slots for all their remaining samples (or, in an empty shard, for as many as it has), up to kPrefillTokens tokens.
  std::vector<Admission> take(int64_t free, int64_t slots) {
    std::lock_guard lock(mutex_);
    std::vector<Admission> taken;
    int64_t tokens = 0;
    while (next_ < total) {
      int64_t prompt = next_ / settings_.samples, left = (prompt + 1) * settings_.samples - next_;
      int64_t count = std::min(left, slots), length = prompts_.offsets[prompt + 1] - prompts_.offsets[prompt];
      if (free < count || (tokens > 0 && tokens + length > kPrefillTokens)) break;
      taken.push_back({prompt, next_, count});
      tokens += length;
      free -= count;
      next_ += count;
    }
    return taken;
  }
  void finished() {
    std::lock_guard lock(mutex_);
    job_.report(++finished_, total);
  }
  void sampled(int64_t sequence, int32_t token) {
    std::lock_guard lock(mutex_);
    job_.report(sequence, -1 - int64_t{token});
  }
  void fail() { failed_.store(true); }
  bool is_done() {
    std::lock_guard lock(mutex_);
    return failed_.load() || next_ >= total;
  }
  bool has_failed() const { return failed_.load(); }

 private:
  const PackedBatch& prompts_;
  const GenerateSettings& settings_;
  JobContext& job_;
  std::mutex mutex_;
  std::atomic<bool> failed_{false};
  int64_t next_ = 0, finished_ = 0;

 public:
  const std::vector<uint64_t>& ids;
  const int64_t total;
  std::vector<GeneratedSequence> out;  // each element is touched by one shard only
};

}  // namespace pk
