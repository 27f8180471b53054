// addon.ops: the Backend's ops one by one on host arrays, so that tests can hold each against a float64 oracle. Each
// takes one object (see NativeOps in ts/native/types.ts), runs on the compute thread and resolves to Float32Arrays.
#include <chrono>

#include "binding/ops_args.h"

namespace pk {

namespace {

Napi::Value matmul_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t m = args.size("m"), n = args.size("n"), k = args.size("k");
  bool ta = args.flag("transposeA"), tb = args.flag("transposeB");
  DType type = args.type(), out_type = args.flag("floatOut") ? DType::f32 : type;
  auto a = args.floats("a", m * k), b = args.floats("b", k * n), bias = args.optional_floats("bias", n),
       start = args.optional_floats("out", args.checked(m * n));
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor out = start.empty() ? arrays.make(m, n, out_type) : arrays.put(start, m, n, out_type);
    Tensor left = arrays.put(a, ta ? k : m, ta ? m : k, type), right = arrays.put(b, tb ? n : k, tb ? k : n, type);
    arrays.backend().matmul(out, left, ta, right, tb, bias.empty() ? nullptr : arrays.put_array(bias), !start.empty());
    return {{"out", arrays.read(out)}};
  });
}

// Seconds of each of `repeats` products [M,K] @ [N,K]^T without any copying: the machine's rate for matrix products, the floor of benchmarks.
Napi::Value matmul_seconds_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t m = args.size("m", 1), n = args.size("n", 1), k = args.size("k", 1), repeats = args.size("repeats", 1);
  DType type = args.type();
  args.checked(args.checked(m * n) + args.checked(m * k) + args.checked(n * k));
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor a = arrays.put(std::vector<float>(static_cast<size_t>(m * k), 0.5f), m, k, type),
           b = arrays.put(std::vector<float>(static_cast<size_t>(n * k), 0.25f), n, k, type), out = arrays.make(m, n, type);
    std::vector<float> seconds;
    for (int64_t i = 0; i < repeats; ++i) {
      auto begin = std::chrono::steady_clock::now();
      arrays.backend().matmul(out, a, false, b, true, nullptr, false);
      seconds.push_back(std::chrono::duration<float>(std::chrono::steady_clock::now() - begin).count());
    }
    return {{"seconds", seconds}};
  });
}

Napi::Value column_sum_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n"), cols = args.size("cols");
  DType type = args.type();
  auto in = args.floats("in", n * cols), start = args.floats("out", cols);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor out = arrays.put(start, 1, cols);
    arrays.backend().column_sum(out.f32(), arrays.put(in, n, cols, type));
    return {{"out", arrays.read(out)}};
  });
}

Napi::Value embedding_forward_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n"), c = args.size("c"), vocab = args.size("vocab", 1);
  auto tokens = args.integers("tokens", n, 0, vocab - 1);
  DType type = args.type();
  auto weight = args.floats("weight", vocab * c);
  args.checked(n * c);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor out = arrays.make(n, c);
    arrays.backend().embedding_forward(out, arrays.put_array(tokens), arrays.put(weight, vocab, c, type));
    return {{"out", arrays.read(out)}};
  });
}

Napi::Value embedding_backward_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n"), c = args.size("c"), vocab = args.size("vocab", 1);
  auto tokens = args.integers("tokens", n, 0, vocab - 1);
  auto d_out = args.floats("dOut", n * c), start = args.floats("dWeight", vocab * c);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor d_weight = arrays.put(start, vocab, c);
    arrays.backend().embedding_backward(d_weight.f32(), arrays.put(d_out, n, c), arrays.put_array(tokens), vocab);
    return {{"dWeight", arrays.read(d_weight)}};
  });
}

Napi::Value rmsnorm_forward_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n"), c = args.size("c", 1);
  DType type = args.type();
  float eps = args.number("eps");
  auto x = args.floats("x", n * c), delta = args.optional_floats("delta", n * c), weight = args.floats("weight", c);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor normed = arrays.make(n, c, type), x_out = arrays.make(n, c), rstd = arrays.make(n, 1);
    arrays.backend().rmsnorm_forward(normed, rstd.f32(), x_out, arrays.put(x, n, c), arrays.put_optional(delta, n, c, type), arrays.put_array(weight), eps);
    return {{"normed", arrays.read(normed)}, {"rstd", arrays.read(rstd)}, {"xOut", arrays.read(x_out)}};
  });
}

Napi::Value rmsnorm_backward_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n"), c = args.size("c", 1);
  DType type = args.type();
  auto d_x = args.floats("dX", n * c), d_weight = args.floats("dWeight", c), d_normed = args.floats("dNormed", n * c);
  auto x = args.floats("x", n * c), weight = args.floats("weight", c), rstd = args.floats("rstd", n);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor dx = arrays.put(d_x, n, c), dx_cast = arrays.make(n, c, type), dw = arrays.put(d_weight, 1, c);
    arrays.backend().rmsnorm_backward(dx, dx_cast, dw.f32(), arrays.put(d_normed, n, c, type), arrays.put(x, n, c), arrays.put_array(weight),
                                      arrays.put_array(rstd));
    return {{"dX", arrays.read(dx)}, {"dXCast", arrays.read(dx_cast)}, {"dWeight", arrays.read(dw)}};
  });
}

