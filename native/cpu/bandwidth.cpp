#include "cpu/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>

#include "core/parallel.h"
#include "cpu/simd.h"

namespace pk {

namespace {

constexpr int64_t kPieceFloats = 1 << 18;

struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float, Free>;

Buffer make_buffer(int64_t floats) {
  Buffer buffer(static_cast<float*>(std::aligned_alloc(64, static_cast<size_t>(floats) * sizeof(float))));
  if (!buffer) throw std::bad_alloc();
  parallel_for(floats, kPieceFloats, [&](int64_t begin, int64_t end) { std::fill(buffer.get() + begin, buffer.get() + end, 1.0f); });
  return buffer;
}

template <class Body>
double best_seconds(int repeats, const Body& body) {
  double best = 1e30;
  for (int r = 0; r < repeats; ++r) {
    auto start = std::chrono::steady_clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

float read_all(const float* from, int64_t count) {
  VFloat part[8] = {};
  for (int64_t i = 0; i + 8 * kLanes <= count; i += 8 * kLanes)
    for (int k = 0; k < 8; ++k) part[k] += load<VFloat>(from + i + k * kLanes);
  for (int k = 1; k < 8; ++k) part[0] += part[k];
  return part[0][0];
}

}  // namespace

Bandwidth measure_bandwidth(int64_t bytes, int repeats) {
  int64_t floats = (bytes / static_cast<int64_t>(sizeof(float)) + kPieceFloats - 1) / kPieceFloats * kPieceFloats;
  Buffer from = make_buffer(floats), to = make_buffer(floats);
  std::atomic<int64_t> seen{0};  // so that the reads cannot be left out
  double read = best_seconds(repeats, [&] {
    parallel_for(floats, kPieceFloats, [&](int64_t begin, int64_t end) { seen += static_cast<int64_t>(read_all(from.get() + begin, end - begin)); });
  });
  double copy = best_seconds(repeats, [&] {
    parallel_for(floats, kPieceFloats,
                 [&](int64_t begin, int64_t end) { std::memcpy(to.get() + begin, from.get() + begin, static_cast<size_t>(end - begin) * sizeof(float)); });
  });
  double total = static_cast<double>(floats) * sizeof(float);
  return {seen.load() >= 0 ? total / read : 0, 2 * total / copy};
}

}  // namespace pk
