// NativeModel: the JavaScript object around a Qwen2 (which Llama is, too). Every call but the cheap ones is a job on the compute thread, where
// calls of all models run one after another; the model stays alive until its last job has ended.
#pragma once
#include <memory>
#include <vector>

#include "binding/exports.h"
#include "binding/model_args.h"
#include "binding/worker.h"

namespace pk {

class NativeModel : public Napi::ObjectWrap<NativeModel> {
 public:
  static Napi::Function define(Napi::Env env);
  // The class, per environment (a worker thread has its own).
  static Napi::FunctionReference& constructor(Napi::Env env) { return *env.GetInstanceData<Napi::FunctionReference>(); }

  explicit NativeModel(const Napi::CallbackInfo& call);
  ~NativeModel() override;

 private:
  // The model, or an error after close().
  std::shared_ptr<Qwen2> model(Napi::Env env) const;
  static NativeModel* unwrap(const Napi::Value& value);
  static std::vector<std::shared_ptr<Qwen2>>& abandoned();

  // Passes (model_binding.cpp).
  Napi::Value forward(const Napi::CallbackInfo& call);
  Napi::Value logits(const Napi::CallbackInfo& call);
  Napi::Value backward(const Napi::CallbackInfo& call);
  Napi::Value zero_gradients(const Napi::CallbackInfo& call);
  Napi::Value step(const Napi::CallbackInfo& call);
  Napi::Value generate_sequences(const Napi::CallbackInfo& call);
  Napi::Value close(const Napi::CallbackInfo& call);

  // What the model keeps, and where (model_state_binding.cpp).
  Napi::Value initialize(const Napi::CallbackInfo& call);
  Napi::Value load_tensors(const Napi::CallbackInfo& call);
  Napi::Value save_tensors(const Napi::CallbackInfo& call);
  Napi::Value copy_from(const Napi::CallbackInfo& call);
  Napi::Value parameters(const Napi::CallbackInfo& call);
  Napi::Value read_parameter(const Napi::CallbackInfo& call);
  Napi::Value write_parameter(const Napi::CallbackInfo& call);
  Napi::Value step_count(const Napi::CallbackInfo& call);
  Napi::Value set_step_count(const Napi::CallbackInfo& call);
  Napi::Value reset_optimizer(const Napi::CallbackInfo& call);
  Napi::Value offload(const Napi::CallbackInfo& call);
  Napi::Value restore(const Napi::CallbackInfo& call);
  Napi::Value trim(const Napi::CallbackInfo& call);
  Napi::Value memory_bytes(const Napi::CallbackInfo& call);

  std::shared_ptr<Qwen2> model_;
  bool on_gpu_ = false;
};

// What jobs without a result, and with a list of numbers, give to JavaScript.
inline Napi::Value undefined(Napi::Env env, int&) { return env.Undefined(); }
inline Napi::Value to_js(Napi::Env env, const std::vector<float>& v) { return to_typed_array(env, v.data(), static_cast<int64_t>(v.size())); }

}  // namespace pk
