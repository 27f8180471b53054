// Arena: one allocation per kind of memory, from which named views are cut; freed as a whole by its owner.
#pragma once
#include <cstdint>

#include "core/memory.h"
#include "core/tensor.h"

namespace pk {

class Arena {
 public:
  Arena() = default;
  explicit Arena(Memory& memory) : memory_(&memory) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Two passes: with no memory yet, take() only counts; after allocate() it hands out views.
  void reset();
  void allocate();
  Tensor take(DType dtype, int64_t rows, int64_t cols);
  void release();

  // Moving the contents to the host's pinned memory and back. The first starts the copy; after Memory::wait(), park() gives the device's
  // memory back. unpark() allocates it anew (views are cut again) and may be tried again when it throws. The pinned memory stays for the next time.
  void start_parking();
  void park();
  void unpark();

  int64_t bytes() const { return data_ ? capacity_ : 0; }
  int64_t pinned_bytes() const { return pinned_ ? pinned_capacity_ : 0; }
  int64_t taken() const { return used_; }  // since reset() or allocate(); of an arena without memory, what a layout would need
  void* data() const { return data_; }

 private:
  Memory* memory_ = nullptr;
  char* data_ = nullptr;
  int64_t used_ = 0;
  int64_t capacity_ = 0;
  void* pinned_ = nullptr;
  int64_t pinned_capacity_ = 0;
  bool parked_ = false;
};

}  // namespace pk
