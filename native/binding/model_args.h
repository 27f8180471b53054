// Reading what a NativeModel is called with: configuration, batches, generation settings.
#pragma once
#include <string>
#include <vector>

#include "binding/args.h"
#include "model/decode.h"
#include "model/qwen2.h"
#include "model/tensor_file.h"

namespace pk {

constexpr int64_t kMaxTokens = int64_t{1} << 30;

inline Napi::Error state_error(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

inline Napi::Object read_object(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) throw type_error(value.Env(), std::string(name) + " must be an object.");
  return value.As<Napi::Object>();
}

inline ModelConfig read_config(const Napi::Value& value) {
  Napi::Object o = read_object(value, "config");
  auto size = [&](const char* name, int64_t high) { return read_integer(o.Get(name), name, 1, high); };
  ModelConfig c{};
  c.hidden_size = size("hiddenSize", 1 << 16);
  c.layers = size("layers", 1024);
  c.heads = size("heads", 1024);
  c.kv_heads = size("kvHeads", 1024);
  c.head_size = size("headSize", 1024);
  c.feed_forward_size = size("feedForwardSize", 1 << 20);
  c.vocab_size = size("vocabSize", 1 << 22);
  c.rms_norm_eps = static_cast<float>(read_number(o.Get("rmsNormEps"), "rmsNormEps"));
  c.tied_head = read_bool(o.Get("tiedHead"), "tiedHead");
  c.qkv_bias = read_bool(o.Get("qkvBias"), "qkvBias");
  c.o_bias = read_bool(o.Get("oBias"), "oBias");
  c.mlp_bias = read_bool(o.Get("mlpBias"), "mlpBias");
  if (c.heads % c.kv_heads != 0) throw range_error(value.Env(), "heads must be a multiple of kvHeads.");
  if (c.head_size % 2 != 0) throw range_error(value.Env(), "headSize must be even.");
  Span<float> frequencies = read_array<float>(o.Get("ropeFrequencies"), "ropeFrequencies", c.head_size / 2);
  c.rope_frequencies.assign(frequencies.data, frequencies.data + frequencies.size);
  c.rope_scale = static_cast<float>(read_number(o.Get("ropeScale"), "ropeScale"));
  return c;
}

inline DType read_dtype(const Napi::Value& value, const char* name) {
  std::string text = read_string(value, name);
  if (text == "float32") return DType::f32;
  if (text == "bfloat16") return DType::bf16;
  throw range_error(value.Env(), std::string(name) + " must be \"float32\" or \"bfloat16\", but is \"" + text + "\".");
}

inline FileType read_file_type(const Napi::Value& value) {
  std::string text = read_string(value, "type");
  if (text == "F32") return FileType::f32;
  if (text == "BF16") return FileType::bf16;
  if (text == "F16") return FileType::f16;
  throw range_error(value.Env(), "type must be \"F32\", \"BF16\" or \"F16\", but is \"" + text + "\".");
}

inline Qwen2::Slot read_slot(const Napi::Value& value) {
  std::string text = read_string(value, "slot");
  if (text == "value") return Qwen2::Slot::value;
  if (text == "gradient") return Qwen2::Slot::gradient;
  if (text == "firstMoment") return Qwen2::Slot::first_moment;
  if (text == "secondMoment") return Qwen2::Slot::second_moment;
  throw range_error(value.Env(), "slot must be \"value\", \"gradient\", \"firstMoment\" or \"secondMoment\", but is \"" + text + "\".");
}

inline PackedBatch read_batch(const Napi::Value& tokens_value, const Napi::Value& offsets_value, int64_t vocab) {
  Napi::Env env = tokens_value.Env();
  Span<int32_t> tokens = read_array<int32_t>(tokens_value, "tokens"), offsets = read_array<int32_t>(offsets_value, "offsets");
  if (tokens.size > kMaxTokens) throw range_error(env, "tokens must have at most 2^30 elements.");
  int64_t rows = check_offsets(env, offsets, tokens.size, "offsets");
  for (int64_t i = 0; i < tokens.size; ++i)
    if (tokens.data[i] < 0 || tokens.data[i] >= vocab)
      throw range_error(env, "tokens[" + std::to_string(i) + "] must be a token id from 0 to " + std::to_string(vocab - 1) + ", but is " +
                                 std::to_string(tokens.data[i]) + ".");
  return make_packed_batch(tokens.data, tokens.size, offsets.data, rows);
}

inline std::vector<int32_t> read_prompt_lengths(const Napi::Value& value, const PackedBatch& batch) {
  Span<int32_t> lengths = read_array<int32_t>(value, "promptLengths", batch.rows());
  for (int64_t r = 0; r < batch.rows(); ++r) {
    int64_t length = batch.offsets[r + 1] - batch.offsets[r], low = length > 0 ? 1 : 0, high = length > 0 ? length : 1;
    if (lengths.data[r] < low || lengths.data[r] > high)
      throw range_error(value.Env(), "promptLengths[" + std::to_string(r) + "] must be from " + std::to_string(low) + " to " + std::to_string(high) +
                                         " (the row has " + std::to_string(length) + " tokens, the first of which has no prediction), but is " +
                                         std::to_string(lengths.data[r]) + ".");
  }
  return {lengths.data, lengths.data + lengths.size};
}

inline std::vector<std::string> read_strings(const Napi::Value& bytes_value, const Napi::Value& offsets_value, const char* name) {
  if (absent(bytes_value)) return {};
  Span<uint8_t> bytes = read_array<uint8_t>(bytes_value, name);
  Span<int32_t> offsets = read_array<int32_t>(offsets_value, "offsets of byte strings");
  int64_t rows = check_offsets(bytes_value.Env(), offsets, bytes.size, "offsets of byte strings");
  std::vector<std::string> out;
  for (int64_t i = 0; i < rows; ++i)
    out.emplace_back(reinterpret_cast<const char*>(bytes.data) + offsets.data[i], static_cast<size_t>(offsets.data[i + 1] - offsets.data[i]));
  return out;
}

inline GenerateSettings read_generate_settings(const Napi::Value& value, int64_t vocab) {
  Napi::Env env = value.Env();
  Napi::Object o = read_object(value, "options");
  GenerateSettings s;
  s.samples = read_integer(o.Get("samples"), "samples", 1, 1 << 20);
  s.max_new_tokens = read_integer(o.Get("maxNewTokens"), "maxNewTokens", 1, 1 << 20);
  s.max_batch = read_integer(o.Get("maxBatch"), "maxBatch", 1, 1 << 16);
  s.sampling.temperature = static_cast<float>(read_number(o.Get("temperature"), "temperature"));
  s.sampling.top_p = static_cast<float>(read_number(o.Get("topP"), "topP"));
  s.sampling.top_k = static_cast<int32_t>(read_integer(o.Get("topK"), "topK", 0, 1 << 30));
  if (s.sampling.temperature < 0) throw range_error(env, "temperature must not be negative.");
  if (!(s.sampling.top_p > 0 && s.sampling.top_p <= 1)) throw range_error(env, "topP must be above 0 and at most 1.");
  bool lossless = false;
  if (!o.Get("seed").IsBigInt()) throw type_error(env, "seed must be a bigint.");
  s.sampling.seed = o.Get("seed").As<Napi::BigInt>().Uint64Value(&lossless);
  Span<int32_t> stops = read_array<int32_t>(o.Get("stopTokens"), "stopTokens");
  s.stop_tokens.assign(stops.data, stops.data + stops.size);
  s.stream_tokens = read_bool(o.Get("streamTokens"), "streamTokens");
  s.stop_strings = read_strings(o.Get("stopBytes"), o.Get("stopOffsets"), "stopBytes");
  if (!s.stop_strings.empty()) {
    s.token_bytes = read_strings(o.Get("tokenBytes"), o.Get("tokenOffsets"), "tokenBytes");
    if (static_cast<int64_t>(s.token_bytes.size()) != vocab)
      throw range_error(env, "tokenBytes must hold one byte string per token id when there are stop strings.");
  }
  return s;
}

}  // namespace pk
