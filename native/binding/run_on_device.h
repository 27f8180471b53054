// Running work on a device: on the CPU where the call is made, on CUDA in turn with all other jobs of the compute thread, as one
// stream and one scratch memory serve them all.
#pragma once
#include <string>
#include <utility>

#include "binding/exports.h"
#include "binding/worker.h"

namespace pk {

struct Nothing {};
inline Napi::Value finish_nothing(Napi::Env env, const Nothing&) { return env.Undefined(); }

// work(context) -> Result before this returns; finish(env, result) -> value.
template <class Work, class Finish>
Napi::Value run_at_once(Napi::Env env, const std::string& device, Work work, Finish finish) {
  JobContext context;
  decltype(work(context)) result{};
  try {
    if (device == "cuda")
      run_on_compute_thread([&] { result = work(context); });
    else
      result = work(context);
  } catch (...) {
    throw to_js_error(env, std::current_exception());
  }
  return finish(env, result);
}

}  // namespace pk
