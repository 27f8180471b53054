// How fast this machine's memory is: the floor that benchmarks compare with.
#pragma once
#include <cstdint>

namespace pk {

struct Bandwidth {
  double read, copy;  // bytes per second; a copy counts the bytes read and the bytes written
};

// Best of `repeats` runs over `bytes` of memory, on all threads.
Bandwidth measure_bandwidth(int64_t bytes, int repeats);

}  // namespace pk
