#include "model/layout.h"

namespace pk {

LayerActivations take_layer(Arena& arena, const ModelConfig& config, DType compute, int64_t n, bool inference) {
  int64_t c = config.hidden_size;
  HeadShape shape = head_shape(config);
  LayerActivations a;
  a.x_in = arena.take(DType::f32, n, c);
  a.rstd_in = arena.take(DType::f32, n, 1);
  a.normed_in = arena.take(compute, n, c);
  a.qkv = arena.take(compute, n, shape.qkv_size());
  a.attention = arena.take(compute, n, shape.q_size());
  a.lse = arena.take(DType::f32, n, config.heads);
  a.x_mid = inference ? a.x_in : arena.take(DType::f32, n, c);
  a.rstd_mid = inference ? a.rstd_in : arena.take(DType::f32, n, 1);
  a.normed_mid = inference ? a.normed_in : arena.take(compute, n, c);
  a.gate_up = arena.take(compute, n, 2 * config.feed_forward_size);
  return a;
}

PassActivations take_pass(Arena& kept, Arena& work, const ModelConfig& config, DType compute, bool recompute, int64_t n, int64_t scored, bool keep) {
  int64_t c = config.hidden_size, f = config.feed_forward_size;
  bool share = !keep || recompute;
  PassActivations p;
  WorkTensors& w = p.work;
  for (int64_t l = 0; l < (share ? 1 : config.layers); ++l) p.layers.push_back(take_layer(kept, config, compute, n, !keep));
  if (keep && recompute)
    for (int64_t l = 0; l < config.layers; ++l) p.layer_inputs.push_back(kept.take(DType::f32, n, c));
  w.delta = work.take(compute, n, c);
  w.act = work.take(compute, n, f);
  w.x_final = keep ? work.take(DType::f32, n, c) : p.layers[0].x_in;
  w.rstd_final = work.take(DType::f32, n, 1);
  w.normed_final = work.take(compute, n, c);
  w.scored_hidden = work.take(compute, scored, c);
  w.lse = work.take(DType::f32, scored, 1);
  w.logprobs = work.take(DType::f32, scored, 1);
  w.entropy = work.take(DType::f32, scored, 1);
  if (!keep) return p;
  w.d_x = work.take(DType::f32, n, c);
  w.d_x_cast = work.take(compute, n, c);
  w.d_normed = work.take(compute, n, c);
  w.d_gate_up = work.take(compute, n, 2 * f);
  w.d_act = work.take(compute, n, f);
  w.d_attention = work.take(compute, n, head_shape(config).q_size());
  w.d_qkv = work.take(compute, n, head_shape(config).qkv_size());
  w.d_scored = work.take(compute, scored, c);
  w.d_logprobs = work.take(DType::f32, scored, 1);
  w.d_entropy = work.take(DType::f32, scored, 1);
  return p;
}

}  // namespace pk
