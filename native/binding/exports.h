// One function per binding file, each adding its exports.
#pragma once
#include <napi.h>

#include "ops/backend.h"

namespace pk {

Backend& cpu_backend();  // the process's CPU backend
void export_info(Napi::Env env, Napi::Object exports);
void export_logprobs(Napi::Env env, Napi::Object exports);  // called by export_kernels
void export_kernels(Napi::Env env, Napi::Object exports);
void export_model(Napi::Env env, Napi::Object exports);
void export_ops(Napi::Env env, Napi::Object exports);
void export_optimizer_and_decode_ops(Napi::Env env, Napi::Object ops);  // called by export_ops

}  // namespace pk
