// The caller's CUDA stream beside the backend's own: what orders the work of the two. In builds without CUDA nothing here is used.
#pragma once
#include <memory>

#include "ops/backend.h"

namespace pk {

class CallerStream {
 public:
  virtual ~CallerStream() = default;
  virtual void before() = 0;  // the backend's next op waits for what is in the caller's stream
  virtual void after() = 0;   // what comes next in the caller's stream waits for the backend's ops
};

// backend must be one made by make_cuda_backend(). Throws as every CUDA call does.
std::unique_ptr<CallerStream> follow_stream(Backend& backend, void* stream);

}  // namespace pk
