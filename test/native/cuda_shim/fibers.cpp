#include "fibers.h"

#include <sys/mman.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuda_shim {

namespace {

constexpr size_t kStack = 256 << 10;
constexpr int kMaxThreads = 1024;
constexpr size_t kSharedAlignment = 1024;
constexpr size_t kMaxShared = 227 << 10, kDefaultShared = 48 << 10;

// --- switching stacks -------------------------------------------------------------------------------------------------

#if defined(__x86_64__)
using Context = void*;  // the stack pointer, below which the callee-saved registers lie
extern "C" void pk_fiber_switch(void** save, void* load);
asm(R"(
.text
.globl pk_fiber_switch
.type pk_fiber_switch,@function
pk_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size pk_fiber_switch,.-pk_fiber_switch
)");
void make_context(Context& context, char* stack, void (*entry)()) {
  void** top = reinterpret_cast<void**>(stack + kStack) - 3;  // so that the entry function finds the stack aligned as after a call
  *top = nullptr;                                             // the entry function's return address: it never returns
  *--top = reinterpret_cast<void*>(entry);                    // where the first switch "returns" to
  for (int i = 0; i < 6; ++i) *--top = nullptr;               // callee-saved registers
  context = top;
}
void switch_context(Context& save, Context& load) { pk_fiber_switch(&save, load); }
#else
using Context = ucontext_t;
void make_context(Context& context, char* stack, void (*entry)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = kStack;
  context.uc_link = nullptr;
  makecontext(&context, entry, 0);
}
void switch_context(Context& save, Context& load) { swapcontext(&save, &load); }
#endif

// --- threads of a block -----------------------------------------------------------------------------------------------

enum class State { fresh, ready, at_block_barrier, at_warp, done };

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};

struct Fiber {
  dim3 index;
  int linear = 0;
  State state = State::fresh;
  Context context;
  char* stack = nullptr;
  unsigned mask = 0;  // of the warp operation it waits at
  std::vector<Copy> copies;
  std::deque<std::vector<Copy>> copy_groups;
};

struct Warp {
  int arrived = 0;
  int parity = 0;
  alignas(16) unsigned char values[2][32 * kLaneBytes];
};

struct Machine {
  std::vector<Fiber> fibers = std::vector<Fiber>(kMaxThreads);
  std::vector<Warp> warps = std::vector<Warp>(kMaxThreads / 32);
  std::vector<char*> stacks;  // free ones
  std::vector<unsigned char> shared;
  std::map<const void*, size_t> allowed_shared;
  const std::function<void()>* body = nullptr;
  Context scheduler;
  Fiber* running = nullptr;
  std::string failure;
};

Machine& machine() {
  static Machine instance;
  return instance;
}

char* take_stack(Machine& m) {
  if (m.stacks.empty()) {
    void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(stack);
  }
  char* stack = m.stacks.back();
  m.stacks.pop_back();
  return stack;
}

void yield(State state) {
  Machine& m = machine();
  Fiber* self = m.running;
  self->state = state;
  switch_context(self->context, m.scheduler);
}

void fiber_main() {
  (*machine().body)();
  yield(State::done);
}

// Lets a fiber run until it waits or ends.
void resume(Machine& m, Fiber& fiber) {
  if (fiber.state == State::fresh) {
    fiber.stack = take_stack(m);
    make_context(fiber.context, fiber.stack, fiber_main);
  }
  m.running = &fiber;
  threadIdx = fiber.index;
  linear_thread = fiber.linear;
  switch_context(m.scheduler, fiber.context);
  if (fiber.state == State::done) {
    m.stacks.push_back(fiber.stack);
    fiber.stack = nullptr;
  }
}

