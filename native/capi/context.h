// pk_context, and how its functions run: checks and ops throw as everywhere, and what they throw becomes a status and a sentence.
#pragma once
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "capi/caller_stream.h"
#include "core/error.h"
#include "ops/backend.h"
#include "primekit.h"

struct pk_context {
  std::unique_ptr<pk::Backend> backend;
  std::unique_ptr<pk::CallerStream> stream;  // on CUDA
  bool on_cpu = true;
  char error[512] = "";  // fixed, as keeping an error must not fail itself
};

namespace pk::capi {

inline thread_local char error_without_context[512] = "";

inline pk_status status_of(const std::string& code) {
  if (code == "ERR_INVALID_ARGUMENT") return PK_INVALID_ARGUMENT;
  if (code == "ERR_UNSUPPORTED") return PK_UNSUPPORTED;
  if (code == "ERR_OUT_OF_MEMORY") return PK_OUT_OF_MEMORY;
  if (code == "ERR_DEVICE_LOST") return PK_DEVICE_LOST;
  return PK_FAILED;
}

// body(), with whatever it throws turned into a status and the text of `error`.
template <class Body>
pk_status guarded(char (&error)[512], const Body& body) noexcept {
  auto keep = [&](pk_status status, const char* text) {
    std::snprintf(error, sizeof error, "%s", text);
    return status;
  };
  try {
    body();
    error[0] = '\0';
    return PK_OK;
  } catch (const Error& e) {
    return keep(status_of(e.code()), e.what());
  } catch (const std::bad_alloc&) {
    return keep(PK_OUT_OF_MEMORY, "There is not enough memory.");
  } catch (const std::exception& e) {
    return keep(PK_FAILED, e.what());
  } catch (...) {
    return keep(PK_FAILED, "An unknown error was thrown.");
  }
}

// body(backend, checks_indices): an op of the context, in order with the caller's stream.
template <class Body>
pk_status run(pk_context* context, const Body& body) noexcept {
  if (!context) return guarded(error_without_context, [] { throw Error("ERR_INVALID_ARGUMENT", "context must not be NULL."); });
  return guarded(context->error, [&] {
    if (context->stream) context->stream->before();
    body(*context->backend, context->on_cpu);
    if (context->stream) context->stream->after();
  });
}

}  // namespace pk::capi
