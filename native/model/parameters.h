// ParameterTable: names (as in the HF checkpoint), shapes and places of all weights in one flat allocation. Matrices come
// first and vectors (norms, biases) last, as a model that is not trained keeps the two in different types.
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
  float rms_norm_eps;
  bool tied_head;
  bool qkv_bias;
  bool o_bias;
  bool mlp_bias;
  std::vector<float> rope_frequencies;  // [HD/2] radians per position
  float rope_scale;                     // of all cosines and sines: YaRN's attention factor, otherwise 1
};

struct Parameter {
  std::string name;
  int64_t offset;  // in elements
  int64_t rows;    // 1 for vectors
  int64_t cols;
  bool matrix;  // matrices have two dimensions in the checkpoint and take weight decay
  int64_t size() const { return rows * cols; }
};

// Offsets of one layer's weights; -1 for a bias the model does not have. q, k, v are adjacent (one [QKV, C] matrix), and so
// are gate and up ([2F, C]); their biases likewise.
struct LayerOffsets {
  int64_t attention_norm, qkv, o, mlp_norm, gate_up, down;
  int64_t qkv_bias = -1, o_bias = -1, gate_up_bias = -1, down_bias = -1;
};

struct ParameterTable {
  explicit ParameterTable(const ModelConfig& config);
  const Parameter& find(const std::string& name) const;  // throws ERR_MODEL_FORMAT

  std::vector<Parameter> entries;
  std::vector<LayerOffsets> layers;
  int64_t embedding = 0, final_norm = 0, head = 0;  // head is the embedding when tied
  int64_t vectors = 0;                              // where the matrices end and the vectors begin
  int64_t size = 0;                                 // elements of the allocation, padding included

 private:
  void place(const ModelConfig& config, int64_t first_vector);
  int64_t add_matrix(const std::string& name, int64_t rows, int64_t cols, bool joined = false);
  int64_t add_vector(const std::string& name, int64_t cols, bool joined = false);
  int64_t next_matrix_ = 0, next_vector_ = 0;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace pk
