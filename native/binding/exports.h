// One function per binding file, each adding its exports.
#pragma once
#include <napi.h>

#include <string>

#include "ops/backend.h"

namespace pk {

Backend& cpu_backend();                          // the process's CPU backend
Backend& backend_of(const std::string& device);  // "cpu" or "cuda"; ERR_UNSUPPORTED where there is no such thing
void export_info(Napi::Env env, Napi::Object exports);
void export_device_array(Napi::Env env, Napi::Object exports);
void export_logprobs(Napi::Env env, Napi::Object exports);  // called by export_kernels
void export_kernels(Napi::Env env, Napi::Object exports);
void export_model(Napi::Env env, Napi::Object exports);
void export_plan(Napi::Env env, Napi::Object exports);
void export_ops(Napi::Env env, Napi::Object exports);
void export_optimizer_and_decode_ops(Napi::Env env, Napi::Object ops);  // called by export_ops

}  // namespace pk
