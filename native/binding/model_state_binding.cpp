// NativeModel: what the model keeps: weights and optimizer state, their way from and to JavaScript and files, and where they lie.
#include "binding/native_model.h"

namespace pk {

Napi::Value NativeModel::initialize(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  bool lossless = false;
  if (!call[0].IsBigInt()) throw type_error(call.Env(), "seed must be a bigint.");
  uint64_t seed = call[0].As<Napi::BigInt>().Uint64Value(&lossless);
  float std = static_cast<float>(read_number(call[1], "std"));
  return run_job(
      call.Env(), {}, {call.This()}, [m, seed, std](JobContext&) { return m->initialize(seed, std), 0; }, undefined);
}

Napi::Value NativeModel::load_tensors(const Napi::CallbackInfo& call) {
  struct Part {
    Parameter parameter;
    Qwen2::Slot slot;
    FileType type;
    int64_t begin;
  };
  auto m = model(call.Env());
  std::string path = read_string(call[0], "file");
  std::vector<Part> parts;
  if (!call[1].IsArray()) throw type_error(call.Env(), "parts must be an array.");
  auto list = call[1].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    Napi::Object o = read_object(Napi::Value(list.Get(i)), "parts[i]");
    parts.push_back({m->table().find(read_string(o.Get("name"), "name")), read_slot(o.Get("slot")), read_file_type(o.Get("type")),
                     read_integer(o.Get("begin"), "begin", 0, int64_t{1} << 50)});
  }
  return run_job(
      call.Env(), {call[2], call.Env().Undefined()}, {call.This()},
      [m, path, parts](JobContext& job) {
        MappedFile file(path);
        // All are checked before any is taken over, so that a bad file changes nothing.
        for (const Part& part : parts)
          if (!within_file(part.begin, part.type, part.parameter.size(), file.size()))
            throw Error("ERR_MODEL_FORMAT", "The file " + path + " ends before the tensor \"" + part.parameter.name + "\" does.");
        for (const Part& part : parts) {
          job.check();
          load_tensor(m->backend(), m->stored(part.parameter, part.slot), file, part.begin, part.type);
        }
        m->weights_changed();
        return 0;
      },
      undefined);
}

Napi::Value NativeModel::save_tensors(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  std::string path = read_string(call[0], "file");
  Span<uint8_t> header = read_array<uint8_t>(call[1], "header");
  std::string head(reinterpret_cast<const char*>(header.data), static_cast<size_t>(header.size));
  if (!call[2].IsArray()) throw type_error(call.Env(), "parts must be an array.");
  auto list = call[2].As<Napi::Array>();
  struct Part {
    Parameter parameter;
    Qwen2::Slot slot;
    FileType type;
  };
  std::vector<Part> parts;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    Napi::Object o = read_object(Napi::Value(list.Get(i)), "parts[i]");
    parts.push_back({m->table().find(read_string(o.Get("name"), "name")), read_slot(o.Get("slot")), read_file_type(o.Get("type"))});
  }
  return run_job(
      call.Env(), {}, {call.This()},
      [m, path, head, parts](JobContext&) {
        std::vector<FilePart> out;
        for (const Part& p : parts) out.push_back({m->stored(p.parameter, p.slot), p.type});
        write_file(path, head, out, m->backend());
        return 0;
      },
      undefined);
}

Napi::Value NativeModel::copy_from(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  NativeModel* other = unwrap(call[0]);
  auto from = other->model(call.Env());
  return run_job(
      call.Env(), {}, {call.This(), call[0]}, [m, from](JobContext&) { return m->copy_from(*from), 0; }, undefined);
}

Napi::Value NativeModel::parameters(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  auto list = Napi::Array::New(call.Env());
  uint32_t i = 0;
  for (const Parameter& p : m->table().entries) {
    auto o = Napi::Object::New(call.Env());
    auto shape = Napi::Array::New(call.Env());
    uint32_t rank = 0;
    if (p.matrix) shape.Set(rank++, static_cast<double>(p.rows));
    shape.Set(rank, static_cast<double>(p.cols));
    o.Set("name", p.name);
    o.Set("shape", shape);
    list.Set(i++, o);
  }
  return list;
}

Napi::Value NativeModel::read_parameter(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  Parameter p = m->table().find(read_string(call[0], "name"));
  Qwen2::Slot slot = read_slot(call[1]);
  return run_job(
      call.Env(), {}, {call.This()},
      [m, p, slot](JobContext&) {
        std::vector<float> host(static_cast<size_t>(p.size()));
        m->read(host.data(), p, slot);
        return host;
      },
      to_js);
}

Napi::Value NativeModel::write_parameter(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  Parameter p = m->table().find(read_string(call[0], "name"));
  Span<float> values = read_array<float>(call[1], "values", p.size());
  std::vector<float> host(values.data, values.data + values.size);
  return run_job(
      call.Env(), {}, {call.This()},
      [m, p, host](JobContext&) {
        m->write(p, Qwen2::Slot::value, host.data());
        m->weights_changed();
        return 0;
      },
      undefined);
}

Napi::Value NativeModel::step_count(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  return run_job(
      call.Env(), {}, {call.This()}, [m](JobContext&) { return static_cast<double>(m->step_count()); },
      [](Napi::Env env, double& n) { return Napi::Value(Napi::Number::New(env, n)); });
}

Napi::Value NativeModel::set_step_count(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  int64_t steps = read_integer(call[0], "steps", 0, int64_t{1} << 50);
  return run_job(
      call.Env(), {}, {call.This()}, [m, steps](JobContext&) { return m->set_step_count(steps), 0; }, undefined);
}

Napi::Value NativeModel::reset_optimizer(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  return run_job(
      call.Env(), {}, {call.This()}, [m](JobContext&) { return m->reset_optimizer(), 0; }, undefined);
}

Napi::Value NativeModel::offload(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  return run_job(
      call.Env(), {}, {call.This()}, [m](JobContext&) { return m->offload(), 0; }, undefined);
}

Napi::Value NativeModel::restore(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  return run_job(
      call.Env(), {}, {call.This()}, [m](JobContext&) { return m->restore(), 0; }, undefined);
}

Napi::Value NativeModel::trim(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  return run_job(
      call.Env(), {}, {call.This()}, [m](JobContext&) { return m->trim(), 0; }, undefined);
}

Napi::Value NativeModel::memory_bytes(const Napi::CallbackInfo& call) {
  auto m = model(call.Env());
  auto o = Napi::Object::New(call.Env());
  auto set = [&](const char* name, int64_t bytes) { o.Set(name, static_cast<double>(bytes)); };
  set("parameters", m->parameter_bytes());
  set("gradients", m->gradient_bytes());
  set("optimizer", m->moment_bytes());
  set("activations", m->activation_bytes());
  set("pinned", m->pinned_bytes());
  return o;
}

}  // namespace pk
