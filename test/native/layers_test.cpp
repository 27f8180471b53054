// Layer ops on odd sizes: exact buffers, finite results, the same bits twice. What they compute is tested in test/ops.
#include <cmath>

#include "harness.h"

namespace pk::test {

static const DType kTypes[] = {DType::f32, DType::bf16};
static const int64_t kRows[] = {0, 1, 2, 7, 33, 130};
static const int64_t kCols[] = {2, 6, 17, 48, 131};

PK_TEST("matmul") {
  for (DType type : kTypes)
    for (DType out_type : {DType::f32, type})
      for (int64_t m : kRows)
        for (int64_t n : {1, 5, 16, 67})
          for (int64_t k : {1, 6, 33})
            for (int form = 0; form < 8; ++form) {
              bool ta = form & 1, tb = form & 2, accumulate = form & 4;
              Buffer a(type, ta ? k : m, ta ? m : k, 1), b(type, tb ? n : k, tb ? k : n, 2), out(out_type, m, n, 3), bias(DType::f32, 1, n, 4);
              Buffer again = out;
              const float* bias_data = accumulate ? nullptr : bias.f32();
              backend().matmul(out.tensor(), a.tensor(), ta, b.tensor(), tb, bias_data, accumulate);
              backend().matmul(again.tensor(), a.tensor(), ta, b.tensor(), tb, bias_data, accumulate);
              PK_CHECK(out.finite());
              PK_CHECK(out == again);
            }
}

PK_TEST("cast, column_sum, gather_rows, scatter_rows") {
  for (DType type : kTypes)
    for (int64_t n : kRows)
      for (int64_t c : kCols) {
        Buffer in(DType::f32, n, c, 1), out(type, n, c), back(DType::f32, n, c), sum(DType::f32, 1, c, 2);
        backend().cast(out.tensor(), in.tensor());
        backend().cast(back.tensor(), out.tensor());
        for (int64_t i = 0; i < in.size(); ++i) PK_CHECK(std::abs(in.at(i) - back.at(i)) <= 0.01f);
        backend().column_sum(sum.f32(), out.tensor());
        PK_CHECK(sum.finite());
        std::vector<int32_t> rows;
        for (int32_t i = 0; i < n; i += 2) rows.push_back(i);
        Buffer picked(type, static_cast<int64_t>(rows.size()), c), spread(type, n, c, 5);
        backend().gather_rows(picked.tensor(), out.tensor(), rows.data());
        backend().scatter_rows(spread.tensor(), picked.tensor(), rows.data());
        for (int64_t i = 0; i < n; ++i)
          for (int64_t j = 0; j < c; ++j) PK_CHECK(spread.at(i * c + j) == (i % 2 == 0 ? out.at(i * c + j) : 0.0f));
      }
}

PK_TEST("embedding") {
  for (DType type : kTypes)
    for (int64_t n : kRows)
      for (int64_t c : kCols) {
        int64_t vocab = 5;
        auto tokens = random_ids(n, vocab, 3);
        Buffer weight(type, vocab, c, 1), out(DType::f32, n, c), d_weight(DType::f32, vocab, c);
        backend().embedding_forward(out.tensor(), tokens.data(), weight.tensor());
        d_weight.fill(0);
        backend().embedding_backward(d_weight.f32(), out.tensor(), tokens.data(), vocab);
        PK_CHECK(d_weight.finite());
        for (int64_t i = 0; i < out.size(); ++i) PK_CHECK(out.at(i) == weight.at(tokens[i / c] * c + i % c));
      }
}

PK_TEST("rmsnorm") {
  for (DType type : kTypes)
    for (int64_t n : kRows)
      for (int64_t c : kCols) {
        Buffer x(DType::f32, n, c, 1), x_out(DType::f32, n, c), delta(type, n, c, 2), normed(type, n, c), rstd(DType::f32, n, 1), weight(DType::f32, 1, c, 3);
        backend().rmsnorm_forward(normed.tensor(), rstd.f32(), x_out.tensor(), x.tensor(), delta.tensor(), weight.f32(), 1e-6f);
        backend().rmsnorm_forward(normed.tensor(), rstd.f32(), x.tensor(), x.tensor(), Tensor(), weight.f32(), 1e-6f);
        PK_CHECK(normed.finite() && rstd.finite());
        Buffer d_x(DType::f32, n, c, 4), d_cast(type, n, c), d_weight(DType::f32, 1, c, 5), d_normed(type, n, c, 6);
        backend().rmsnorm_backward(d_x.tensor(), d_cast.tensor(), d_weight.f32(), d_normed.tensor(), x_out.tensor(), weight.f32(), rstd.f32());
        backend().rmsnorm_backward(d_x.tensor(), Tensor(), d_weight.f32(), d_normed.tensor(), x_out.tensor(), weight.f32(), rstd.f32());
        PK_CHECK(d_x.finite() && d_cast.finite() && d_weight.finite());
      }
}

PK_TEST("swiglu") {
  for (DType type : kTypes)
    for (int64_t n : kRows)
      for (int64_t f : {1, 6, 17, 131}) {
        Buffer gate_up(type, n, 2 * f, 1, 30.0f), out(type, n, f), again(type, n, f), d_out(type, n, f, 2), d_gate_up(type, n, 2 * f);
        backend().swiglu_forward(out.tensor(), gate_up.tensor());
        backend().swiglu_backward(d_gate_up.tensor(), again.tensor(), d_out.tensor(), gate_up.tensor());
        PK_CHECK(out == again && d_gate_up.finite());
        backend().swiglu_backward(gate_up.tensor(), Tensor(), d_out.tensor(), gate_up.tensor());
        PK_CHECK(gate_up == d_gate_up);
      }
}

// cosines and sines of every position, as the model makes them
static std::vector<float> rope_table(int64_t positions, int64_t head_size) {
  std::vector<float> table(static_cast<size_t>(positions * head_size));
  for (int64_t p = 0; p < positions; ++p)
    for (int64_t i = 0; i < head_size / 2; ++i) {
      double angle = static_cast<double>(p) * std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(head_size));
      table[p * head_size + i] = static_cast<float>(std::cos(angle));
      table[p * head_size + head_size / 2 + i] = static_cast<float>(std::sin(angle));
    }
  return table;
}

