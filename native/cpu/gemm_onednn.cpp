// matmul by oneDNN (2.x and 3.x): one primitive per shape, cached; scratch memory is ours, per thread. Products in bfloat16 run
// 10-20 % faster on a weight in oneDNN's own blocked layout: callers keep one for the small batches of decoding (pack), and
// for batches large enough to pay for it the right-hand side is packed on the way.
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

constexpr int64_t kTypicalRows = 256;  // the layout of packed weights is chosen for this many rows, and serves any
constexpr int64_t kPackingPays = 1024;

// M, N, K, dtypes, transposes, bias, accumulate, threads.
using Key = std::tuple<int64_t, int64_t, int64_t, int, bool, bool, bool, bool, int>;

const dnnl::engine& engine() {
  static const dnnl::engine* cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *cpu;
}

memory::data_type type_of(DType t) { return t == DType::f32 ? memory::data_type::f32 : memory::data_type::bf16; }

dnnl::matmul::primitive_desc describe(const memory::desc& a, const memory::desc& b, const memory::desc& bias, const memory::desc& out,
                                      const dnnl::primitive_attr& attr) {
  bool biased = bias.get_size() > 0;
#if DNNL_VERSION_MAJOR >= 3
  return biased ? dnnl::matmul::primitive_desc(engine(), a, b, bias, out, attr) : dnnl::matmul::primitive_desc(engine(), a, b, out, attr);
#else
  auto operation = biased ? dnnl::matmul::desc(a, b, bias, out) : dnnl::matmul::desc(a, b, out);
  return dnnl::matmul::primitive_desc(operation, attr, engine());
#endif
}

memory::desc view(int64_t rows, int64_t cols, DType t, bool transposed) {
  return transposed ? memory::desc({rows, cols}, type_of(t), {1, rows}) : memory::desc({rows, cols}, type_of(t), {cols, 1});
}

// The layout of a packed weight [n, k]; no size when this CPU has no bfloat16 product.
memory::desc packed_layout(int64_t n, int64_t k) {
  static std::mutex* mutex = new std::mutex;
  static auto* layouts = new std::map<std::pair<int64_t, int64_t>, memory::desc>;
  std::lock_guard lock(*mutex);
  auto found = layouts->find({n, k});
  if (found != layouts->end()) return found->second;
  memory::desc layout;
  try {
    memory::desc any({k, n}, memory::data_type::bf16, memory::format_tag::any);
    layout = describe(view(kTypicalRows, k, DType::bf16, false), any, {}, view(kTypicalRows, n, DType::bf16, false), {}).weights_desc();
  } catch (const dnnl::error&) {
    layout = {};
  }
  return layouts->emplace(std::make_pair(n, k), layout).first->second;
}

Primitive make_primitive(const MatmulCall& call, int64_t m, int64_t n, int64_t k) {
  Primitive p;
  p.a = view(m, k, call.a.dtype, call.transpose_a);
  p.b = call.b.dtype == DType::packed ? packed_layout(n, k) : view(k, n, call.b.dtype, call.transpose_b);
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
    dnnl::matmul::primitive_desc description = describe(p.a, p.b, p.bias, p.out, attr);
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
  int types = (static_cast<int>(call.a.dtype) * 4 + static_cast<int>(call.b.dtype)) * 4 + static_cast<int>(call.out.dtype);
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

int64_t onednn_packed_bytes(int64_t n, int64_t k) { return n > 0 && k > 0 ? static_cast<int64_t>(packed_layout(n, k).get_size()) : 0; }

// b [n, k] when transposed, [k, n] otherwise.
void onednn_pack(void* packed, Tensor b, bool transposed) {
  int64_t n = transposed ? b.rows : b.cols, k = transposed ? b.cols : b.rows;
  static thread_local dnnl::stream stream(engine());
  memory from(view(k, n, b.dtype, transposed), engine(), b.data), to(packed_layout(n, k), engine(), packed);
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
}

bool onednn_matmul(const MatmulCall& given) {
  MatmulCall call = given;
  int64_t m = call.out.rows, n = call.out.cols, k = call.transpose_a ? call.a.rows : call.a.cols;
  if (k == 0) return false;
  omp_set_num_threads(threads());
  if (call.b.dtype == DType::bf16 && m >= kPackingPays && onednn_packed_bytes(n, k) > 0) {
    static thread_local Scratch packed;
    void* data = packed.get<char>(onednn_packed_bytes(n, k));
    onednn_pack(data, call.b, call.transpose_b);
    call.b = {data, DType::packed, n, k};
  }
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
int64_t onednn_packed_bytes(int64_t, int64_t) { return 0; }
void onednn_pack(void*, Tensor, bool) {}
}  // namespace pk
#endif
