#include "core/arena.h"

namespace pk {

Arena::~Arena() { release(); }

void Arena::release() {
  if (data_) memory_->release(data_);
  if (pinned_) memory_->release_pinned(pinned_);
  data_ = nullptr;
  pinned_ = nullptr;
  parked_ = false;
  used_ = capacity_ = pinned_capacity_ = 0;
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

void Arena::start_parking() {
  if (!data_) return;
  if (!pinned_) {
    pinned_ = memory_->allocate_pinned(capacity_);
    pinned_capacity_ = capacity_;
  }
  memory_->start_copy_to_pinned(pinned_, data_, capacity_);
}

void Arena::park() {
  if (!data_) return;
  memory_->release(data_);
  data_ = nullptr;
  parked_ = true;
}

void Arena::unpark() {
  if (!parked_) return;
  data_ = static_cast<char*>(memory_->allocate(pinned_capacity_));
  memory_->start_copy_from_pinned(data_, pinned_, pinned_capacity_);
  parked_ = false;
  used_ = 0;
}

}  // namespace pk
