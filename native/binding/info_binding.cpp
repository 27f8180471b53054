// info(): what this build and this CPU can do. cudaState(): the NVIDIA driver, in words. setThreads(n): threads of native work.
#include "binding/args.h"
#include "binding/cuda_probe.h"
#include "binding/exports.h"
#include "core/parallel.h"
#include "cpu/cpu_backend.h"

namespace pk {

static Napi::Array to_array(Napi::Env env, const std::vector<std::string>& texts) {
  auto array = Napi::Array::New(env, texts.size());
  for (uint32_t i = 0; i < texts.size(); ++i) array.Set(i, Napi::String::New(env, texts[i]));
  return array;
}

// Instruction sets that matter for matrix products, as the running CPU reports them.
static std::vector<std::string> cpu_features() {
  std::vector<std::string> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
#define PK_FEATURE(name) \
  if (__builtin_cpu_supports(name)) found.push_back(name)
  PK_FEATURE("sse4.2");
  PK_FEATURE("avx2");
  PK_FEATURE("fma");
  PK_FEATURE("avx512f");
  PK_FEATURE("avx512bw");
  PK_FEATURE("avx512vnni");
  PK_FEATURE("avx512bf16");
#undef PK_FEATURE
#elif defined(__ARM_NEON)
  found.push_back("neon");
#endif
  return found;
}

static std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

static Napi::Value info(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  auto result = Napi::Object::New(env);
  result.Set("cpuFeatures", to_array(env, cpu_features()));
  result.Set("gemm", gemm_name());
  result.Set("threads", threads());
  result.Set("compiler", compiler());
#ifdef PRIMEKIT_NVCC
  result.Set("nvcc", PRIMEKIT_NVCC);
#endif
#ifdef PRIMEKIT_CUDA
  result.Set("cudaBackend", true);
#else
  result.Set("cudaBackend", false);
#endif
  return result;
}

static Napi::Value cuda_state(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  CudaProbe probe = probe_cuda();
  auto result = Napi::Object::New(env);
  result.Set("driverLibrary", probe.driver_library);
  result.Set("driverVersion", probe.driver_version);
  result.Set("devices", to_array(env, probe.devices));
  result.Set("state", probe.state);
  return result;
}

static Napi::Value set_threads_binding(const Napi::CallbackInfo& call) {
  set_threads(static_cast<int>(read_integer(call[0], "threads", 0, 1024)));
  return call.Env().Undefined();
}

void export_info(Napi::Env env, Napi::Object exports) {
  exports.Set("info", Napi::Function::New(env, info, "info"));
  exports.Set("cudaState", Napi::Function::New(env, cuda_state, "cudaState"));
  exports.Set("setThreads", Napi::Function::New(env, set_threads_binding, "setThreads"));
}

}  // namespace pk
