// addon.ops, second part: the optimizer, the fused head in any activation type, decoding.
#include "binding/ops_args.h"

namespace pk {

namespace {

Napi::Value squared_norm_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n");
  auto values = args.floats("values", n);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    return {{"sum", {static_cast<float>(arrays.backend().squared_norm(arrays.put_array(values), n))}}};
  });
}

Napi::Value adamw_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n");
  AdamWSettings settings{args.number("lr"),          args.exact("beta1"),  args.exact("beta2"),      args.number("eps"),
                         args.number("weightDecay"), args.size("step", 1), args.number("gradScale"), args.has("first") ? args.size("first") / 4 * 4 : 0};
  DType moments = args.flag("bfloat16Moments") ? DType::bf16 : DType::f32;
  auto params = args.floats("params", n), grads = args.floats("grads", n), m = args.floats("m", n), v = args.floats("v", n);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor p = arrays.put(params, 1, n), cast = arrays.make(1, n, DType::bf16), first = arrays.put(m, 1, n, moments), second = arrays.put(v, 1, n, moments);
    arrays.backend().adamw(p.f32(), cast.as<bf16>(), arrays.put_array(grads), first, second, settings);
    return {{"params", arrays.read(p)}, {"paramsCast", arrays.read(cast)}, {"m", arrays.read(first)}, {"v", arrays.read(second)}};
  });
}

Napi::Value linear_logprobs_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n"), c = args.size("c", 1), vocab = args.size("vocab", 1);
  DType type = args.type();
  float temperature = args.number("temperature");
  auto hidden = args.floats("hidden", n * c), weight = args.floats("weight", vocab * c), d_logprobs = args.floats("dLogprobs", n),
       d_entropy = args.floats("dEntropy", n), d_weight = args.floats("dWeight", vocab * c);
  auto targets = args.integers("targets", n, 0, vocab - 1);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor h = arrays.put(hidden, n, c, type), w = arrays.put(weight, vocab, c, type), logprobs = arrays.make(n, 1), entropy = arrays.make(n, 1),
           lse = arrays.make(n, 1);
    Tensor dh = arrays.make(n, c, type), dw = arrays.put(d_weight, vocab, c);
    const int32_t* t = arrays.put_array(targets);
    arrays.backend().linear_logprobs_forward(logprobs.f32(), entropy.f32(), lse.f32(), h, w, t, temperature);
    arrays.backend().linear_logprobs_backward(dh, dw, h, w, t, lse.f32(), entropy.f32(), arrays.put_array(d_logprobs), arrays.put_array(d_entropy),
                                              temperature);
    return {{"logprobs", arrays.read(logprobs)}, {"entropy", arrays.read(entropy)}, {"dHidden", arrays.read(dh)}, {"dWeight", arrays.read(dw)}};
  });
}

// One sequence of n tokens in every one of `copies` slots: the first `filled` by cache_fill, the others one by one.
// Returns the attention outputs of those others, of the last slot.
Napi::Value decode_attention_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n", 1), filled = args.size("filled"), copies = args.size("copies", 1);
  HeadShape shape = args.heads();
  DType type = args.type();
  if (filled > n) throw range_error(call.Env(), "filled must be at most n.");
  auto qkv = args.floats("qkv", n * shape.qkv_size());
  int64_t capacity = (n + 15) / 16 * 16;
  args.checked(args.checked(copies * shape.kv_heads * capacity) * shape.padded_head());
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor rows = arrays.put(qkv, n, shape.qkv_size(), type), keys = arrays.make(copies * shape.kv_heads, shape.head_size * capacity, type),
           values = arrays.make(copies * shape.kv_heads, capacity * shape.padded_head(), type);
    Tensor out = arrays.make(n - filled, shape.q_size(), type), all = arrays.make(copies, shape.q_size(), type),
           inputs = arrays.make(copies, shape.qkv_size(), type);
    std::vector<int32_t> order(static_cast<size_t>(copies));
    for (int64_t i = 0; i < copies; ++i) order[static_cast<size_t>(i)] = static_cast<int32_t>(copies - 1 - i);
    const int32_t* slots = arrays.put_array(order);
    Backend& backend = arrays.backend();
    if (filled) backend.cache_fill(keys, values, rows.slice_rows(0, filled), slots, copies, capacity, shape);
    for (int64_t t = filled; t < n; ++t) {
      for (int64_t i = 0; i < copies; ++i) backend.copy(inputs.slice_rows(i, 1).data, rows.slice_rows(t, 1).data, rows.slice_rows(t, 1).bytes());
      const int32_t* lengths = arrays.put_array(std::vector<int32_t>(static_cast<size_t>(copies), static_cast<int32_t>(t)));
      backend.decode_attention(all, keys, values, inputs, slots, lengths, capacity, shape);
      backend.copy(out.slice_rows(t - filled, 1).data, all.slice_rows(copies - 1, 1).data, all.slice_rows(0, 1).bytes());
    }
    return {{"out", arrays.read(out)}};
  });
}

Napi::Value sample_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t m = args.size("m"), vocab = args.size("vocab", 1);
  SampleSettings settings{args.number("temperature"), args.number("topP"), static_cast<int32_t>(args.size("topK")), args.seed("seed")};
  auto logits = args.floats("logits", m * vocab);
  auto positions = args.integers("positions", m, 0, 1 << 30), sequences = args.integers("sequences", m, 0, 1 << 30);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    std::vector<int32_t> tokens(static_cast<size_t>(m));
    int32_t* out = arrays.put_array(tokens);
    Tensor logprobs = arrays.make(m, 1);
    arrays.backend().sample(out, logprobs.f32(), arrays.put_array(logits), arrays.put_array(std::vector<uint64_t>(sequences.begin(), sequences.end())),
                            arrays.put_array(positions), m, vocab, settings);
    arrays.backend().copy_to_host(tokens.data(), out, m * static_cast<int64_t>(sizeof(int32_t)));
    return {{"tokens", {tokens.begin(), tokens.end()}}, {"logprobs", arrays.read(logprobs)}};
  });
}

}  // namespace

void export_optimizer_and_decode_ops(Napi::Env env, Napi::Object ops) {
  auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) { ops.Set(name, Napi::Function::New(env, function, name)); };
  add("squaredNorm", squared_norm_op);
  add("adamw", adamw_op);
  add("linearLogprobs", linear_logprobs_op);
  add("decodeAttention", decode_attention_op);
  add("sample", sample_op);
}

}  // namespace pk
