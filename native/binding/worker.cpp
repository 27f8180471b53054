#include "binding/worker.h"

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>

#include "binding/args.h"

namespace pk {

namespace {

struct Queue {
  std::mutex mutex;
  std::condition_variable ready;
  std::deque<std::function<void()>> jobs;
};

[[noreturn]] void compute_loop(Queue& queue) {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(queue.mutex);
      queue.ready.wait(lock, [&] { return !queue.jobs.empty(); });
      job = std::move(queue.jobs.front());
      queue.jobs.pop_front();
    }
    job();
  }
}

// Leaked on purpose: destroying it at exit would race with a running job.
Queue& compute_queue() {
  static Queue* queue = [] {
    auto* q = new Queue;
    std::thread([q] { compute_loop(*q); }).detach();
    return q;
  }();
  return *queue;
}

}  // namespace

void post_to_compute_thread(std::function<void()> job) {
  Queue& queue = compute_queue();
  {
    std::lock_guard lock(queue.mutex);
    queue.jobs.push_back(std::move(job));
  }
  queue.ready.notify_one();
}

void run_on_compute_thread(const std::function<void()>& job) {
  std::promise<void> done;
  post_to_compute_thread([&] {
    try {
      job();
      done.set_value();
    } catch (...) {
      done.set_exception(std::current_exception());
    }
  });
  done.get_future().get();
}

Napi::Error to_js_error(Napi::Env env, std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& e) {
    if (e.code() == "ERR_INVALID_ARGUMENT") return range_error(env, e.what());
    Napi::Error error = Napi::Error::New(env, e.what());
    error.Set("code", Napi::String::New(env, e.code()));
    return error;
  } catch (const Napi::Error& e) {
    return e;
  } catch (const std::bad_alloc&) {
    Napi::Error error = Napi::Error::New(env, "The native job ran out of memory.");
    error.Set("code", Napi::String::New(env, "ERR_OUT_OF_MEMORY"));
    return error;
  } catch (const std::exception& e) {
    Napi::Error error = Napi::Error::New(env, e.what());
    error.Set("code", Napi::String::New(env, "ERR_NATIVE"));
    return error;
  }
}

namespace detail {

Napi::Promise start(Napi::Env env, std::unique_ptr<Pending> pending, JobOptions options, std::function<void(Pending&)> work) {
  if (!absent(options.cancel)) {
    // A SharedArrayBuffer cannot be detached, so the flag stays readable as long as the job runs.
    Span<int32_t> flag = read_array<int32_t>(options.cancel, "cancel");
    if (flag.size < 1 || options.cancel.As<Napi::TypedArray>().Get("buffer").IsArrayBuffer())
      throw type_error(env, "cancel must be an Int32Array on a SharedArrayBuffer, of at least one element.");
    pending->context.cancel = reinterpret_cast<const std::atomic<int32_t>*>(flag.data);
    pending->keep.push_back(Napi::Reference<Napi::Value>::New(options.cancel, 1));
  }
  bool wants_progress = options.progress.IsFunction();
  Napi::Function callback = wants_progress ? options.progress.As<Napi::Function>() : Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  auto tsfn = Napi::ThreadSafeFunction::New(env, callback, "primekit job", 0, 1);
  if (wants_progress) {
    pending->context.progress = [tsfn](int64_t done, int64_t total) mutable {
      tsfn.NonBlockingCall([done, total](Napi::Env e, Napi::Function js) {
        js.Call({Napi::Number::New(e, static_cast<double>(done)), Napi::Number::New(e, static_cast<double>(total))});
      });
    };
  }
  Napi::Promise promise = pending->deferred.Promise();
  // Pending holds JavaScript references, so it must be destroyed on the JavaScript thread: the completion owns it.
  Pending* holder = pending.release();
  post_to_compute_thread([holder, tsfn, work = std::move(work)]() mutable {
    Pending& p = *holder;
    try {
      p.context.check();
      work(p);
    } catch (...) {
      p.failure = std::current_exception();
    }
    napi_status status = tsfn.BlockingCall([holder](Napi::Env e, Napi::Function) {
      std::unique_ptr<Pending> owned(holder);
      Pending& done = *owned;
      Napi::HandleScope scope(e);
      if (!done.failure) {
        try {
          done.deferred.Resolve(done.finish(e));
          return;
        } catch (...) {
          done.failure = std::current_exception();
        }
      }
      done.deferred.Reject(to_js_error(e, done.failure).Value());
    });
    (void)status;  // napi_closing: the environment is gone, and with it whoever waited; the holder is left to the process
    tsfn.Release();
  });
  return promise;
}

}  // namespace detail

}  // namespace pk
