// Memory: where a backend's buffers live. The part of a backend that arenas need.
#pragma once
#include <cstdint>

namespace pk {

class Memory {
 public:
  virtual ~Memory() = default;
  virtual void* allocate(int64_t bytes) = 0;  // 64-byte aligned, zeroed; throws ERR_OUT_OF_MEMORY
  virtual void release(void* data) noexcept = 0;
  virtual void zero(void* data, int64_t bytes) = 0;
  virtual void copy(void* to, const void* from, int64_t bytes) = 0;  // within the backend
  virtual void copy_from_host(void* to, const void* from, int64_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, int64_t bytes) = 0;
};

}  // namespace pk
