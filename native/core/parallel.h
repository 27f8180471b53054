// Parallel loops. Work is cut into pieces that do not depend on the number of threads, so results do not either.
#pragma once
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>

namespace pk {

inline std::atomic<int>& thread_setting() {
  static std::atomic<int> threads{0};
  return threads;
}
// Threads used by native work: what set_threads() chose, or what OpenMP found (OMP_NUM_THREADS, the CPU's cores).
inline int threads() {
  if (omp_in_parallel()) return 1;  // work inside run_apart() stays on its thread
  int n = thread_setting().load(std::memory_order_relaxed);
  return n > 0 ? n : omp_get_max_threads();
}
inline void set_threads(int n) { thread_setting().store(n); }

// body(begin, end) over [0, n) in pieces of `grain`, handed out dynamically. body must not throw.
template <class Body>
void parallel_for(int64_t n, int64_t grain, const Body& body) {
  if (n <= 0) return;
  int64_t pieces = (n + grain - 1) / grain;
  int team = static_cast<int>(std::min<int64_t>(threads(), pieces));
  if (team <= 1) {
    for (int64_t p = 0; p < pieces; ++p) body(p * grain, std::min(n, (p + 1) * grain));
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
  for (int64_t p = 0; p < pieces; ++p) body(p * grain, std::min(n, (p + 1) * grain));
}

// body(i) for i in [0, n), each on a thread of its own that runs all nested work alone; the first error is thrown when all have ended.
template <class Body>
void run_apart(int n, const Body& body) {
  if (n <= 1) return body(0);
  std::exception_ptr error;
#pragma omp parallel for schedule(static, 1) num_threads(n)
  for (int i = 0; i < n; ++i) {
    try {
      body(i);
    } catch (...) {
#pragma omp critical
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace pk
