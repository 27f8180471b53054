// Uploads: short arrays of the host (token ids, offsets, places) in a backend's memory, where ops expect their arguments.
#pragma once
#include <cstring>
#include <initializer_list>
#include <vector>

#include "core/arena.h"

namespace pk {

class Uploads {
 public:
  explicit Uploads(Memory& memory) : memory_(memory), arena_(memory) {}

  // An array, and where to put the pointer to its copy.
  struct Item {
    template <class T>
    Item(const std::vector<T>& array, const T*& place)
        : data(array.data()), bytes(static_cast<int64_t>(array.size() * sizeof(T))), place(reinterpret_cast<const void**>(&place)) {}
    const void* data;
    int64_t bytes;
    const void** place;
  };

  // All of them in one copy. Pointers of an earlier send() are no longer valid.
  void send(std::initializer_list<Item> items) {
    host_.clear();
    for (const Item& item : items) {
      size_t at = host_.size();
      host_.resize(at + static_cast<size_t>((item.bytes + 63) / 64 * 64));
      if (item.bytes > 0) std::memcpy(host_.data() + at, item.data, static_cast<size_t>(item.bytes));
    }
    arena_.reset();
    arena_.take(DType::f32, 1, static_cast<int64_t>(host_.size()) / 4 + 16);
    arena_.allocate();
    char* to = static_cast<char*>(arena_.data());
    memory_.copy_from_host(to, host_.data(), static_cast<int64_t>(host_.size()));
    for (const Item& item : items) {
      *item.place = to;
      to += (item.bytes + 63) / 64 * 64;
    }
  }

  void release() { arena_.release(); }

 private:
  Memory& memory_;
  Arena arena_;
  std::vector<char> host_;
};

}  // namespace pk
