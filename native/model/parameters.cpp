#include "model/parameters.h"

#include "core/error.h"

namespace pk {

namespace {

int64_t padded(int64_t n) { return (n + 31) / 32 * 32; }

}  // namespace

// joined: follows the previous matrix without padding, so that both are one to the engine.
int64_t ParameterTable::add_matrix(const std::string& name, int64_t rows, int64_t cols, bool joined) {
  int64_t offset = joined ? next_matrix_ : padded(next_matrix_);
  index_[name] = entries.size();
  entries.push_back({name, offset, rows, cols, true});
  next_matrix_ = offset + rows * cols;
  return offset;
}

int64_t ParameterTable::add_vector(const std::string& name, int64_t cols, bool joined) {
  int64_t offset = joined ? next_vector_ : padded(next_vector_);
  index_[name] = entries.size();
  entries.push_back({name, offset, 1, cols, false});
  next_vector_ = offset + cols;
  return offset;
}

// The first pass only counts the matrices, so that the second knows where the vectors begin.
ParameterTable::ParameterTable(const ModelConfig& config) {
  place(config, 0);
  vectors = padded(next_matrix_);
  place(config, vectors);
  size = padded(next_vector_);
}

void ParameterTable::place(const ModelConfig& c, int64_t first_vector) {
  entries.clear();
  layers.clear();
  index_.clear();
  next_matrix_ = 0;
  next_vector_ = first_vector;
  int64_t q = c.heads * c.head_size, kv = c.kv_heads * c.head_size;
  embedding = add_matrix("model.embed_tokens.weight", c.vocab_size, c.hidden_size);
  for (int64_t i = 0; i < c.layers; ++i) {
    std::string layer = "model.layers." + std::to_string(i) + ".", attention = layer + "self_attn.", mlp = layer + "mlp.";
    LayerOffsets at{};
    at.attention_norm = add_vector(layer + "input_layernorm.weight", c.hidden_size);
    at.qkv = add_matrix(attention + "q_proj.weight", q, c.hidden_size);
    add_matrix(attention + "k_proj.weight", kv, c.hidden_size, true);
    add_matrix(attention + "v_proj.weight", kv, c.hidden_size, true);
    if (c.qkv_bias) {
      at.qkv_bias = add_vector(attention + "q_proj.bias", q);
      add_vector(attention + "k_proj.bias", kv, true);
      add_vector(attention + "v_proj.bias", kv, true);
    }
    at.o = add_matrix(attention + "o_proj.weight", c.hidden_size, q);
    if (c.o_bias) at.o_bias = add_vector(attention + "o_proj.bias", c.hidden_size);
    at.mlp_norm = add_vector(layer + "post_attention_layernorm.weight", c.hidden_size);
    at.gate_up = add_matrix(mlp + "gate_proj.weight", c.feed_forward_size, c.hidden_size);
    add_matrix(mlp + "up_proj.weight", c.feed_forward_size, c.hidden_size, true);
    at.down = add_matrix(mlp + "down_proj.weight", c.hidden_size, c.feed_forward_size);
    if (c.mlp_bias) {
      at.gate_up_bias = add_vector(mlp + "gate_proj.bias", c.feed_forward_size);
      add_vector(mlp + "up_proj.bias", c.feed_forward_size, true);
      at.down_bias = add_vector(mlp + "down_proj.bias", c.hidden_size);
    }
    layers.push_back(at);
  }
  final_norm = add_vector("model.norm.weight", c.hidden_size);
  head = c.tied_head ? embedding : add_matrix("lm_head.weight", c.vocab_size, c.hidden_size);
}

const Parameter& ParameterTable::find(const std::string& name) const {
  auto found = index_.find(name);
  if (found == index_.end()) throw Error("ERR_MODEL_FORMAT", "The model has no parameter named \"" + name + "\".");
  return entries[found->second];
}

}  // namespace pk