// Runs the lanes of a warp until all of them wait at the block's barrier or are done.
void run_warp(Machine& m, int begin, int end) {
  Warp& warp = m.warps[static_cast<size_t>(begin / 32)];
  for (;;) {
    unsigned waiting = 0, here = 0, live = 0;
    for (int i = begin; i < end; ++i) {
      Fiber& fiber = m.fibers[static_cast<size_t>(i)];
      if (fiber.state == State::fresh || fiber.state == State::ready) resume(m, fiber);
      if (!m.failure.empty()) throw std::logic_error(m.failure);
      if (fiber.state == State::at_warp) waiting |= 1u << (i - begin);
      if (fiber.state == State::done) continue;
      live |= 1u << (i - begin);
      if (fiber.state == State::at_block_barrier) here |= 1u << (i - begin);
    }
    if (waiting == 0) return;
    // The lanes that wait must be exactly the lanes named in the mask.
    for (int i = begin; i < end; ++i) {
      Fiber& fiber = m.fibers[static_cast<size_t>(i)];
      if (fiber.state != State::at_warp) continue;
      if ((fiber.mask & waiting) != fiber.mask || !(fiber.mask >> (i - begin) & 1u))
        throw std::logic_error("a warp operation waits for lanes that never come (live " + std::to_string(live) + ", at a barrier " + std::to_string(here) +
                               ")");
    }
    warp.parity ^= 1;
    for (int i = begin; i < end; ++i)
      if (m.fibers[static_cast<size_t>(i)].state == State::at_warp) m.fibers[static_cast<size_t>(i)].state = State::ready;
  }
}

void run_block(Machine& m, int threads) {
  bool waiting = true;
  while (waiting) {
    waiting = false;
    for (int begin = 0; begin < threads; begin += 32) run_warp(m, begin, std::min(threads, begin + 32));
    for (int i = 0; i < threads; ++i) {
      Fiber& fiber = m.fibers[static_cast<size_t>(i)];
      if (fiber.state != State::at_block_barrier) continue;
      fiber.state = State::ready;
      waiting = true;
    }
  }
}

}  // namespace

bool is_launchable(dim3 grid, dim3 block, size_t shared_bytes, const void* kernel) {
  int64_t threads = int64_t{block.x} * block.y * block.z;
  auto allowed = machine().allowed_shared.find(kernel);
  size_t most = allowed == machine().allowed_shared.end() ? kDefaultShared : allowed->second;
  return threads > 0 && threads <= kMaxThreads && block.z <= 64 && grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x <= 0x7fffffffu && grid.y <= 65535 &&
         grid.z <= 65535 && shared_bytes <= most;
}

void run_grid(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body) {
  Machine& m = machine();
  int64_t threads = int64_t{block.x} * block.y * block.z;
  m.body = &body;
  m.failure.clear();
  blockDim = block;
  gridDim = grid;
  m.shared.resize(shared_bytes + kSharedAlignment);
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        std::memset(m.shared.data(), 0xff, m.shared.size());
        for (int i = 0; i < threads; ++i) {
          Fiber& fiber = m.fibers[static_cast<size_t>(i)];
          unsigned u = static_cast<unsigned>(i);
          fiber.index = {u % block.x, u / block.x % block.y, u / (block.x * block.y)};
          fiber.linear = i;
          fiber.state = State::fresh;
          fiber.copies.clear();
          fiber.copy_groups.clear();
        }
        run_block(m, static_cast<int>(threads));
      }
}

void allow_shared(const void* kernel, int bytes) { machine().allowed_shared[kernel] = std::min(static_cast<size_t>(bytes), kMaxShared); }

unsigned char* dynamic_shared() {
  auto address = reinterpret_cast<uintptr_t>(machine().shared.data());
  return reinterpret_cast<unsigned char*>((address + kSharedAlignment - 1) / kSharedAlignment * kSharedAlignment);
}

void block_barrier() { yield(State::at_block_barrier); }

unsigned char* warp_exchange_bytes(unsigned mask, const void* value, size_t bytes) {
  Machine& m = machine();
  Warp& warp = m.warps[static_cast<size_t>(linear_thread / 32)];
  unsigned char* values = warp.values[warp.parity];
  std::memcpy(values + static_cast<size_t>(lane()) * kLaneBytes, value, bytes);
  m.running->mask = mask;
  yield(State::at_warp);
  return values;
}

void defer_copy(void* to, const void* from, size_t bytes) { machine().running->copies.push_back({to, from, bytes}); }

void commit_copies() {
  Fiber& self = *machine().running;
  self.copy_groups.push_back(std::move(self.copies));
  self.copies.clear();
}

void wait_copies(int groups_left) {
  Fiber& self = *machine().running;
  while (static_cast<int>(self.copy_groups.size()) > groups_left) {
    for (const Copy& copy : self.copy_groups.front()) {
      if (copy.from)
        std::memcpy(copy.to, copy.from, copy.bytes);
      else
        std::memset(copy.to, 0, copy.bytes);
    }
    self.copy_groups.pop_front();
  }
}

}  // namespace cuda_shim
