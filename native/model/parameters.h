// ParameterTable: names (as in the HF checkpoint), shapes and places of all weights in one flat allocation.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace pk {

struct ModelConfig {
  int64_t hidden_size;        // C
  int64_t layers;             // L
  int64_t heads;              // NH
  int64_t kv_heads;           // NKV
  int64_t head_size;          // HD
  int64_t feed_forward_size;  // F
  int64_t vocab_size;         // V
  double rope_theta;
  float rms_norm_eps;
  bool tied_head;
  bool qkv_bias;
};

struct Parameter {
  std::string name;
  int64_t offset;  // in elements
  int64_t rows;    // 1 for vectors
  int64_t cols;
  bool matrix;  // matrices have two dimensions in the checkpoint and take weight decay
  int64_t size() const { return rows * cols; }
};

// Offsets of one layer's weights. q, k, v are adjacent (one [QKV, C] matrix), and so are gate and up ([2F, C]).
struct LayerOffsets {
  int64_t attention_norm, qkv, qkv_bias, o, mlp_norm, gate_up, down;
};

struct ParameterTable {
  explicit ParameterTable(const ModelConfig& config);
  const Parameter& find(const std::string& name) const;  // throws ERR_MODEL_FORMAT

  std::vector<Parameter> entries;
  std::vector<LayerOffsets> layers;
  int64_t embedding = 0, final_norm = 0, head = 0;  // head is the embedding when tied
  int64_t size = 0;                                 // elements of the allocation, padding included

 private:
  int64_t add(const std::string& name, int64_t rows, int64_t cols, bool matrix, bool joined);
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace pk
