#include "binding/exports.h"

namespace pk {

void export_model(Napi::Env, Napi::Object) {}

}  // namespace pk
