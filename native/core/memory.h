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

  // Moving things out of a device's memory for a while (Arena::park). Where this is the host's memory already, there is nothing to gain.
  virtual bool is_host() const { return true; }
  virtual void* allocate_pinned(int64_t bytes) { return allocate(bytes); }  // of the host, page-locked: copies go at full speed, beside the CPU's work
  virtual void release_pinned(void* data) noexcept { release(data); }
  virtual void start_copy_to_pinned(void* to, const void* from, int64_t bytes) { copy(to, from, bytes); }    // in order with all other work;
  virtual void start_copy_from_pinned(void* to, const void* from, int64_t bytes) { copy(to, from, bytes); }  // done when wait() returns
  virtual void wait() {}
};

}  // namespace pk
