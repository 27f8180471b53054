// Attention, with and without tensor cores, and decoding on the CUDA backend against the CPU's.
#include "compare.h"

namespace pk::test {

namespace {

const HeadShape kShapes[] = {{1, 1, 64}, {14, 2, 64}, {4, 2, 128}, {3, 1, 6}, {2, 2, 34}};

std::string name_of(const char* op, HeadShape s, DType type) {
  return std::string(op) + " " + std::to_string(s.heads) + "/" + std::to_string(s.kv_heads) + " heads of " + std::to_string(s.head_size) + " " +
         type_name(type);
}

// Tensor cores take weights and their gradients rounded to bf16 (8 bits), as every flash attention does; the CPU keeps float32.
double norm_tolerance(DType type) { return type == DType::bf16 ? 0.006 : 1e-6; }

void attention_case(HeadShape shape, DType type, const std::vector<int32_t>& lengths) {
  Compare c;
  auto offsets = offsets_of(lengths);
  int64_t n = offsets.back(), rows = static_cast<int64_t>(lengths.size());
  auto qkv = c.floats(type, n, shape.qkv_size(), 1, 2.0f), out = c.floats(type, n, shape.q_size(), 2), lse = c.floats(DType::f32, n, shape.heads, 3),
       d_out = c.floats(type, n, shape.q_size(), 4), d_qkv = c.floats(type, n, shape.qkv_size(), 5), again = c.floats(type, n, shape.q_size(), 6),
       at = c.numbers(offsets);
  c.run([&](Backend& on, const Compare::Place& p) {
    on.attention_forward(p(out), p.f32(lse), p(qkv), p.ids(at), rows, shape);
    on.attention_forward(p(again), nullptr, p(qkv), p.ids(at), rows, shape);
    on.attention_backward(p(d_qkv), p(d_out), p(out), p.f32(lse), p(qkv), p.ids(at), rows, shape);
  });
  c.same_norm(out, norm_tolerance(type), name_of("attention out", shape, type));
  c.same_norm(again, norm_tolerance(type), name_of("attention out", shape, type));
  c.same(lse, type == DType::bf16 ? 1e-3 : kF32, name_of("attention lse", shape, type));
  c.same_norm(d_qkv, norm_tolerance(type), name_of("attention gradient", shape, type));
}

}  // namespace

PK_TEST("cuda: attention over packed rows") {
  for (HeadShape shape : kShapes)
    for (DType type : {DType::f32, DType::bf16})
      for (const std::vector<int32_t>& lengths : {std::vector<int32_t>{}, {1}, {0, 31, 0, 1, 33, 0}}) attention_case(shape, type, lengths);
}

PK_TEST("cuda: attention over rows of several tiles") {
  attention_case({2, 1, 64}, DType::bf16, {127, 65, 64, 130});
  attention_case({2, 1, 64}, DType::bf16, {300});
  attention_case({2, 1, 128}, DType::bf16, {150, 3});
  attention_case({1, 1, 64}, DType::f32, {70});
}

// Scores of +-40: every few tiles some row's weights are taken relative to a new largest score. (Gradients of such peaked weights
// are small differences of large terms, which bf16 cannot hold.)
PK_TEST("cuda: attention with large scores") {
  for (HeadShape shape : {HeadShape{1, 1, 64}, HeadShape{1, 1, 128}}) {
    Compare c;
    int64_t n = 290;
    auto qkv = c.floats(DType::bf16, n, shape.qkv_size(), 1, 6.0f), out = c.floats(DType::bf16, n, shape.q_size(), 2), lse = c.floats(DType::f32, n, 1, 3),
         at = c.numbers(std::vector<int32_t>{0, 290});
    c.run([&](Backend& on, const Compare::Place& p) { on.attention_forward(p(out), p.f32(lse), p(qkv), p.ids(at), 1, shape); });
    c.same_norm(out, norm_tolerance(DType::bf16), name_of("attention out", shape, DType::bf16));
    c.same(lse, 1e-3, name_of("attention lse", shape, DType::bf16));
  }
}

PK_TEST("cuda: attention over many rows, the longest first") {
  std::vector<int32_t> lengths;
  for (int32_t i = 0; i < 70; ++i) lengths.push_back(i % 9);
  lengths[33] = 129;
  attention_case({1, 1, 64}, DType::bf16, lengths);
}

PK_TEST("cuda: decode_attention, cache_fill") {
  for (HeadShape shape : kShapes)
    for (DType type : {DType::f32, DType::bf16})
      for (int64_t capacity : {16, 320}) {
        Compare c;
        int64_t slots = 4, prefill = capacity == 16 ? 5 : 257, m = 3;
        auto keys = c.floats(type, slots * shape.kv_heads * capacity, shape.head_size, 1),
             values = c.floats(type, slots * shape.kv_heads * capacity, shape.padded_head(), 2);
        auto first = c.floats(type, prefill, shape.qkv_size(), 3), qkv = c.floats(type, m, shape.qkv_size(), 4, 2.0f),
             next = c.floats(type, m, shape.qkv_size(), 5), out = c.floats(type, m, shape.q_size(), 6), last = c.floats(type, m, shape.q_size(), 7);
        int32_t filled = static_cast<int32_t>(prefill);
        auto fill_slots = c.numbers(std::vector<int32_t>{3, 1}), step_slots = c.numbers(std::vector<int32_t>{1, 0, 3}),
             lengths = c.numbers(std::vector<int32_t>{filled, 0, filled}), longer = c.numbers(std::vector<int32_t>{filled + 1, 1, filled + 1});
        c.run([&](Backend& on, const Compare::Place& p) {
          on.cache_fill(p(keys), p(values), p(first), p.ids(fill_slots), 2, capacity, shape);
          on.decode_attention(p(out), p(keys), p(values), p(qkv), p.ids(step_slots), p.ids(lengths), capacity, shape);
          on.decode_attention(p(last), p(keys), p(values), p(next), p.ids(step_slots), p.ids(longer), capacity, shape);
        });
        c.same_norm(out, norm_tolerance(type), name_of("decode", shape, type));
        c.same_norm(last, norm_tolerance(type), name_of("decode, next token", shape, type));
      }
}

}  // namespace pk::test
