#include "binding/kernel_arrays.h"

#include <algorithm>

#include "binding/exports.h"

namespace pk {

namespace {

const ArrayType* type_of(napi_typedarray_type kind) {
  for (const ArrayType& type : kArrayTypes)
    if (type.kind == kind) return &type;
  return nullptr;
}

std::string typed_array_names(std::initializer_list<DType> types) {
  std::string names;
  for (DType dtype : types)
    for (const ArrayType& type : kArrayTypes)
      if (type.dtype == dtype && type.kind != napi_int32_array) names += (names.empty() ? "" : " or ") + std::string(type.array_name);
  return names;
}

// GPU memory for the copies of typed arrays, on the compute thread alone; a little of it is kept from call to call.
class Staging {
 public:
  void* take(Backend& backend, int64_t bytes) {
    int64_t size = (std::max<int64_t>(bytes, 1) + 255) / 256 * 256;
    if (blocks_.empty() || used_ + size > blocks_.back().size) {
      int64_t whole = std::max(size, kKept);
      blocks_.push_back({static_cast<char*>(backend.allocate(whole)), whole});
      used_ = 0;
    }
    void* at = blocks_.back().data + used_;
    used_ += size;
    return at;
  }
  // Later ops of the stream may use the memory again at once.
  void reset(Backend& backend) noexcept {
    used_ = 0;
    if (blocks_.size() == 1 && blocks_[0].size == kKept) return;
    for (const Block& block : blocks_) backend.release(block.data);
    blocks_.clear();
  }

 private:
  static constexpr int64_t kKept = int64_t{4} << 20;
  struct Block {
    char* data;
    int64_t size;
  };
  std::vector<Block> blocks_;
  int64_t used_ = 0;
};

Staging& staging() {
  static auto* instance = new Staging;  // never destroyed, as the backend
  return *instance;
}

}  // namespace

KernelArrays::Slot KernelArrays::take(size_t at, const char* name, std::initializer_list<DType> types, int64_t rows, int64_t cols, Use use) {
  const Napi::Value value = (*call_)[at];
  Napi::Env env = value.Env();
  Entry entry{name, nullptr, device_block_of(value, name), 0, use};
  const ArrayType* type = nullptr;
  int64_t length = 0;
  if (entry.block) {
    type = &entry.block->type;
    length = entry.block->length;
  } else if (value.IsTypedArray()) {
    napi_typedarray_type kind;
    size_t size = 0;
    if (napi_get_typedarray_info(env, value, &kind, &size, &entry.host, nullptr, nullptr) == napi_ok) type = type_of(kind);
    length = static_cast<int64_t>(size);
  }
  bool right = type && type->kind != napi_int32_array && std::find(types.begin(), types.end(), type->dtype) != types.end();
  if (!right) throw type_error(env, std::string(name) + " must be a " + typed_array_names(types) + ", or a DeviceArray of such.");
  if (length != rows * cols)
    throw range_error(env, std::string(name) + " must have " + std::to_string(rows * cols) + " elements, but has " + std::to_string(length) + ".");
  entry.bytes = length * type->size;
  entries_.push_back(std::move(entry));
  return {static_cast<int>(entries_.size()) - 1, type->dtype, rows, cols};
}

KernelArrays::Slot KernelArrays::log_probs_like(size_t at, const char* name, const Slot& other) {
  Slot slot = log_probs(at, name, other.rows);
  if (slot.dtype != other.dtype) throw type_error(call_->Env(), std::string(name) + " must be of the same type as the other log-probs.");
  return slot;
}

std::string KernelArrays::device(size_t at) {
  Napi::Env env = call_->Env();
  std::string wanted = absent((*call_)[at]) ? "" : read_string((*call_)[at], "device");
  if (!wanted.empty() && wanted != "cpu" && wanted != "cuda") throw range_error(env, "device must be \"cpu\" or \"cuda\", but is \"" + wanted + "\".");
  auto place = [](const Entry& e) { return e.block ? "a DeviceArray on \"" + e.block->device + "\"" : std::string("a typed array"); };
  for (const Entry& entry : entries_)
    if (place(entry) != place(entries_[0]))
      throw type_error(env, "The arrays of one call must be together: " + std::string(entries_[0].name) + " is " + place(entries_[0]) + ", but " + entry.name +
                                " is " + place(entry) + ".");
  if (entries_.empty() || !entries_[0].block) return wanted.empty() ? "cpu" : wanted;
  std::string found = entries_[0].block->device;
  if (!wanted.empty() && wanted != found)
    throw range_error(env, "device must be left out or \"" + found + "\", where the arrays of the call are, but is \"" + wanted + "\".");
  return found;
}

PlacedArrays::PlacedArrays(const KernelArrays& arrays, const std::string& device) : backend_(backend_of(device)), on_gpu_(device == "cuda"), arrays_(arrays) {
  if (on_gpu_) release_abandoned();
  try {
    for (const KernelArrays::Entry& entry : arrays.entries_) {
      if (!entry.block && !on_gpu_) {
        data_.push_back(entry.host);
      } else if (entry.block) {
        bool before = entry.block->taken();
        data_.push_back(entry.block->data());
        if (!before) taken_.push_back(entry.block);
      } else {
        data_.push_back(staging().take(backend_, entry.bytes));
        if (entry.use != Use::out) backend_.copy_from_host(data_.back(), entry.host, entry.bytes);
      }
    }
  } catch (...) {
    give_back();
    throw;
  }
}

PlacedArrays::~PlacedArrays() { give_back(); }

void PlacedArrays::give_back() noexcept {
  if (!finished_)
    for (const auto& block : taken_) block->drop();
  if (on_gpu_) staging().reset(backend_);
}

const int32_t* PlacedArrays::put(const Indices& indices) {
  if (!on_gpu_) return indices.data();
  int64_t bytes = static_cast<int64_t>(indices.size() * sizeof(int32_t));
  void* at = staging().take(backend_, bytes);
  backend_.copy_from_host(at, indices.data(), bytes);
  return static_cast<const int32_t*>(at);
}

void PlacedArrays::finish() {
  for (size_t i = 0; i < data_.size(); ++i) {
    const KernelArrays::Entry& entry = arrays_.entries_[i];
    if (on_gpu_ && !entry.block && entry.use != Use::in) backend_.copy_to_host(entry.host, data_[i], entry.bytes);
  }
  finished_ = true;
}

}  // namespace pk
