#include "binding/device_array.h"

#include <mutex>
#include <vector>

#include "binding/args.h"
#include "binding/exports.h"
#include "binding/run_on_device.h"

namespace pk {

namespace {

struct Abandoned {
  std::mutex mutex;
  std::vector<void*> data;
};
// Never destroyed: the garbage collector may add to it while the process ends.
Abandoned& abandoned() {
  static auto* instance = new Abandoned;
  return *instance;
}

const ArrayType& array_type_named(const Napi::Value& value) {
  std::string name = read_string(value, "dtype");
  for (const ArrayType& type : kArrayTypes)
    if (name == type.name) return type;
  throw range_error(value.Env(), "dtype must be \"float32\", \"float64\", \"bfloat16\" or \"int32\", but is \"" + name + "\".");
}

// The tag that tells a NativeDeviceArray from any other object.
constexpr napi_type_tag kTag = {0x70726d6b64657669, 0x63656172726179ff};

class NativeDeviceArray : public Napi::ObjectWrap<NativeDeviceArray> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeDeviceArray",
                       {InstanceMethod("clear", &NativeDeviceArray::clear), InstanceMethod("write", &NativeDeviceArray::write),
                        InstanceMethod("read", &NativeDeviceArray::read), InstanceMethod("free", &NativeDeviceArray::free)});
  }

  // (device, dtype, length); takes no memory yet
  explicit NativeDeviceArray(const Napi::CallbackInfo& call) : Napi::ObjectWrap<NativeDeviceArray>(call) {
    std::string device = read_string(call[0], "device");
    const ArrayType& type = array_type_named(call[1]);
    int64_t length = read_integer(call[2], "length", 0, int64_t{1} << 40);
    if (device != "cpu" && device != "cuda") throw range_error(call.Env(), "device must be \"cpu\" or \"cuda\", but is \"" + device + "\".");
    block_ = std::make_shared<DeviceBlock>(device, type, length);
    call.This().As<Napi::Object>().TypeTag(&kTag);
    try {
      if (device == "cpu") block_->data();  // at once, as calls on two threads may come first together
    } catch (const std::exception&) {
      throw to_js_error(call.Env(), std::current_exception());
    }
  }

  std::shared_ptr<DeviceBlock> block(const char* name) const {
    if (block_) return block_;
    throw to_js_error(Env(), std::make_exception_ptr(Error("ERR_ARRAY_FREED", std::string(name) + " is a DeviceArray that was freed.")));
  }

 private:
  // (later)
  Napi::Value clear(const Napi::CallbackInfo& call) {
    auto b = block("The array");
    return run(call, 0, [b](Backend& on) { on.zero(b->data(), b->bytes()); });
  }

  // (source, later)
  Napi::Value write(const Napi::CallbackInfo& call) {
    auto b = block("The array");
    const void* from = host(call[0], "source", *b);
    return run(call, 1, [b, from](Backend& on) { on.copy_from_host(b->data(), from, b->bytes()); });
  }

  // (target, later)
  Napi::Value read(const Napi::CallbackInfo& call) {
    auto b = block("The array");
    void* to = host(call[0], "target", *b);
    return run(call, 1, [b, to](Backend& on) { on.copy_to_host(to, b->data(), b->bytes()); });
  }

  Napi::Value free(const Napi::CallbackInfo& call) {
    auto b = block("The array");
    block_.reset();
    if (b->device == "cuda") post_to_compute_thread([b] { b->drop(); });  // elsewhere the last job that uses it does
    return call.Env().Undefined();
  }

  static void* host(const Napi::Value& value, const char* name, const DeviceBlock& like) {
    napi_typedarray_type kind;
    size_t length = 0;
    void* data = nullptr;
    if (!value.IsTypedArray() || napi_get_typedarray_info(value.Env(), value, &kind, &length, &data, nullptr, nullptr) != napi_ok || kind != like.type.kind)
      throw type_error(value.Env(), std::string(name) + " must be a " + like.type.array_name + ", as the array is one of " + like.type.name + ".");
    if (static_cast<int64_t>(length) != like.length)
      throw range_error(value.Env(), std::string(name) + " must have " + std::to_string(like.length) + " elements, but has " + std::to_string(length) + ".");
    return data;
  }

  // work(backend) now, or, where call[later] is true, on the compute thread.
  template <class Work>
  Napi::Value run(const Napi::CallbackInfo& call, size_t later, Work work) {
    std::vector<Napi::Value> keep = {call.This()};
    if (later > 0) keep.push_back(call[0]);
    std::string device = block_->device;
    auto job = [device, work = std::move(work)](const JobContext&) {
      if (device == "cuda") release_abandoned();
      work(backend_of(device));
      return Nothing{};
    };
    if (read_bool(call[later], "later")) return run_job(call.Env(), {}, std::move(keep), std::move(job), finish_nothing);
    return run_at_once(call.Env(), device, std::move(job), finish_nothing);
  }

  std::shared_ptr<DeviceBlock> block_;
};

}  // namespace

DeviceBlock::~DeviceBlock() {
  if (!data_) return;
  if (device == "cpu") {
    drop();
    return;
  }
  std::lock_guard lock(abandoned().mutex);
  abandoned().data.push_back(data_);
}

void* DeviceBlock::data() {
  if (!data_) data_ = backend_of(device).allocate(bytes());
  return data_;
}

void DeviceBlock::drop() noexcept {
  if (data_) backend_of(device).release(data_);
  data_ = nullptr;
}

void release_abandoned() noexcept {
  std::vector<void*> data;
  {
    std::lock_guard lock(abandoned().mutex);
    data.swap(abandoned().data);
  }
  for (void* each : data) backend_of("cuda").release(each);
}

// A DeviceArray of TypeScript has it as `handle`, which is undefined once freed.
std::shared_ptr<DeviceBlock> device_block_of(const Napi::Value& value, const char* name) {
  if (!value.IsObject() || value.IsTypedArray() || value.IsArray() || value.IsFunction()) return nullptr;
  auto object = value.As<Napi::Object>();
  if (!object.Has("handle")) return nullptr;
  Napi::Value handle = object.Get("handle");
  if (absent(handle))
    throw to_js_error(value.Env(), std::make_exception_ptr(Error("ERR_ARRAY_FREED", std::string(name) + " is a DeviceArray that was freed.")));
  if (!handle.IsObject() || !handle.As<Napi::Object>().CheckTypeTag(&kTag)) return nullptr;
  return NativeDeviceArray::Unwrap(handle.As<Napi::Object>())->block(name);
}

void export_device_array(Napi::Env env, Napi::Object exports) { exports.Set("NativeDeviceArray", NativeDeviceArray::define(env)); }

}  // namespace pk
