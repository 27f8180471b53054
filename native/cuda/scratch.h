// Device memory for the length of one op. Ops run in stream order, so the next op may reuse what this one still works on.
#pragma once
#include <cstdint>
#include <vector>

namespace pk::cuda {

class Scratch {
 public:
  Scratch() = default;
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void reset();  // a new op: what was taken before is free again
  // 256-byte aligned, contents undefined. Throws ERR_OUT_OF_MEMORY.
  template <class T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(count * static_cast<int64_t>(sizeof(T))));
  }
  int64_t bytes() const;
  int64_t generation() const { return generation_; }  // changes when memory is taken or given back: recorded launches are then stale

 private:
  struct Block {
    char* data;
    int64_t size;
  };
  void* take_bytes(int64_t bytes);
  void free_blocks() noexcept;
  std::vector<Block> blocks_;  // usually one; more until the next op when one did not suffice
  int64_t used_ = 0;           // of the last block
  int64_t generation_ = 0;
};

}  // namespace pk::cuda
