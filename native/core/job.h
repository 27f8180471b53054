// JobContext: how a long native job reports progress and learns that its caller wants it to stop.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>

#include "core/error.h"

namespace pk {

struct JobContext {
  const std::atomic<int32_t>* cancel = nullptr;               // non-zero asks the job to stop
  std::function<void(int64_t done, int64_t total)> progress;  // may be empty; called from the compute thread

  // Call between units of work of at most a few tens of milliseconds.
  void check() const {
    if (cancel && cancel->load(std::memory_order_relaxed) != 0) throw Aborted();
  }
  void report(int64_t done, int64_t total) const {
    if (progress) progress(done, total);
  }
};

// The job this thread runs, so that an op with a long loop of its own can be stopped inside it. Throws Aborted.
inline thread_local const JobContext* current_job = nullptr;
inline void check_current_job() {
  if (current_job) current_job->check();
}
struct JobScope {
  const JobContext* outer = current_job;
  explicit JobScope(const JobContext& job) { current_job = &job; }
  ~JobScope() { current_job = outer; }
  JobScope(const JobScope&) = delete;
  JobScope& operator=(const JobScope&) = delete;
};

}  // namespace pk
