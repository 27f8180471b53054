// Where an offloaded model's memory is: the shim counts it; and what happens when there is none.
#include "../harness.h"
#include "compare.h"
#include "offload_model.h"
#include "shim_control.h"

namespace pk::test {

namespace {

std::string code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return "none";
}

}  // namespace

PK_TEST("cuda: an offloaded model holds no device memory") {
  for (DType type : {DType::f32, DType::bf16})
    for (bool trainable : {true, false}) {
      int64_t pinned_before = cuda_shim::pinned_bytes(), device = 0, pinned = 0, on_device = 0;
      {
        auto model = offload_model(cuda_backend(), type, trainable);
        if (trainable) {
          train_steps(*model, 1, [] {});
        } else {
          score(*model);
        }
        generate_some(*model);
        on_device = cuda_shim::device_bytes();
        model->offload();
        device = cuda_shim::device_bytes();
        pinned = cuda_shim::pinned_bytes() - pinned_before;
        int64_t parts = model->parameter_bytes() + model->gradient_bytes() + model->moment_bytes() + model->activation_bytes();
        PK_CHECK(parts == 0 && model->pinned_bytes() == pinned);
      }
      PK_CHECK_WITH(device == cuda_shim::device_bytes(), std::to_string(device - cuda_shim::device_bytes()) + " bytes are left on the device");
      PK_CHECK(device < on_device && pinned > 0 && cuda_shim::pinned_bytes() == pinned_before);
    }
}

PK_TEST("cuda: a trimmed model holds weights and moments, and gradients that are not zero") {
  auto model = offload_model(cuda_backend(), DType::bf16, true);
  train_steps(*model, 1, [] {});
  generate_some(*model);
  int64_t state = 0, weights = model->table().size * 4 + model->table().vectors * 2, four = model->table().size * 4;
  auto trimmed = [&] {
    model->trim();
    state = cuda_shim::device_bytes();
    return model->parameter_bytes() + model->gradient_bytes() + model->moment_bytes() + model->activation_bytes();
  };
  PK_CHECK(trimmed() == weights + 3 * four);
  model->step({1e-2f, 0.9, 0.999, 1e-8f, 0.1f, 1.0f});
  PK_CHECK(trimmed() == weights + 2 * four);
  model.reset();
  PK_CHECK(state - cuda_shim::device_bytes() == weights + 2 * four);
}

PK_TEST("cuda: what goes to the host is what cannot be made anew") {
  auto model = offload_model(cuda_backend(), DType::bf16, true, DType::bf16);
  forward(*model, true);
  backward(*model);
  model->step({1e-2f, 0.9, 0.999, 1e-8f, 0.1f, 1.0f});
  model->offload();
  PK_CHECK(model->pinned_bytes() == model->table().size * (4 + 2 + 2));  // masters and moments; no zero gradients, no rounded copy
}

PK_TEST("cuda: a model that finds no room stays offloaded, and comes back when there is some") {
  for (int which : {1, 2, 3}) {  // of the allocations that bring it back
    auto model = offload_model(cuda_backend(), DType::f32, true), same = offload_model(cuda_backend(), DType::f32, true);
    for (Qwen2* m : {model.get(), same.get()}) train_steps(*m, 1, [] {});
    model->offload();
    cuda_shim::fail_allocations_after(which - 1, 1);
    PK_CHECK(code_of([&] { model->restore(); }) == "ERR_OUT_OF_MEMORY");
    PK_CHECK(train_steps(*model, 1, [&] { model->offload(); }) == train_steps(*same, 1, [] {}));
  }
}

PK_TEST("cuda: a model for which the host has no memory stays on the device") {
  auto model = offload_model(cuda_backend(), DType::f32, true), same = offload_model(cuda_backend(), DType::f32, true);
  for (Qwen2* m : {model.get(), same.get()}) train_steps(*m, 1, [] {});
  cuda_shim::fail_pinned(1);
  PK_CHECK(code_of([&] { model->offload(); }) == "ERR_OUT_OF_MEMORY");
  PK_CHECK(model->parameter_bytes() > 0);
  PK_CHECK(train_steps(*model, 1, [&] { model->offload(); }) == train_steps(*same, 1, [] {}));
}

}  // namespace pk::test