static const HeadShape kShapes[] = {{1, 1, 2}, {2, 1, 6}, {4, 2, 16}, {3, 3, 10}, {8, 2, 34}};
static const std::vector<std::vector<int32_t>> kLengths = {{}, {0}, {1}, {5, 0, 1}, {33, 2}, {70}};

PK_TEST("rope and attention") {
  for (DType type : kTypes)
    for (HeadShape shape : kShapes)
      for (const auto& lengths : kLengths) {
        auto offsets = offsets_of(lengths);
        int64_t n = offsets.back(), rows = static_cast<int64_t>(lengths.size());
        std::vector<int32_t> positions;
        for (int32_t length : lengths)
          for (int32_t t = 0; t < length; ++t) positions.push_back(t);
        auto table = rope_table(70, shape.head_size);
        Buffer qkv(type, n, shape.qkv_size(), 1), out(type, n, shape.q_size()), lse(DType::f32, n, shape.heads), d_out(type, n, shape.q_size(), 2),
            d_qkv(type, n, shape.qkv_size());
        backend().rope(qkv.tensor(), positions.data(), table.data(), shape, false);
        backend().attention_forward(out.tensor(), lse.f32(), qkv.tensor(), offsets.data(), rows, shape);
        backend().attention_backward(d_qkv.tensor(), d_out.tensor(), out.tensor(), lse.f32(), qkv.tensor(), offsets.data(), rows, shape);
        backend().rope(d_qkv.tensor(), positions.data(), table.data(), shape, true);
        PK_CHECK(out.finite() && lse.finite() && d_qkv.finite());
      }
}

PK_TEST("decode_attention and cache_fill") {
  for (DType type : kTypes)
    for (HeadShape shape : kShapes)
      for (int64_t length : {1, 15, 16, 31}) {
        int64_t slots = 5, capacity = (length + 16) / 16 * 16;
        Buffer keys(type, slots * shape.kv_heads, shape.head_size * capacity), values(type, slots * shape.kv_heads, capacity * shape.padded_head());
        keys.fill(0);
        values.fill(0);
        Buffer prompt(type, length, shape.qkv_size(), 1);
        std::vector<int32_t> copies = {4, 1, 3};
        backend().cache_fill(keys.tensor(), values.tensor(), prompt.tensor(), copies.data(), 3, capacity, shape);
        std::vector<int32_t> lengths(3, static_cast<int32_t>(length));
        Buffer qkv(type, 3, shape.qkv_size(), 2), out(type, 3, shape.q_size());
        backend().decode_attention(out.tensor(), keys.tensor(), values.tensor(), qkv.tensor(), copies.data(), lengths.data(), capacity, shape);
        PK_CHECK(out.finite());
      }
}

PK_TEST("sample") {
  for (int64_t vocab : {1, 2, 17, 1000})
    for (int64_t m : {0, 1, 9})
      for (SampleSettings settings : {SampleSettings{1, 1, 0, 7}, SampleSettings{0, 1, 0, 7}, SampleSettings{0.5f, 0.3f, 0, 7}, SampleSettings{2, 1, 3, 7},
                                      SampleSettings{1, 0.9f, 2000, 7}}) {
        Buffer logits(DType::f32, m, vocab, 1, 20.0f), logprobs(DType::f32, m, 1);
        if (vocab > 2 && m > 0) logits.set(1, -INFINITY);
        std::vector<uint64_t> ids(static_cast<size_t>(m), 11);
        auto positions = random_ids(m, 100, 2);
        std::vector<int32_t> tokens(static_cast<size_t>(m), -1);
        backend().sample(tokens.data(), logprobs.f32(), logits.f32(), ids.data(), positions.data(), m, vocab, settings);
        for (int32_t token : tokens) PK_CHECK(token >= 0 && token < vocab);
        PK_CHECK(logprobs.finite());
      }
}

}  // namespace pk::test