Napi::Value rope_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n"), positions = args.size("tableRows", 1);
  HeadShape shape = args.heads();
  DType type = args.type();
  bool inverse = args.flag("inverse");
  auto qkv = args.floats("qkv", n * shape.qkv_size()), table = args.floats("table", positions * shape.head_size);
  auto at = args.integers("positions", n, 0, positions - 1);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor rotated = arrays.put(qkv, n, shape.qkv_size(), type);
    arrays.backend().rope(rotated, arrays.put_array(at), arrays.put_array(table), shape, inverse);
    return {{"qkv", arrays.read(rotated)}};
  });
}

Napi::Value attention_forward_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n");
  HeadShape shape = args.heads();
  DType type = args.type();
  auto qkv = args.floats("qkv", n * shape.qkv_size());
  auto offsets = args.offsets("offsets", n);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor out = arrays.make(n, shape.q_size(), type), lse = arrays.make(n, shape.heads);
    arrays.backend().attention_forward(out, lse.f32(), arrays.put(qkv, n, shape.qkv_size(), type), arrays.put_array(offsets),
                                       static_cast<int64_t>(offsets.size()) - 1, shape);
    return {{"out", arrays.read(out)}, {"lse", arrays.read(lse)}};
  });
}

Napi::Value attention_backward_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n");
  HeadShape shape = args.heads();
  DType type = args.type();
  auto d_out = args.floats("dOut", n * shape.q_size()), out = args.floats("out", n * shape.q_size()), lse = args.floats("lse", n * shape.heads),
       qkv = args.floats("qkv", n * shape.qkv_size());
  auto offsets = args.offsets("offsets", n);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor d_qkv = arrays.make(n, shape.qkv_size(), type);
    arrays.backend().attention_backward(d_qkv, arrays.put(d_out, n, shape.q_size(), type), arrays.put(out, n, shape.q_size(), type), arrays.put_array(lse),
                                        arrays.put(qkv, n, shape.qkv_size(), type), arrays.put_array(offsets), static_cast<int64_t>(offsets.size()) - 1, shape);
    return {{"dQkv", arrays.read(d_qkv)}};
  });
}

Napi::Value swiglu_forward_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n"), f = args.size("f");
  DType type = args.type();
  auto gate_up = args.floats("gateUp", n * 2 * f);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor out = arrays.make(n, f, type);
    arrays.backend().swiglu_forward(out, arrays.put(gate_up, n, 2 * f, type));
    return {{"out", arrays.read(out)}};
  });
}

Napi::Value swiglu_backward_op(const Napi::CallbackInfo& call) {
  OpArgs args(call);
  int64_t n = args.size("n"), f = args.size("f");
  DType type = args.type();
  auto d_out = args.floats("dOut", n * f), gate_up = args.floats("gateUp", n * 2 * f);
  bool in_place = args.flag("inPlace");
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor in = arrays.put(gate_up, n, 2 * f, type), d_gate_up = in_place ? in : arrays.make(n, 2 * f, type), again = arrays.make(n, f, type);
    arrays.backend().swiglu_backward(d_gate_up, again, arrays.put(d_out, n, f, type), in);
    return {{"dGateUp", arrays.read(d_gate_up)}, {"outAgain", arrays.read(again)}};
  });
}

Napi::Value move_rows(const Napi::CallbackInfo& call, bool scatter) {
  OpArgs args(call);
  int64_t n = args.size("n"), c = args.size("c"), r = args.size("r");
  DType type = args.type();
  auto rows = args.integers("rows", r, 0, n - 1);
  std::vector<bool> seen(static_cast<size_t>(n), false);
  for (int32_t row : rows) {
    if (scatter && seen[static_cast<size_t>(row)]) throw range_error(call.Env(), "rows must be distinct, but " + std::to_string(row) + " occurs twice.");
    seen[static_cast<size_t>(row)] = true;
  }
  auto in = args.floats("in", (scatter ? r : n) * c);
  args.checked((scatter ? n : r) * c);
  return run_op(call.Env(), [=](OpArrays& arrays) -> OpResults {
    Tensor from = arrays.put(in, scatter ? r : n, c, type), to = arrays.make(scatter ? n : r, c, type);
    const int32_t* at = arrays.put_array(rows);
    if (scatter) {
      arrays.backend().scatter_rows(to, from, at);
    } else {
      arrays.backend().gather_rows(to, from, at);
    }
    return {{"out", arrays.read(to)}};
  });
}

Napi::Value gather_rows_op(const Napi::CallbackInfo& call) { return move_rows(call, false); }
Napi::Value scatter_rows_op(const Napi::CallbackInfo& call) { return move_rows(call, true); }

}  // namespace

void export_ops(Napi::Env env, Napi::Object exports) {
  auto ops = Napi::Object::New(env);
  auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) { ops.Set(name, Napi::Function::New(env, function, name)); };
  add("matmul", matmul_op);
  add("matmulSeconds", matmul_seconds_op);
  add("columnSum", column_sum_op);
  add("embeddingForward", embedding_forward_op);
  add("embeddingBackward", embedding_backward_op);
  add("rmsnormForward", rmsnorm_forward_op);
  add("rmsnormBackward", rmsnorm_backward_op);
  add("rope", rope_op);
  add("attentionForward", attention_forward_op);
  add("attentionBackward", attention_backward_op);
  add("swigluForward", swiglu_forward_op);
  add("swigluBackward", swiglu_backward_op);
  add("gatherRows", gather_rows_op);
  add("scatterRows", scatter_rows_op);
  export_optimizer_and_decode_ops(env, ops);
  exports.Set("ops", ops);
}

}  // namespace pk
