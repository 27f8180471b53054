// What the benchmarks of the CUDA backend share: device memory with contents, timing, and one line per result, for people on stdout
// and as JSON in a file that test/bench/peers/gpu_table.py puts beside PyTorch's.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/rng.h"
#include "ops/backend.h"

namespace pk::bench {

int64_t size_divisor();  // 1, but with --small

struct Result {
  const char* key;   // names the line in the table
  std::string what;  // and says what it is
  double bytes = 0, operations = 0, tokens = 0;
};

class Report {
 public:
  explicit Report(const char* path) : file_(path ? std::fopen(path, "w") : nullptr) {}
  ~Report() {
    if (file_) std::fclose(file_);
  }
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  void rates(double copy, double matrix) {
    copy_ = copy;
    matrix_ = matrix;
    std::printf("copy %.2f TB/s, bf16 product of 8192^3 %.0f TFLOP/s\n", copy / 1e12, matrix / 1e12);
    write("{\"key\": \"copy\", \"rate\": %.6g}\n", copy);
    write("{\"key\": \"matrix\", \"rate\": %.6g}\n", matrix);
  }
  void line(const Result& r, double seconds) {
    std::printf("%-64s %9.3f ms", r.what.c_str(), seconds * 1e3);
    if (r.bytes > 0) std::printf("  %6.2f TB/s (%3.0f %% of copy)", r.bytes / seconds / 1e12, 100 * r.bytes / seconds / copy_);
    if (r.operations > 0) std::printf("  %6.0f TFLOP/s (%3.0f %% of the matrix rate)", r.operations / seconds / 1e12, 100 * r.operations / seconds / matrix_);
    if (r.tokens > 0) std::printf("  %8.0f tok/s", r.tokens / seconds);
    std::printf("\n");
    std::fflush(stdout);
    write("{\"key\": \"%s\", \"what\": \"%s\", \"seconds\": %.6g, \"bytes\": %.6g, \"operations\": %.6g, \"tokens\": %.6g}\n", r.key, r.what.c_str(), seconds,
          r.bytes, r.operations, r.tokens);
  }

 private:
  template <class... Values>
  void write(const char* format, Values... values) {
    if (!file_) return;
    std::fprintf(file_, format, values...);
    std::fflush(file_);
  }
  FILE* file_;
  double copy_ = 1, matrix_ = 1;
};

// A part's memory, given back at its end, and its measurements: the best of five, an op being called as often as fills 50 ms, between two
// waits for the device.
class Bench {
 public:
  Bench(Backend& on, Report& report) : on(on), report(report), flag_(on.allocate(64)) {}
  ~Bench() {
    on.release(flag_);
    for (void* data : owned_) on.release(data);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  // Random values in [-scale, scale) (one MiB of them, repeated: a GPU is faster on zeros), or zeros when scale is 0.
  Tensor tensor(DType dtype, int64_t rows, int64_t cols, float scale = 1) {
    Tensor t(on.allocate(rows * cols * dtype_size(dtype)), dtype, rows, cols);
    owned_.push_back(t.data);
    if (scale != 0) fill(t, scale);
    return t;
  }
  void fill(Tensor t, float scale) {
    std::vector<char> block(static_cast<size_t>(std::min<int64_t>(t.bytes(), 1 << 20)));
    int64_t size = dtype_size(t.dtype), have = static_cast<int64_t>(block.size());
    for (int64_t i = 0; i + size <= have; i += size) {
      float value = (2 * philox_uniform(philox(1, 0, static_cast<uint64_t>(i))[0]) - 1) * scale;
      bf16 half = to_bf16(value);
      std::memcpy(block.data() + i, t.dtype == DType::f32 ? static_cast<void*>(&value) : static_cast<void*>(&half), static_cast<size_t>(size));
    }
    on.copy_from_host(t.data, block.data(), have);
    for (; have < t.bytes(); have *= 2) on.copy(t.as<char>() + have, t.data, std::min(have, t.bytes() - have));
  }
  int32_t* integers(const std::vector<int32_t>& values) {
    void* data = on.allocate(static_cast<int64_t>(values.size()) * 4);
    owned_.push_back(data);
    on.copy_from_host(data, values.data(), static_cast<int64_t>(values.size()) * 4);
    return static_cast<int32_t*>(data);
  }

  // Seconds of one call.
  double time(const std::function<void()>& op) {
    if (size_divisor() > 1) return seconds_of(op, 1);
    double best = seconds_of(op, 2);
    int count = std::clamp(static_cast<int>(0.05 / best), 1, 1000);
    for (int i = 0; i < 5; ++i) best = std::min(best, seconds_of(op, count));
    return best;
  }
  void measure(const Result& result, const std::function<void()>& op) { report.line(result, time(op)); }
  double seconds_of(const std::function<void()>& op, int count) {
    using Clock = std::chrono::steady_clock;
    wait();
    auto start = Clock::now();
    for (int i = 0; i < count; ++i) op();
    wait();
    return std::chrono::duration<double>(Clock::now() - start).count() / count;
  }

  Backend& on;
  Report& report;

 private:
  void wait() {
    char byte;
    on.copy_to_host(&byte, flag_, 1);
  }
  void* flag_;
  std::vector<void*> owned_;
};

inline std::vector<int32_t> even_rows(int64_t rows, int64_t length) {
  std::vector<int32_t> offsets;
  for (int64_t i = 0; i <= rows; ++i) offsets.push_back(static_cast<int32_t>(i * length));
  return offsets;
}

inline std::vector<int32_t> ids(int64_t n, int64_t below) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(static_cast<int32_t>(philox(2, 0, static_cast<uint64_t>(i))[0] % static_cast<uint32_t>(below)));
  return out;
}

// cuda_bench_model.cpp
void training(Bench& b, bool large);
void decoding(Bench& b);

}  // namespace pk::bench
