// Which activations a forward and its backward need, and how large: cut from arenas here, for the model and for the plan of its memory alike.
#pragma once
#include <vector>

#include "core/arena.h"
#include "model/parameters.h"
#include "ops/backend.h"

namespace pk {

// What one layer keeps for its backward. N tokens of a packed batch; T is the compute type.
struct LayerActivations {
  Tensor x_in;        // [N, C] f32: residual stream entering the layer
  Tensor rstd_in;     // [N, 1] f32
  Tensor normed_in;   // [N, C] T
  Tensor qkv;         // [N, QKV] T, rotated
  Tensor attention;   // [N, D] T
  Tensor lse;         // [N, NH] f32
  Tensor x_mid;       // [N, C] f32: residual stream after attention
  Tensor rstd_mid;    // [N, 1] f32
  Tensor normed_mid;  // [N, C] T
  Tensor gate_up;     // [N, 2F] T
};

// What the layers of a pass share.
struct WorkTensors {
  Tensor delta, act, x_final, rstd_final, normed_final, scored_hidden, lse, logprobs, entropy;
  Tensor d_x, d_x_cast, d_normed, d_gate_up, d_act, d_attention, d_qkv, d_scored, d_logprobs, d_entropy;
};

struct PassActivations {
  std::vector<LayerActivations> layers;  // one per layer, or a single shared one
  std::vector<Tensor> layer_inputs;      // [N, C] f32 per layer, when recomputing
  WorkTensors work;
};

constexpr int64_t kPackedLimit = int64_t{256} << 20;  // bytes of packed weights: of larger ones a second copy costs more than it gains

inline HeadShape head_shape(const ModelConfig& config) { return {config.heads, config.kv_heads, config.head_size}; }

// inference: no backward will follow, so what a layer does not need any more is overwritten.
LayerActivations take_layer(Arena& arena, const ModelConfig& config, DType compute, int64_t n, bool inference);

// A pass over n tokens of which `scored` are scored; keep: for a backward, which computes layers anew when `recompute`.
PassActivations take_pass(Arena& kept, Arena& work, const ModelConfig& config, DType compute, bool recompute, int64_t n, int64_t scored, bool keep);

}  // namespace pk
