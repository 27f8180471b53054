// The compute thread and the one template by which a binding runs a long job on it and returns a Promise.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "core/job.h"

namespace pk {

// Runs `job` on the process's one compute thread, after all jobs posted before it. Never joins: a process may exit mid-job.
void post_to_compute_thread(std::function<void()> job);

// Runs `job` there and waits for it; what it throws is thrown here.
void run_on_compute_thread(const std::function<void()>& job);

// A JavaScript Error for whatever a job threw; pk::Error keeps its code.
Napi::Error to_js_error(Napi::Env env, std::exception_ptr failure);

// What the caller may pass to a long call: an Int32Array of one element that stops the job when non-zero, and progress(done, total).
struct JobOptions {
  Napi::Value cancel;    // Int32Array or undefined
  Napi::Value progress;  // function or undefined
};

namespace detail {
struct Pending {
  Napi::Promise::Deferred deferred;
  std::vector<Napi::Reference<Napi::Value>> keep;  // arguments the job reads, kept alive until it ends
  std::function<Napi::Value(Napi::Env)> finish;    // on the JavaScript thread
  std::exception_ptr failure;
  JobContext context;
  explicit Pending(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}
};
Napi::Promise start(Napi::Env env, std::unique_ptr<Pending> pending, JobOptions options, std::function<void(Pending&)> work);
}  // namespace detail

// work(context) -> Result on the compute thread; finish(env, result) -> value on the JavaScript thread; `keep` stays alive throughout.
template <class Work, class Finish>
Napi::Promise run_job(Napi::Env env, JobOptions options, std::vector<Napi::Value> keep, Work work, Finish finish) {
  using Result = decltype(work(std::declval<JobContext&>()));
  auto pending = std::make_unique<detail::Pending>(env);
  for (auto& value : keep) pending->keep.push_back(Napi::Reference<Napi::Value>::New(value, 1));
  return detail::start(env, std::move(pending), options, [work = std::move(work), finish = std::move(finish)](detail::Pending& p) mutable {
    auto result = std::make_shared<Result>(work(p.context));
    p.finish = [result, finish = std::move(finish)](Napi::Env e) mutable { return finish(e, *result); };
  });
}

}  // namespace pk
