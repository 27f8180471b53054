// Layer ops and the optimizer on the CUDA backend against the CPU's.
#include "compare.h"

namespace pk::test {

static const DType kTypes[] = {DType::f32, DType::bf16};
static const int64_t kRows[] = {0, 1, 31, 127};
static const int64_t kCols[] = {1, 33, 64, 1025};

PK_TEST("cuda: matmul") {
  for (DType type : kTypes)
    for (DType out_type : {DType::f32, type})
      for (int form = 0; form < 8; ++form) {
        bool ta = form & 1, tb = form & 2, accumulate = form & 4;
        int64_t m = 17, n = 33, k = 29;
        Compare c;
        auto a = c.floats(type, ta ? k : m, ta ? m : k, 1), b = c.floats(type, tb ? n : k, tb ? k : n, 2), out = c.floats(out_type, m, n, 3),
             bias = c.floats(DType::f32, 1, n, 4);
        c.run([&](Backend& on, const Compare::Place& p) { on.matmul(p(out), p(a), ta, p(b), tb, accumulate ? nullptr : p.f32(bias), accumulate); });
        c.same(out, tolerance_of(out_type), "matmul " + std::to_string(form));
      }
}

PK_TEST("cuda: cast, column_sum, gather_rows, scatter_rows, embedding") {
  for (DType type : kTypes)
    for (int64_t n : kRows)
      for (int64_t cols : kCols) {
        Compare c;
        std::vector<int32_t> picked;
        for (int32_t i = static_cast<int32_t>(n) - 1; i >= 0; i -= 2) picked.push_back(i);
        int64_t count = static_cast<int64_t>(picked.size()), vocab = 5;
        auto in = c.floats(DType::f32, n, cols, 1), typed = c.floats(type, n, cols, 2), back = c.floats(DType::f32, n, cols, 3),
             sum = c.floats(DType::f32, 1, cols, 4), rows = c.numbers(picked), some = c.floats(type, count, cols, 5), spread = c.floats(type, n, cols, 6),
             tokens = c.numbers(random_ids(n, vocab, 7)), weight = c.floats(type, vocab, cols, 8), d_weight = c.floats(DType::f32, vocab, cols, 9),
             embedded = c.floats(DType::f32, n, cols, 10);
        c.run([&](Backend& on, const Compare::Place& p) {
          on.cast(p(typed), p(in));
          on.cast(p(back), p(typed));
          on.column_sum(p.f32(sum), p(typed));
          on.gather_rows(p(some), p(typed), p.ids(rows));
          on.scatter_rows(p(spread), p(some), p.ids(rows));
          on.embedding_forward(p(embedded), p.ids(tokens), p(weight));
          on.embedding_backward(p.f32(d_weight), p(in), p.ids(tokens), vocab);
        });
        std::string name = std::to_string(n) + " x " + std::to_string(cols) + " " + type_name(type);
        for (auto id : {typed, back, some, spread, embedded}) c.equal(id, "cast, gather, scatter, embedding " + name);
        c.same(sum, kF32, "column_sum " + name);
        c.same(d_weight, kF32, "embedding_backward " + name);
      }
}

PK_TEST("cuda: column_sum and embedding_backward over many rows") {
  Compare c;
  int64_t n = 5000, cols = 40, vocab = 300;
  auto in = c.floats(DType::f32, n, cols, 1), sum = c.floats(DType::f32, 1, cols, 2), tokens = c.numbers(random_ids(n, vocab, 3)),
       d_weight = c.floats(DType::f32, vocab, cols, 4);
  c.run([&](Backend& on, const Compare::Place& p) {
    on.column_sum(p.f32(sum), p(in));
    on.embedding_backward(p.f32(d_weight), p(in), p.ids(tokens), vocab);
  });
  c.same(sum, kF32, "column_sum");
  c.same(d_weight, kF32, "embedding_backward");
}

PK_TEST("cuda: rmsnorm") {
  for (DType type : kTypes)
    for (int64_t n : {0, 1, 33, 600})
      for (int64_t cols : {1, 33, 64, 1025, 2308}) {
        if (n == 600 && cols > 64) continue;
        for (bool with_delta : {false, true}) {
          Compare c;
          auto x = c.floats(DType::f32, n, cols, 1), delta = c.floats(type, n, cols, 2), weight = c.floats(DType::f32, 1, cols, 3),
               normed = c.floats(type, n, cols, 4), rstd = c.floats(DType::f32, n, 1, 5), x_out = c.floats(DType::f32, n, cols, 6),
               d_normed = c.floats(type, n, cols, 7), d_x = c.floats(DType::f32, n, cols, 8), d_cast = c.floats(type, n, cols, 9),
               d_weight = c.floats(DType::f32, 1, cols, 10);
          c.run([&](Backend& on, const Compare::Place& p) {
            on.rmsnorm_forward(p(normed), p.f32(rstd), p(x_out), p(x), with_delta ? p(delta) : Tensor(), p.f32(weight), 1e-6f);
            on.rmsnorm_backward(p(d_x), with_delta ? p(d_cast) : Tensor(), p.f32(d_weight), p(d_normed), p(x_out), p.f32(weight), p.f32(rstd));
          });
          std::string name = "rmsnorm " + std::to_string(n) + " x " + std::to_string(cols) + " " + type_name(type);
          for (auto id : {rstd, x_out, d_x, d_weight}) c.same(id, kF32, name);
          for (auto id : {normed, d_cast}) c.same(id, tolerance_of(type), name);
        }
      }
}

PK_TEST("cuda: rope, swiglu") {
  for (DType type : kTypes)
    for (int64_t n : kRows)
      for (int64_t head : {2, 6, 64, 128}) {
        HeadShape shape{3, 1, head};
        Compare c;
        std::vector<int32_t> place;
        for (int64_t i = 0; i < n; ++i) place.push_back(static_cast<int32_t>(i % 40));
        auto qkv = c.floats(type, n, shape.qkv_size(), 1), table = c.floats(DType::f32, 40, head, 2), positions = c.numbers(place);
        int64_t f = head * 3 + (head == 6 ? 1 : 0);
        auto gate_up = c.floats(type, n, 2 * f, 3, 6.0f), act = c.floats(type, n, f, 4), again = c.floats(type, n, f, 5), d_out = c.floats(type, n, f, 6),
             d_gate_up = c.floats(type, n, 2 * f, 7);
        c.run([&](Backend& on, const Compare::Place& p) {
          on.rope(p(qkv), p.ids(positions), p.f32(table), shape, head == 6);
          on.swiglu_forward(p(act), p(gate_up));
          on.swiglu_backward(p(d_gate_up), p(again), p(d_out), p(gate_up));
          on.swiglu_backward(p(gate_up), Tensor(), p(d_out), p(gate_up));
        });
        std::string name = "rope, swiglu " + std::to_string(n) + " head " + std::to_string(head) + " " + type_name(type);
        for (auto id : {qkv, act, again, d_gate_up, gate_up}) c.same(id, tolerance_of(type), name);
      }
}

PK_TEST("cuda: adamw, squared_norm") {
  for (DType moments : {DType::f32, DType::bf16})
    for (int64_t n : {0, 1, 3, 127, 1025, 5000})
      for (int64_t shift : {0, 1}) {
        if (n == 0 && shift) continue;
        Compare c;
        auto params = c.floats(DType::f32, 1, n, 1), rounded = c.floats(DType::bf16, 1, n, 2), grads = c.floats(DType::f32, 1, n, 3),
             m = c.floats(moments, 1, n, 4, 0.1f), v = c.floats(moments, 1, n, 5, 0.1f);
        for (int64_t i = 0; i < n; ++i) c.set(v, i, 0.01f * static_cast<float>(i % 7));
        AdamWSettings settings{1e-2f, 0.9, 0.999, 1e-8f, 0.1f, 3, 0.5f, 96};
        std::vector<double> norms;
        c.run([&](Backend& on, const Compare::Place& p) {
          norms.push_back(on.squared_norm(p.f32(grads) + shift, n - shift));
          auto part = [&](Compare::Id id) { return Tensor(p.as<char>(id) + shift * dtype_size(moments), moments, 1, n - shift); };
          on.adamw(p.f32(params) + shift, shift ? nullptr : p.as<bf16>(rounded), p.f32(grads) + shift, part(m), part(v), settings);
        });
        same_number(norms[0], norms[1], 1e-12, "squared_norm");
        std::string name = "adamw " + std::to_string(n) + " moments " + type_name(moments);
        c.same(params, kF32, name);
        for (auto id : {m, v}) c.same(id, tolerance_of(moments), name);
        c.same(rounded, kBf16, name);
      }
}

}  // namespace pk::test
