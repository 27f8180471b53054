// Checks of the C functions' arguments, in the words of native/binding and ts/kernels. Sizes and numbers everywhere; what index arrays
// hold only where it is the host's to read.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>

#include "core/error.h"
#include "core/tensor.h"
#include "primekit.h"

namespace pk::capi {

inline constexpr int64_t kMostElements = int64_t{1} << 31;

[[noreturn]] inline void refuse(const std::string& sentence) { throw Error("ERR_INVALID_ARGUMENT", sentence); }

inline std::string text(double number) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%g", number);
  return buffer;
}

inline void check_size(const char* name, int64_t value, int64_t low, int64_t high = kMostElements - 1) {
  if (value < low || value > high)
    refuse(std::string(name) + " must be an integer from " + std::to_string(low) + " to " + std::to_string(high) + ", but is " + std::to_string(value) + ".");
}

inline void check_number(const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high))
    refuse(std::string(name) + " must be a number from " + text(low) + " to " + text(high) + ", but is " + text(value) + ".");
}
inline void check_temperature(float temperature) { check_number("temperature", temperature, 1e-6, 1e6); }
inline void check_beta(double beta) { check_number("beta", beta, 1e-30, 1e30); }

// An array of `size` elements; of none it may be NULL.
inline void check_array(const char* name, const void* array, int64_t size) {
  if (!array && size > 0) refuse(std::string(name) + " must not be NULL.");
}

inline DType check_type(const char* name, pk_dtype type, pk_dtype first, pk_dtype second) {
  const char* names[] = {"PK_FLOAT32", "PK_BFLOAT16", "PK_FLOAT64"};
  if (type != first && type != second)
    refuse(std::string(name) + " must be " + names[first] + " or " + names[second] + ", but is " + std::to_string(type) + ".");
  return type == PK_FLOAT32 ? DType::f32 : type == PK_BFLOAT16 ? DType::bf16 : DType::f64;
}
inline DType check_matrix_type(const char* name, pk_dtype type) { return check_type(name, type, PK_FLOAT32, PK_BFLOAT16); }

// [n, 1] log-probs, float32 or float64.
inline Tensor log_probs(const char* name, const void* data, pk_dtype type, int64_t n) {
  check_array(name, data, n);
  return {const_cast<void*>(data), check_type("type", type, PK_FLOAT32, PK_FLOAT64), n, 1};
}

inline void check_targets(const int32_t* targets, int64_t n, int64_t vocab, bool readable) {
  check_array("targets", targets, n);
  for (int64_t i = 0; readable && i < n; ++i)
    if (targets[i] < 0 || targets[i] >= vocab)
      refuse("targets must be from 0 to " + std::to_string(vocab - 1) + ", but targets[" + std::to_string(i) + "] is " + std::to_string(targets[i]) + ".");
}

// offsets [rows + 1]: starts at 0, never decreases, ends at `total`.
inline void check_offsets(const char* name, const int32_t* offsets, int64_t rows, int64_t total, bool readable) {
  check_array(name, offsets, rows + 1);
  if (!readable) return;
  if (offsets[0] != 0) refuse(std::string(name) + "[0] must be 0, but is " + std::to_string(offsets[0]) + ".");
  for (int64_t i = 1; i <= rows; ++i)
    if (offsets[i] < offsets[i - 1])
      refuse(std::string(name) + " must not decrease, but " + name + "[" + std::to_string(i) + "] is " + std::to_string(offsets[i]) + " after " +
             std::to_string(offsets[i - 1]) + ".");
  if (offsets[rows] != total) refuse(std::string(name) + " must end at " + std::to_string(total) + ", but ends at " + std::to_string(offsets[rows]) + ".");
}

// The packed batch of most functions: n tokens in `rows` rows.
inline void check_rows(const int32_t* offsets, int64_t n, int64_t rows, bool readable) {
  check_size("n", n, 0);
  check_size("rows", rows, 0);
  check_offsets("offsets", offsets, rows, n, readable);
}

// Groups of whole rows; each holds at least `least` rows, or none.
inline void check_groups(const int32_t* groups, int64_t count, int64_t rows, int32_t least, bool readable) {
  check_size("groups", count, 0);
  check_offsets("group_offsets", groups, count, rows, readable);
  for (int64_t p = 1; readable && p <= count; ++p) {
    int32_t size = groups[p] - groups[p - 1];
    if (size > 0 && size < least)
      refuse("Every group must have at least " + std::to_string(least) + " rows, but group " + std::to_string(p - 1) + " has " + std::to_string(size) + ".");
  }
}

}  // namespace pk::capi
