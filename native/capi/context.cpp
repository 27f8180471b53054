// Making and destroying contexts, and what is said of errors and versions.
#include "capi/context.h"

#include <cstring>

using pk::Error;

namespace {

std::unique_ptr<pk_context> make_context(const char* device, void* stream) {
  if (!device) throw Error("ERR_INVALID_ARGUMENT", "device must not be NULL.");
  auto context = std::make_unique<pk_context>();
  if (std::strcmp(device, "cpu") == 0) {
    if (stream) throw Error("ERR_INVALID_ARGUMENT", "stream must be NULL with device \"cpu\".");
    context->backend = pk::make_cpu_backend();
    return context;
  }
  if (std::strcmp(device, "cuda") != 0) throw Error("ERR_INVALID_ARGUMENT", std::string("device must be \"cpu\" or \"cuda\", but is \"") + device + "\".");
#ifdef PRIMEKIT_CUDA
  context->backend = pk::make_cuda_backend();
  context->stream = pk::follow_stream(*context->backend, stream);
  context->on_cpu = false;
  return context;
#else
  throw Error("ERR_UNSUPPORTED",
              "This build of the library has no CUDA backend: build it where nvcc is installed, with PRIMEKIT_CUDA=on, or use device \"cpu\".");
#endif
}

}  // namespace

extern "C" {

int32_t pk_abi_version(void) { return PK_ABI_VERSION; }

pk_status pk_context_create(const char* device, void* stream, pk_context** context) {
  return pk::capi::guarded(pk::capi::error_without_context, [&] {
    if (!context) throw Error("ERR_INVALID_ARGUMENT", "context must not be NULL.");
    *context = nullptr;
    *context = make_context(device, stream).release();
  });
}

void pk_context_destroy(pk_context* context) { delete context; }

const char* pk_last_error(const pk_context* context) { return context ? context->error : pk::capi::error_without_context; }
}
