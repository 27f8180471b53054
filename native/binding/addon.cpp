// The addon's list of exports.
#include "binding/cuda_probe.h"
#include "binding/exports.h"
#include "core/error.h"

namespace pk {

Backend& cpu_backend() {
  static Backend* backend = make_cpu_backend().release();  // leaked: a job may outlive static destructors
  return *backend;
}

#ifdef PRIMEKIT_CUDA
static Backend* make_gpu_backend() {
  CudaProbe probe = probe_cuda();
  if (probe.devices.empty()) throw Error("ERR_UNSUPPORTED", probe.state + " Use device \"cpu\".");
  return make_cuda_backend().release();
}
#endif

Backend& backend_of(const std::string& device) {
  if (device == "cpu") return cpu_backend();
#ifdef PRIMEKIT_CUDA
  static Backend* backend = make_gpu_backend();  // leaked, as the other; tried again when it failed
  return *backend;
#else
  throw Error("ERR_UNSUPPORTED",
              "This build of the addon has no CUDA backend: build it where nvcc is installed, with PRIMEKIT_CUDA=on, or use device \"cpu\".");
#endif
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  export_info(env, exports);
  export_device_array(env, exports);
  export_kernels(env, exports);
  export_model(env, exports);
  export_plan(env, exports);
  export_ops(env, exports);
  return exports;
}

}  // namespace pk

static Napi::Object primekit_init(Napi::Env env, Napi::Object exports) { return pk::init(env, exports); }
NODE_API_MODULE(primekit, primekit_init)
