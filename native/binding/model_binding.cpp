// NativeModel: the class, its passes and generation. What it keeps is in model_state_binding.cpp.
#include "binding/native_model.h"

namespace pk {

namespace {

struct Scores {
  std::vector<float> logprobs, entropy;
};

}  // namespace

Napi::Function NativeModel::define(Napi::Env env) {
  return DefineClass(env, "NativeModel",
                     {InstanceMethod("initialize", &NativeModel::initialize),
                      InstanceMethod("loadTensors", &NativeModel::load_tensors),
                      InstanceMethod("saveTensors", &NativeModel::save_tensors),
                      InstanceMethod("copyFrom", &NativeModel::copy_from),
                      InstanceMethod("parameters", &NativeModel::parameters),
                      InstanceMethod("readParameter", &NativeModel::read_parameter),
                      InstanceMethod("writeParameter", &NativeModel::write_parameter),
                      InstanceMethod("forward", &NativeModel::forward),
                      InstanceMethod("logits", &NativeModel::logits),
                      InstanceMethod("backward", &NativeModel::backward),
                      InstanceMethod("zeroGradients", &NativeModel::zero_gradients),
                      InstanceMethod("step", &NativeModel::step),
                      InstanceMethod("stepCount", &NativeModel::step_count),
                      InstanceMethod("setStepCount", &NativeModel::set_step_count),
                      InstanceMethod("resetOptimizer", &NativeModel::reset_optimizer),
                      InstanceMethod("offload", &NativeModel::offload),
                      InstanceMethod("restore", &NativeModel::restore),
                      InstanceMethod("trim", &NativeModel::trim),
                      InstanceMethod("generate", &NativeModel::generate_sequences),
                      InstanceMethod("memoryBytes", &NativeModel::memory_bytes),
                      InstanceMethod("close", &NativeModel::close)});
}

NativeModel::NativeModel(const Napi::CallbackInfo& call) : Napi::ObjectWrap<NativeModel>(call) {
  ModelConfig config = read_config(call[0]);
  Napi::Object options = read_object(call[1], "options");
  DType dtype = read_dtype(options.Get("dtype"), "dtype"), moments = read_dtype(options.Get("moments"), "moments");
  bool recompute = read_bool(options.Get("recompute"), "recompute"), trainable = read_bool(options.Get("trainable"), "trainable");
  std::string device = read_string(options.Get("device"), "device");
  if (device != "cpu" && device != "cuda") throw range_error(call.Env(), "device must be \"cpu\" or \"cuda\", but is \"" + device + "\".");
  abandoned().clear();
  try {
    model_ = std::make_shared<Qwen2>(backend_of(device), config, dtype, recompute, trainable, moments);
    on_gpu_ = device == "cuda";
  } catch (const std::exception&) {
    throw to_js_error(call.Env(), std::current_exception());
  }
}

// Run by the garbage collector for a model nobody closed. It must not talk to a GPU, so such a model waits for the next one to be made.
NativeModel::~NativeModel() {
  if (model_ && on_gpu_) abandoned().push_back(std::move(model_));
}

std::vector<std::shared_ptr<Qwen2>>& NativeModel::abandoned() {
  static thread_local auto* models = new std::vector<std::shared_ptr<Qwen2>>();  // never destroyed: at exit there may be no driver left
  return *models;
}

std::shared_ptr<Qwen2> NativeModel::model(Napi::Env env) const {
  if (!model_) throw state_error(env, "ERR_MODEL_CLOSED", "The model was closed: load it again to use it.");
  return model_;
}

// Only objects made by createModel() may be unwrapped: anything else would be read as one.
NativeModel* NativeModel::unwrap(const Napi::Value& value) {
  if (value.IsObject() && value.As<Napi::Object>().InstanceOf(constructor(value.Env()).Value())) return Unwrap(value.As<Napi::Object>());
  throw type_error(value.Env(), "other must be a native model.");
}

Napi::Value NativeModel::forward(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  PackedBatch batch = read_batch(call[0], call[1], m->config().vocab_size);
  std::vector<int32_t> lengths = read_prompt_lengths(call[2], batch);
  float temperature = static_cast<float>(read_number(call[3], "temperature"));
  if (!(temperature > 0)) throw range_error(call.Env(), "temperature must be above 0.");
  bool keep = read_bool(call[4], "keep");
  return run_job(
      call.Env(), {call[5], call[6]}, {call.This()},
      [m, batch = std::move(batch), lengths = std::move(lengths), temperature, keep](JobContext& job) {
        size_t scored = 0;
        for (int64_t r = 0; r < batch.rows(); ++r) scored += static_cast<size_t>(std::max(0, batch.offsets[r + 1] - batch.offsets[r] - lengths[r]));
        Scores s{std::vector<float>(scored), std::vector<float>(scored)};
        m->forward(s.logprobs.data(), s.entropy.data(), batch, lengths.data(), temperature, keep, job);
        return s;
      },
      [](Napi::Env env, Scores& s) {
        auto o = Napi::Object::New(env);
        o.Set("logprobs", to_js(env, s.logprobs));
        o.Set("entropy", to_js(env, s.entropy));
        return Napi::Value(o);
      });
}

Napi::Value NativeModel::logits(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  PackedBatch batch = read_batch(call[0], call[1], m->config().vocab_size);
  if (batch.size() * m->config().vocab_size > (int64_t{1} << 28))
    throw range_error(call.Env(), "logits() is for small batches: tokens times vocabulary must be at most 2^28.");
  return run_job(
      call.Env(), {}, {call.This()},
      [m, batch = std::move(batch)](JobContext& job) {
        std::vector<float> out(static_cast<size_t>(batch.size() * m->config().vocab_size));
        m->logits(out.data(), batch, job);
        return out;
      },
      to_js);
}

Napi::Value NativeModel::backward(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  Span<float> d = read_array<float>(call[0], "dLogprobs");
  Span<float> de = read_optional_array<float>(call[1], "dEntropy", d.size);
  std::vector<float> d_logprobs(d.data, d.data + d.size), d_entropy(de.data, de.data + de.size);
  return run_job(
      call.Env(), {call[2], call[3]}, {call.This()},
      [m, d_logprobs = std::move(d_logprobs), d_entropy = std::move(d_entropy)](JobContext& job) {
        if (m->has_kept_forward() && static_cast<int64_t>(d_logprobs.size()) != m->kept_scored())
          throw Error("ERR_INVALID_ARGUMENT", "dLogprobs must have " + std::to_string(m->kept_scored()) +
                                                  " elements (the scored tokens of the kept forward), but has " + std::to_string(d_logprobs.size()) + ".");
        m->backward(d_logprobs.data(), d_entropy.empty() ? nullptr : d_entropy.data(), job);
        return 0;
      },
      undefined);
}

Napi::Value NativeModel::zero_gradients(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  return run_job(
      call.Env(), {}, {call.This()}, [m](JobContext&) { return m->zero_gradients(), 0; }, undefined);
}

Napi::Value NativeModel::step(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  const char* names[] = {"lr", "beta1", "beta2", "eps", "weightDecay", "gradClip"};
  double v[6];
  for (int i = 0; i < 6; ++i) v[i] = read_number(call[i], names[i]);
  StepSettings settings{static_cast<float>(v[0]), v[1], v[2], static_cast<float>(v[3]), static_cast<float>(v[4]), static_cast<float>(v[5])};
  return run_job(
      call.Env(), {}, {call.This()}, [m, settings](JobContext&) { return m->step(settings); },
      [](Napi::Env env, StepResult& r) {
        auto o = Napi::Object::New(env);
        o.Set("gradNorm", r.grad_norm);
        o.Set("skipped", r.skipped);
        return Napi::Value(o);
      });
}

Napi::Value NativeModel::generate_sequences(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  PackedBatch prompts = read_batch(call[0], call[1], m->config().vocab_size);
  GenerateSettings settings = read_generate_settings(call[3], m->config().vocab_size);
  for (int64_t p = 0; p < prompts.rows(); ++p)
    if (prompts.offsets[p + 1] == prompts.offsets[p]) throw range_error(call.Env(), "prompts must not be empty, but prompt " + std::to_string(p) + " is.");
  if (prompts.rows() * settings.samples > (1 << 24)) throw range_error(call.Env(), "prompts times samples must be at most 2^24.");
  Span<uint64_t> ids = read_array<uint64_t>(call[2], "sequenceIds", prompts.rows() * settings.samples);
  std::vector<uint64_t> sequence_ids(ids.data, ids.data + ids.size);
  return run_job(
      call.Env(), {call[4], call[5]}, {call.This()},
      [m, prompts = std::move(prompts), settings = std::move(settings), sequence_ids = std::move(sequence_ids)](JobContext& job) {
        return generate(*m, prompts, sequence_ids, settings, job);
      },
      [](Napi::Env env, std::vector<GeneratedSequence>& sequences) {
        std::vector<int32_t> tokens, offsets{0};
        std::vector<float> logprobs;
        std::vector<uint8_t> finished;
        for (const GeneratedSequence& s : sequences) {
          tokens.insert(tokens.end(), s.tokens.begin(), s.tokens.end());
          logprobs.insert(logprobs.end(), s.logprobs.begin(), s.logprobs.end());
          offsets.push_back(static_cast<int32_t>(tokens.size()));
          finished.push_back(s.stopped ? 1 : 0);
        }
        auto o = Napi::Object::New(env);
        o.Set("tokens", to_typed_array(env, tokens.data(), static_cast<int64_t>(tokens.size())));
        o.Set("logprobs", to_js(env, logprobs));
        o.Set("offsets", to_typed_array(env, offsets.data(), static_cast<int64_t>(offsets.size())));
        o.Set("finished", to_typed_array(env, finished.data(), static_cast<int64_t>(finished.size())));
        return Napi::Value(o);
      });
}

Napi::Value NativeModel::close(const Napi::CallbackInfo& call) {
  model_.reset();  // running jobs hold their own reference
  return call.Env().Undefined();
}

static Napi::Value create_model(const Napi::CallbackInfo& call) { return NativeModel::constructor(call.Env()).New({call[0], call[1]}); }

void export_model(Napi::Env env, Napi::Object exports) {
  auto* reference = new Napi::FunctionReference(Napi::Persistent(NativeModel::define(env)));
  env.SetInstanceData(reference);
  exports.Set("createModel", Napi::Function::New(env, create_model, "createModel"));
}

}  // namespace pk
