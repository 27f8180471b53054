// planMemory(config, options, work): bytes that a model would allocate, by kind; nothing is allocated and no GPU is needed.
// cudaMemory(): free and total bytes of the GPU.
#include "binding/exports.h"
#include "binding/model_args.h"
#include "binding/worker.h"
#ifdef PRIMEKIT_CUDA
#include "cuda/device_memory.h"
#endif
#include "model/memory_plan.h"

namespace pk {

namespace {

Napi::Object to_js(Napi::Env env, std::initializer_list<std::pair<const char*, int64_t>> fields) {
  auto object = Napi::Object::New(env);
  for (auto& [name, bytes] : fields) object.Set(name, Napi::Number::New(env, static_cast<double>(bytes)));
  return object;
}

Napi::Value plan(const Napi::CallbackInfo& call) {
  ModelConfig config = read_config(call[0]);
  Napi::Object options = read_object(call[1], "options"), sizes = read_object(call[2], "work");
  DType dtype = read_dtype(options.Get("dtype"), "dtype"), moments = read_dtype(options.Get("moments"), "moments");
  bool recompute = read_bool(options.Get("recompute"), "recompute"), trainable = read_bool(options.Get("trainable"), "trainable");
  bool on_gpu = read_string(options.Get("device"), "device") == "cuda";
  auto size = [&](const char* name) { return read_integer(sizes.Get(name), name, 0, kMaxTokens); };
  PlannedWork work{size("trainTokens"), size("scoreTokens"), size("slots"), size("promptTokens"), size("newTokens")};
  MemoryPlan p = plan_memory(config, dtype, recompute, trainable, moments, work, on_gpu ? nullptr : &cpu_backend());
  return to_js(call.Env(), {{"weights", p.weights},
                            {"rounded", p.rounded},
                            {"gradients", p.gradients},
                            {"moments", p.moments},
                            {"activations", p.activations},
                            {"cache", p.cache},
                            {"decoding", p.decoding},
                            {"scratch", p.scratch}});
}

Napi::Value cuda_memory(const Napi::CallbackInfo& call) {
#ifdef PRIMEKIT_CUDA
  try {
    backend_of("cuda");  // free is what is left beside this process's own context
    DeviceMemory memory = cuda_device_memory();
    return to_js(call.Env(), {{"free", memory.free}, {"total", memory.total}});
  } catch (const std::exception&) {
    throw to_js_error(call.Env(), std::current_exception());
  }
#else
  throw to_js_error(call.Env(), std::make_exception_ptr(Error("ERR_UNSUPPORTED", "This build of the addon has no CUDA backend.")));
#endif
}

}  // namespace

void export_plan(Napi::Env env, Napi::Object exports) {
  exports.Set("planMemory", Napi::Function::New(env, plan, "planMemory"));
  exports.Set("cudaMemory", Napi::Function::New(env, cuda_memory, "cudaMemory"));
}

}  // namespace pk
