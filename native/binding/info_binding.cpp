// info(): what this build can do, in plain values. setThreads(n): threads of native work.
#include "binding/args.h"
#include "binding/exports.h"
#include "core/parallel.h"
#include "cpu/cpu_backend.h"

namespace pk {

static Napi::Value info(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  auto result = Napi::Object::New(env);
  auto features = Napi::Array::New(env);
  uint32_t n = 0;
  __builtin_cpu_init();
#define PK_FEATURE(name) \
  if (__builtin_cpu_supports(name)) features.Set(n++, Napi::String::New(env, name))
#if defined(__x86_64__)
  PK_FEATURE("avx2");
  PK_FEATURE("fma");
  PK_FEATURE("avx512f");
  PK_FEATURE("avx512bf16");
#endif
#undef PK_FEATURE
  result.Set("cpuFeatures", features);
  result.Set("gemm", gemm_name());
  result.Set("threads", threads());
  return result;
}

static Napi::Value set_threads_binding(const Napi::CallbackInfo& call) {
  set_threads(static_cast<int>(read_integer(call[0], "threads", 0, 1024)));
  return call.Env().Undefined();
}

void export_info(Napi::Env env, Napi::Object exports) {
  exports.Set("info", Napi::Function::New(env, info, "info"));
  exports.Set("setThreads", Napi::Function::New(env, set_threads_binding, "setThreads"));
}

}  // namespace pk
