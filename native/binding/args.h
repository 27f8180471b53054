// Reading JavaScript arguments: type and presence are checked here, everything else by the TypeScript layer and again
// where memory safety depends on it. Every failure names the argument, what was expected and what came.
#pragma once
#include <napi.h>

#include <cmath>
#include <string>

namespace pk {

template <class T>
struct Span {
  T* data = nullptr;
  int64_t size = 0;
};

template <class T>
struct ArrayKind;
template <>
struct ArrayKind<float> {
  static constexpr napi_typedarray_type type = napi_float32_array;
  static constexpr const char* name = "Float32Array";
};
template <>
struct ArrayKind<double> {
  static constexpr napi_typedarray_type type = napi_float64_array;
  static constexpr const char* name = "Float64Array";
};
template <>
struct ArrayKind<int32_t> {
  static constexpr napi_typedarray_type type = napi_int32_array;
  static constexpr const char* name = "Int32Array";
};
template <>
struct ArrayKind<uint8_t> {
  static constexpr napi_typedarray_type type = napi_uint8_array;
  static constexpr const char* name = "Uint8Array";
};
template <>
struct ArrayKind<uint16_t> {
  static constexpr napi_typedarray_type type = napi_uint16_array;
  static constexpr const char* name = "Uint16Array";
};
template <>
struct ArrayKind<uint64_t> {
  static constexpr napi_typedarray_type type = napi_biguint64_array;
  static constexpr const char* name = "BigUint64Array";
};

// Errors of misuse, with the code that ts/errors.ts gives its own.
template <class JsError>
JsError argument_error(napi_env env, const std::string& message) {
  JsError error = JsError::New(env, message);
  error.Set("code", Napi::String::New(env, "ERR_INVALID_ARGUMENT"));
  return error;
}
inline Napi::TypeError type_error(napi_env env, const std::string& message) { return argument_error<Napi::TypeError>(env, message); }
inline Napi::RangeError range_error(napi_env env, const std::string& message) { return argument_error<Napi::RangeError>(env, message); }

inline bool absent(const Napi::Value& value) { return value.IsEmpty() || value.IsUndefined() || value.IsNull(); }

// The memory of a typed array at its offset, ArrayBuffer or SharedArrayBuffer, without a copy.
template <class T>
Span<T> read_array(const Napi::Value& value, const char* name) {
  napi_env env = value.Env();
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (!value.IsTypedArray() || napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != ArrayKind<T>::type)
    throw type_error(env, std::string(name) + " must be a " + ArrayKind<T>::name + ".");
  return {static_cast<T*>(data), static_cast<int64_t>(length)};
}

template <class T>
Span<T> read_array(const Napi::Value& value, const char* name, int64_t expected) {
  Span<T> span = read_array<T>(value, name);
  if (span.size != expected)
    throw range_error(value.Env(), std::string(name) + " must have " + std::to_string(expected) + " elements, but has " + std::to_string(span.size) + ".");
  return span;
}

template <class T>
Span<T> read_optional_array(const Napi::Value& value, const char* name, int64_t expected) {
  if (absent(value)) return {};
  return read_array<T>(value, name, expected);
}

inline double read_number(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) throw type_error(value.Env(), std::string(name) + " must be a number.");
  double number = value.As<Napi::Number>().DoubleValue();
  if (!std::isfinite(number)) throw range_error(value.Env(), std::string(name) + " must be finite, but is " + std::to_string(number) + ".");
  return number;
}

inline int64_t read_integer(const Napi::Value& value, const char* name, int64_t low, int64_t high) {
  double number = read_number(value, name);
  if (number != std::floor(number) || number < static_cast<double>(low) || number > static_cast<double>(high))
    throw range_error(value.Env(), std::string(name) + " must be an integer from " + std::to_string(low) + " to " + std::to_string(high) + ", but is " +
                                       std::to_string(number) + ".");
  return static_cast<int64_t>(number);
}

inline bool read_bool(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) throw type_error(value.Env(), std::string(name) + " must be a boolean.");
  return value.As<Napi::Boolean>().Value();
}

inline std::string read_string(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw type_error(value.Env(), std::string(name) + " must be a string.");
  return value.As<Napi::String>().Utf8Value();
}

// offsets [rows + 1]: starts at 0, never decreases, ends at `total` (when total >= 0). Returns the number of rows.
inline int64_t check_offsets(napi_env env, Span<int32_t> offsets, int64_t total, const char* name) {
  if (offsets.size < 1) throw range_error(env, std::string(name) + " must have at least one element (0).");
  if (offsets.data[0] != 0) throw range_error(env, std::string(name) + "[0] must be 0, but is " + std::to_string(offsets.data[0]) + ".");
  for (int64_t i = 1; i < offsets.size; ++i)
    if (offsets.data[i] < offsets.data[i - 1])
      throw range_error(env, std::string(name) + " must not decrease, but " + name + "[" + std::to_string(i) + "] is " + std::to_string(offsets.data[i]) +
                                 " after " + std::to_string(offsets.data[i - 1]) + ".");
  if (total >= 0 && offsets.data[offsets.size - 1] != total)
    throw range_error(env,
                      std::string(name) + " must end at " + std::to_string(total) + ", but ends at " + std::to_string(offsets.data[offsets.size - 1]) + ".");
  return offsets.size - 1;
}

template <class T>
Napi::Value to_typed_array(Napi::Env env, const T* data, int64_t n) {
  auto buffer = Napi::ArrayBuffer::New(env, static_cast<size_t>(n) * sizeof(T));
  if (n) std::copy(data, data + n, static_cast<T*>(buffer.Data()));
  napi_value array;
  NAPI_THROW_IF_FAILED(env, napi_create_typedarray(env, ArrayKind<T>::type, static_cast<size_t>(n), buffer, 0, &array), Napi::Value());
  return Napi::Value(env, array);
}

}  // namespace pk
