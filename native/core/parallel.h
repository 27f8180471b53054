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

}  // namespace pk
