#include "model/parameters.h"

#include "core/error.h"

namespace pk {

// joined: follows the previous parameter without padding, so that both are one matrix to the engine.
int64_t ParameterTable::add(const std::string& name, int64_t rows, int64_t cols, bool matrix, bool joined) {
  if (!joined) size = (size + 31) / 32 * 32;
  int64_t offset = size;
  index_[name] = entries.size();
  entries.push_back({name, offset, rows, cols, matrix});
  size += rows * cols;
  return offset;
}

ParameterTable::ParameterTable(const ModelConfig& c) {
  int64_t q = c.heads * c.head_size, kv = c.kv_heads * c.head_size;
  embedding = add("model.embed_tokens.weight", c.vocab_size, c.hidden_size, true, false);
  for (int64_t i = 0; i < c.layers; ++i) {
    std::string layer = "model.layers." + std::to_string(i) + ".", attention = layer + "self_attn.", mlp = layer + "mlp.";
    LayerOffsets at{};
    at.attention_norm = add(layer + "input_layernorm.weight", 1, c.hidden_size, false, false);
    at.qkv = add(attention + "q_proj.weight", q, c.hidden_size, true, false);
    add(attention + "k_proj.weight", kv, c.hidden_size, true, true);
    add(attention + "v_proj.weight", kv, c.hidden_size, true, true);
    if (c.qkv_bias) {
      at.qkv_bias = add(attention + "q_proj.bias", 1, q, false, false);
      add(attention + "k_proj.bias", 1, kv, false, true);
      add(attention + "v_proj.bias", 1, kv, false, true);
    }
    at.o = add(attention + "o_proj.weight", c.hidden_size, q, true, false);
    at.mlp_norm = add(layer + "post_attention_layernorm.weight", 1, c.hidden_size, false, false);
    at.gate_up = add(mlp + "gate_proj.weight", c.feed_forward_size, c.hidden_size, true, false);
    add(mlp + "up_proj.weight", c.feed_forward_size, c.hidden_size, true, true);
    at.down = add(mlp + "down_proj.weight", c.hidden_size, c.feed_forward_size, true, false);
    layers.push_back(at);
  }
  final_norm = add("model.norm.weight", 1, c.hidden_size, false, false);
  head = c.tied_head ? embedding : add("lm_head.weight", c.vocab_size, c.hidden_size, true, false);
  size = (size + 31) / 32 * 32;
}

const Parameter& ParameterTable::find(const std::string& name) const {
  auto found = index_.find(name);
  if (found == index_.end()) throw Error("ERR_MODEL_FORMAT", "The model has no parameter named \"" + name + "\".");
  return entries[found->second];
}

}  // namespace pk
