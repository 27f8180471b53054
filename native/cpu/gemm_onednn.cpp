// matmul by oneDNN (2.x and 3.x): one primitive per shape, cached; scratch memory is ours, per thread.
#include "cpu/gemm.h"

#ifdef PRIMEKIT_ONEDNN
#include <dnnl.hpp>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "core/error.h"
#include "core/parallel.h"
#include "cpu/scratch.h"

namespace pk {

namespace {

using dnnl::memory;

struct Primitive {
  dnnl::matmul primitive;
  memory::desc a, b, bias, out, scratchpad;
  bool usable = false;
};

// M, N, K, dtypes, transposes, bias, accumulate, threads.
using Key = std::tuple<int64_t, int64_t, int64_t, int, bool, bool, bool, bool, int>;

const dnnl::engine& engine() {
  static const dnnl::engine* cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *cpu;
}

memory::data_type type_of(DType t) { return t == DType::f32 ? memory::data_type::f32 : memory::data_type::bf16; }

memory::desc view(int64_t rows, int64_t cols, DType t, bool transposed) {
  return transposed ? memory::desc({rows, cols}, type_of(t), {1, rows}) : memory::desc({rows, cols}, type_of(t), {cols, 1});
}

Primitive make_primitive(const MatmulCall& call, int64_t m, int64_t n, int64_t k) {
  Primitive p;
  p.a = view(m, k, call.a.dtype, call.transpose_a);
  p.b = view(k, n, call.b.dtype, call.transpose_b);
  p.out = view(m, n, call.out.dtype, false);
  if (call.bias) p.bias = memory::desc({1, n}, memory::data_type::f32, {n, 1});
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (call.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attr.set_post_ops(sum);
  }
  try {
#if DNNL_VERSION_MAJOR >= 3
    auto description =
        call.bias ? dnnl::matmul::primitive_desc(engine(), p.a, p.b, p.bias, p.out, attr) : dnnl::matmul::primitive_desc(engine(), p.a, p.b, p.out, attr);
#else
    auto operation = call.bias ? dnnl::matmul::desc(p.a, p.b, p.bias, p.out) : dnnl::matmul::desc(p.a, p.b, p.out);
    dnnl::matmul::primitive_desc description(operation, attr, engine());
#endif
    p.scratchpad = description.scratchpad_desc();
    p.primitive = dnnl::matmul(description);
    p.usable = true;
  } catch (const dnnl::error&) {
    p.usable = false;  // for example bf16 on a CPU without AVX-512: the portable product does it
  }
  return p;
}

constexpr size_t kCacheLimit = 1024;

// std::map: entries stay where they are while others are added.
Primitive find_primitive(const MatmulCall& call, int64_t m, int64_t n, int64_t k) {
  static std::mutex* mutex = new std::mutex;
  static auto* cache = new std::map<Key, Primitive>;
  int types = static_cast<int>(call.a.dtype) * 4 + static_cast<int>(call.out.dtype);
  Key key{m, n, k, types, call.transpose_a, call.transpose_b, call.bias != nullptr, call.accumulate, threads()};
  std::lock_guard lock(*mutex);
  auto found = cache->find(key);
  if (found == cache->end()) {
    if (cache->size() >= kCacheLimit) cache->clear();
    found = cache->emplace(key, make_primitive(call, m, n, k)).first;
  }
  return found->second;
}

}  // namespace

const char* onednn_version() {
  static const std::string text = [] {
    const dnnl_version_t* v = dnnl::version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  }();
  return text.c_str();
}

bool onednn_matmul(const MatmulCall& call) {
  int64_t m = call.out.rows, n = call.out.cols, k = call.transpose_a ? call.a.rows : call.a.cols;
  if (k == 0) return false;
  omp_set_num_threads(threads());
  Primitive p = find_primitive(call, m, n, k);
  if (!p.usable) return false;
  static thread_local Scratch scratch;
  static thread_local dnnl::stream stream(engine());
  memory a(p.a, engine(), call.a.data), b(p.b, engine(), call.b.data), out(p.out, engine(), call.out.data);
  memory scratchpad(p.scratchpad, engine(), scratch.get<char>(static_cast<int64_t>(p.scratchpad.get_size()) + 64));
  std::unordered_map<int, memory> args{{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, out}, {DNNL_ARG_SCRATCHPAD, scratchpad}};
  if (call.bias) args.emplace(DNNL_ARG_BIAS, memory(p.bias, engine(), const_cast<float*>(call.bias)));
  try {
    p.primitive.execute(stream, args);
    stream.wait();
  } catch (const dnnl::error& e) {
    throw Error("ERR_GEMM", std::string("oneDNN could not run a matrix product: ") + e.what() + ".");
  }
  return true;
}

}  // namespace pk
#else
namespace pk {
const char* onednn_version() { return nullptr; }
bool onednn_matmul(const MatmulCall&) { return false; }
}  // namespace pk
#endif
