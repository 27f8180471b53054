#include "core/arena.h"

namespace pk {

Arena::~Arena() { release(); }

void Arena::release() {
  if (data_) memory_->release(data_);
  data_ = nullptr;
  used_ = capacity_ = 0;
}

void Arena::reset() { used_ = 0; }

void Arena::allocate() {
  int64_t need = used_;
  if (need > capacity_) {
    release();
    data_ = static_cast<char*>(memory_->allocate(need));
    capacity_ = need;
  }
  used_ = 0;
}

Tensor Arena::take(DType dtype, int64_t rows, int64_t cols) {
  int64_t bytes = (rows * cols * dtype_size(dtype) + 63) / 64 * 64;
  char* at = data_ ? data_ + used_ : nullptr;
  used_ += bytes;
  if (data_ && used_ > capacity_) at = nullptr;  // counting pass of a larger layout
  return {at, dtype, rows, cols};
}

}  // namespace pk
