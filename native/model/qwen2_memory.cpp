// Qwen2: what is kept in the backend's memory: weights, gradients, moments, and their way to the host's memory and back.
#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "model/qwen2.h"

namespace pk {

Qwen2::Qwen2(Backend& backend, const ModelConfig& config, DType compute, bool recompute, bool trainable, DType moments)
    : backend_(backend),
      config_(config),
      table_(config),
      compute_(compute),
      moments_(moments),
      recompute_(recompute),
      trainable_(trainable),
      values_(backend),
      gradients_(backend),
      moment1_(backend),
      moment2_(backend),
      cast_arena_(backend),
      packed_arena_(backend),
      rope_arena_(backend),
      kept_arena_(backend),
      work_arena_(backend),
      uploads_(backend) {
  flat(Slot::value);
  take_cast();
}

// --- weights, gradients, moments --------------------------------------------------------------------------------------

Qwen2::Flat& Qwen2::flat_of(Slot slot) {
  return slot == Slot::value ? values_ : slot == Slot::gradient ? gradients_ : slot == Slot::first_moment ? moment1_ : moment2_;
}

// Whoever asks for gradients may write them.
Tensor Qwen2::flat(Slot slot) {
  restore();
  if (slot == Slot::gradient) gradients_are_zero_ = false;
  Flat& f = flat_of(slot);
  if (!f.data.data) {
    bool is_moment = slot == Slot::first_moment || slot == Slot::second_moment;
    int64_t size = slot == Slot::value && !has_masters() ? table_.size - table_.vectors : table_.size;
    f.data = Tensor(nullptr, is_moment ? moments_ : DType::f32, 1, size);
    f.arena.reset();
    f.arena.take(f.data.dtype, 1, size);
    f.arena.allocate();
    f.data.data = f.arena.data();
  }
  return f.data;
}

void Qwen2::take_cast() {
  if (compute_ != DType::bf16) return;
  cast_arena_.reset();
  cast_arena_.take(DType::bf16, 1, table_.vectors);
  cast_arena_.allocate();
  values_cast_ = static_cast<bf16*>(cast_arena_.data());
}

Tensor Qwen2::stored(const Parameter& p, Slot slot) {
  if (slot != Slot::value) {
    Tensor all = flat(slot);
    return {all.as<char>() + p.offset * dtype_size(all.dtype), all.dtype, p.rows, p.cols};
  }
  restore();
  if (!p.matrix) return {vector(p.offset), DType::f32, p.rows, p.cols};
  Tensor all = matrices();
  return {all.as<char>() + p.offset * dtype_size(all.dtype), all.dtype, p.rows, p.cols};
}

void Qwen2::write(const Parameter& p, Slot slot, const float* host) {
  Tensor to = stored(p, slot);
  if (to.dtype == DType::f32) return backend_.copy_from_host(to.data, host, to.bytes());
  std::vector<bf16> rounded(static_cast<size_t>(p.size()));
  for (int64_t i = 0; i < p.size(); ++i) rounded[static_cast<size_t>(i)] = to_bf16(host[i]);
  backend_.copy_from_host(to.data, rounded.data(), to.bytes());
}

void Qwen2::read(float* host, const Parameter& p, Slot slot) {
  Tensor from = stored(p, slot);
  if (from.dtype == DType::f32) return backend_.copy_to_host(host, from.data, from.bytes());
  std::vector<bf16> rounded(static_cast<size_t>(p.size()));
  backend_.copy_to_host(rounded.data(), from.data, from.bytes());
  for (int64_t i = 0; i < p.size(); ++i) host[i] = to_float(rounded[static_cast<size_t>(i)]);
}

Tensor Qwen2::matrices() {
  if (has_masters()) return {values_.data.data, DType::f32, 1, table_.vectors};
  return {values_cast_, DType::bf16, 1, table_.vectors};
}

void Qwen2::weights_changed() {
  if (values_cast_ && has_masters()) backend_.cast({values_cast_, DType::bf16, 1, table_.vectors}, matrices());
  kept_ = false;
  packed_.clear();
}

// Matrices normal(0, std), norms one, biases zero; each element from its own counter, so the order does not matter.
void Qwen2::initialize(uint64_t seed, float std) {
  for (size_t p = 0; p < table_.entries.size(); ++p) {
    const Parameter& entry = table_.entries[p];
    std::vector<float> host(static_cast<size_t>(entry.size()), entry.name.ends_with("norm.weight") ? 1.0f : 0.0f);
    if (entry.matrix) {
      for (int64_t i = 0; i < entry.size(); ++i) {
        Philox draw = philox(seed, p, static_cast<uint64_t>(i));
        host[static_cast<size_t>(i)] = std * std::sqrt(-2.0f * std::log(philox_uniform(draw[0]))) * std::cos(6.28318531f * philox_uniform(draw[1]));
      }
    }
    write(entry, Slot::value, host.data());
  }
  weights_changed();
}

void Qwen2::copy_from(Qwen2& other) {
  if (&other.backend_ != &backend_) throw Error("ERR_INVALID_ARGUMENT", "copyFrom() needs a model on the same device.");
  if (other.table_.size != table_.size || other.table_.entries.size() != table_.entries.size())
    throw Error("ERR_INVALID_ARGUMENT", "copyFrom() needs a model of the same configuration.");
  restore();
  other.restore();
  Tensor to = matrices(), from = other.matrices();
  if (to.dtype == from.dtype)
    backend_.copy(to.data, from.data, to.bytes());
  else
    backend_.cast(to, from);
  backend_.copy(vector(table_.vectors), other.vector(table_.vectors), (table_.size - table_.vectors) * 4);
  weights_changed();
}

Arena& Qwen2::cache_arena(int64_t shard) {
  while (static_cast<int64_t>(cache_arenas_.size()) <= shard) cache_arenas_.push_back(std::make_unique<Arena>(backend_));
  return *cache_arenas_[static_cast<size_t>(shard)];
}

int64_t Qwen2::cache_bytes() const {
  int64_t bytes = 0;
  for (const auto& arena : cache_arenas_) bytes += arena->bytes();
  return bytes;
}

int64_t Qwen2::parameter_bytes() const { return values_.arena.bytes() + cast_arena_.bytes() + packed_arena_.bytes(); }

int64_t Qwen2::pinned_bytes() const {
  int64_t bytes = cast_arena_.pinned_bytes();
  for (const Flat* f : {&values_, &gradients_, &moment1_, &moment2_}) bytes += f->arena.pinned_bytes();
  return bytes;
}

// --- to the host and back ----------------------------------------------------------------------------------------------

void Qwen2::offload() {
  if (offloaded_ || backend_.is_host()) return;
  drop_work();
  std::vector<Arena*> parked = {&values_.arena, &gradients_.arena, &moment1_.arena, &moment2_.arena};
  if (!has_masters()) parked.push_back(&cast_arena_);  // rounded matrices beside masters are rounded anew
  for (Arena* arena : parked) arena->start_parking();
  backend_.wait();
  for (Arena* arena : parked) arena->park();
  if (has_masters()) cast_arena_.release();
  offloaded_ = true;
}

void Qwen2::trim() {
  if (!offloaded_ && !backend_.is_host()) drop_work();
}

void Qwen2::drop_work() {
  if (gradients_are_zero_) {  // as is memory allocated anew
    gradients_.arena.release();
    gradients_.data = Tensor();
  }
  for (Arena* arena : {&packed_arena_, &rope_arena_, &kept_arena_, &work_arena_}) arena->release();
  cache_arenas_.clear();
  uploads_.release();
  packed_.clear();
  rope_positions_ = 0;
  kept_ = false;
}

void Qwen2::restore() {
  if (!offloaded_) return;
  for (Flat* f : {&values_, &gradients_, &moment1_, &moment2_}) {
    f->arena.unpark();
    f->data.data = f->arena.data();
  }
  cast_arena_.unpark();
  take_cast();
  offloaded_ = false;
  weights_changed();
}

}  // namespace pk
