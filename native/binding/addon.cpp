// The addon's list of exports.
#include "binding/exports.h"

namespace pk {

Backend& cpu_backend() {
  static Backend* backend = make_cpu_backend().release();  // leaked: a job may outlive static destructors
  return *backend;
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  export_info(env, exports);
  export_kernels(env, exports);
  export_model(env, exports);
  export_ops(env, exports);
  return exports;
}

}  // namespace pk

static Napi::Object primekit_init(Napi::Env env, Napi::Object exports) { return pk::init(env, exports); }
NODE_API_MODULE(primekit, primekit_init)
