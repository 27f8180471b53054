#include "binding/exports.h"

namespace pk {

void export_kernels(Napi::Env, Napi::Object) {}

}  // namespace pk
