// Per-thread scratch memory that grows and is kept, so that hot ops do not allocate.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <new>

namespace pk {

class Scratch {
 public:
  ~Scratch() { std::free(data_); }
  // 64-byte aligned, contents undefined.
  template <class T>
  T* get(int64_t count) {
    int64_t bytes = (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    if (bytes > capacity_) {
      std::free(data_);
      data_ = std::aligned_alloc(64, static_cast<size_t>(bytes));
      capacity_ = data_ ? bytes : 0;
      if (!data_) throw std::bad_alloc();
    }
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  int64_t capacity_ = 0;
};

}  // namespace pk
