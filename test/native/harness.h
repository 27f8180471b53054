// A minimal test harness for native code: cases register themselves, buffers are exactly as large as stated, so that the
// address sanitizer sees every step beyond them.
#pragma once
#include <cstdint>
#include <cstdio>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/rng.h"
#include "core/tensor.h"
#include "ops/backend.h"

namespace pk::test {

struct Case {
  std::string name;
  std::function<void()> run;
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

struct Register {
  Register(const char* name, std::function<void()> run) { cases().push_back({name, std::move(run)}); }
};

#define PK_CONCAT_(a, b) a##b
#define PK_CONCAT(a, b) PK_CONCAT_(a, b)
#define PK_TEST(name)                                                                               \
  static void PK_CONCAT(test_, __LINE__)();                                                         \
  static const pk::test::Register PK_CONCAT(register_, __LINE__)(name, PK_CONCAT(test_, __LINE__)); \
  static void PK_CONCAT(test_, __LINE__)()

// Throws unless the condition holds; the message is the condition with its place, and `detail`.
inline void check(bool condition, const char* text, const char* file, int line, const std::string& detail = "") {
  if (condition) return;
  std::ostringstream message;
  message << file << ":" << line << ": " << text << (detail.empty() ? "" : " (" + detail + ")");
  throw std::runtime_error(message.str());
}
#define PK_CHECK(condition) pk::test::check(condition, #condition, __FILE__, __LINE__)
#define PK_CHECK_WITH(condition, detail) pk::test::check(condition, #condition, __FILE__, __LINE__, detail)

inline Backend& backend() {
  static std::unique_ptr<Backend> instance = make_cpu_backend();
  return *instance;
}

// Memory of exactly rows * cols elements, filled with values in [-scale, scale).
class Buffer {
 public:
  Buffer(DType dtype, int64_t rows, int64_t cols, uint64_t seed = 0, float scale = 1.0f)
      : bytes_(static_cast<size_t>(rows * cols * dtype_size(dtype))), dtype_(dtype), rows_(rows), cols_(cols) {
    for (int64_t i = 0; i < rows * cols; ++i) set(i, (2.0f * philox_uniform(philox(seed, 1, static_cast<uint64_t>(i))[0]) - 1.0f) * scale);
  }
  Tensor tensor() { return {bytes_.data(), dtype_, rows_, cols_}; }
  float* f32() { return reinterpret_cast<float*>(bytes_.data()); }
  bf16* half() { return reinterpret_cast<bf16*>(bytes_.data()); }
  int64_t size() const { return rows_ * cols_; }
  float at(int64_t i) {
    if (dtype_ == DType::f64) return static_cast<float>(reinterpret_cast<double*>(bytes_.data())[i]);
    return dtype_ == DType::f32 ? f32()[i] : to_float(half()[i]);
  }
  void set(int64_t i, float value) {
    if (dtype_ == DType::f64)
      reinterpret_cast<double*>(bytes_.data())[i] = value;
    else if (dtype_ == DType::f32)
      f32()[i] = value;
    else
      half()[i] = to_bf16(value);
  }
  void fill(float value) {
    for (int64_t i = 0; i < size(); ++i) set(i, value);
  }
  bool finite() {
    for (int64_t i = 0; i < size(); ++i)
      if (!(at(i) - at(i) == 0.0f)) return false;
    return true;
  }
  bool operator==(const Buffer& other) const { return bytes_ == other.bytes_; }

 private:
  std::vector<uint8_t> bytes_;
  DType dtype_;
  int64_t rows_, cols_;
};

inline std::vector<int32_t> random_ids(int64_t n, int64_t below, uint64_t seed) {
  std::vector<int32_t> ids(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) ids[i] = static_cast<int32_t>(philox(seed, 2, static_cast<uint64_t>(i))[0] % static_cast<uint32_t>(below));
  return ids;
}

// Offsets [B+1] of rows with the given lengths.
inline std::vector<int32_t> offsets_of(const std::vector<int32_t>& lengths) {
  std::vector<int32_t> offsets = {0};
  for (int32_t length : lengths) offsets.push_back(offsets.back() + length);
  return offsets;
}

}  // namespace pk::test
