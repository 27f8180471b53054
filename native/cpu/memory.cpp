// Memory of the CPU backend.
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/parallel.h"
#include "cpu/cpu_backend.h"

namespace pk {

void* CpuBackend::allocate(int64_t bytes) {
  size_t size = static_cast<size_t>((bytes + 63) / 64 * 64);
  // calloc would hand out untouched zero pages too, but not 64-byte aligned ones.
  void* data = std::aligned_alloc(64, size ? size : 64);
  if (!data) throw Error("ERR_OUT_OF_MEMORY", "The CPU could not allocate " + std::to_string(bytes) + " bytes.");
  zero(data, static_cast<int64_t>(size));
  return data;
}

void CpuBackend::release(void* data) noexcept { std::free(data); }

void CpuBackend::zero(void* data, int64_t bytes) {
  parallel_for(bytes, 1 << 20, [&](int64_t begin, int64_t end) { std::memset(static_cast<char*>(data) + begin, 0, end - begin); });
}

void CpuBackend::copy(void* to, const void* from, int64_t bytes) {
  parallel_for(bytes, 1 << 20, [&](int64_t begin, int64_t end) { std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, end - begin); });
}

void CpuBackend::copy_from_host(void* to, const void* from, int64_t bytes) { copy(to, from, bytes); }
void CpuBackend::copy_to_host(void* to, const void* from, int64_t bytes) { copy(to, from, bytes); }

std::unique_ptr<Backend> make_cpu_backend() { return std::make_unique<CpuBackend>(); }

}  // namespace pk
