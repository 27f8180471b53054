// Memory of the CPU backend.
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/parallel.h"
#include "cpu/cpu_backend.h"

namespace pk {

namespace {

// Before every block: how many bytes it has, itself included. Large blocks are mapped, so that memory nobody touches (most of a
// cache sized for the longest answers) costs nothing and allocation takes no time; under a sanitizer all come from the heap.
constexpr size_t kHeader = 64;
constexpr size_t kHuge = size_t{4} << 20, kTouched = size_t{512} << 20;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kMapped = SIZE_MAX;
#else
constexpr size_t kMapped = size_t{1} << 20;
#endif

}  // namespace

void* CpuBackend::allocate(int64_t bytes) {
  size_t total = (static_cast<size_t>(bytes) + 63) / 64 * 64 + kHeader;
  void* block = nullptr;
  if (total >= kMapped) {
    block = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) block = nullptr;
    // Huge pages save most page faults; for giant blocks they would also fill what nobody touches.
    if (block && total >= kHuge && total <= kTouched) madvise(block, total, MADV_HUGEPAGE);
  } else {
    block = std::aligned_alloc(64, total);
    if (block) std::memset(block, 0, total);
  }
  if (!block) throw Error("ERR_OUT_OF_MEMORY", "The CPU could not allocate " + std::to_string(bytes) + " bytes.");
  *static_cast<size_t*>(block) = total;
  return static_cast<char*>(block) + kHeader;
}

void CpuBackend::release(void* data) noexcept {
  if (!data) return;
  void* block = static_cast<char*>(data) - kHeader;
  size_t total = *static_cast<size_t*>(block);
  if (total >= kMapped) {
    munmap(block, total);
  } else {
    std::free(block);
  }
}

void CpuBackend::zero(void* data, int64_t bytes) {
  parallel_for(bytes, 1 << 20, [&](int64_t begin, int64_t end) { std::memset(static_cast<char*>(data) + begin, 0, end - begin); });
}

void CpuBackend::copy(void* to, const void* from, int64_t bytes) {
  parallel_for(bytes, 1 << 20,
               [&](int64_t begin, int64_t end) { std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, end - begin); });
}

void CpuBackend::copy_from_host(void* to, const void* from, int64_t bytes) { copy(to, from, bytes); }
void CpuBackend::copy_to_host(void* to, const void* from, int64_t bytes) { copy(to, from, bytes); }

std::unique_ptr<Backend> make_cpu_backend() { return std::make_unique<CpuBackend>(); }

}  // namespace pk
