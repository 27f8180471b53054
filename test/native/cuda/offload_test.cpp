// A model that is moved to the host's memory and back between all calls is, bit for bit, the model that stays on the device.
#include "../harness.h"
#include "compare.h"
#include "offload_model.h"

namespace pk::test {

PK_TEST("cuda: a model that is offloaded or trimmed between its calls trains to the same bits") {
  for (DType type : {DType::f32, DType::bf16})
    for (DType moments : {DType::f32, DType::bf16}) {
      auto result = [&](const std::function<void(Qwen2&)>& between) {
        auto model = offload_model(cuda_backend(), type, true, moments);
        return train_steps(*model, 3, [&] { between(*model); });
      };
      std::vector<float> expected = result([](Qwen2&) {});
      PK_CHECK(result([](Qwen2& model) { model.offload(); }) == expected);
      PK_CHECK(result([](Qwen2& model) { model.trim(); }) == expected);
      PK_CHECK(result([](Qwen2& model) {
                 model.trim();
                 model.offload();
                 model.trim();
               }) == expected);
    }
}

PK_TEST("cuda: a frozen model comes back with the same bits, and generates from them") {
  for (DType type : {DType::f32, DType::bf16}) {
    auto model = offload_model(cuda_backend(), type, false);
    std::vector<float> before = values_of(*model), logprobs = score(*model);
    auto tokens = generate_some(*model);
    model->offload();
    PK_CHECK(generate_some(*model) == tokens);
    model->offload();
    PK_CHECK(score(*model) == logprobs);
    model->offload();
    model->offload();
    model->restore();
    model->restore();
    PK_CHECK(values_of(*model) == before);
    model->offload();
    auto copy = offload_model(cuda_backend(), type, true);
    copy->offload();
    copy->copy_from(*model);
    PK_CHECK(values_of(*copy) == before);
  }
}

PK_TEST("cuda: a forward kept for its backward does not outlive an offload") {
  auto model = offload_model(cuda_backend(), DType::f32, true);
  forward(*model, true);
  model->offload();
  PK_CHECK(backward_code(*model) == "ERR_STATE");
  forward(*model, true);
  model->trim();
  PK_CHECK(backward_code(*model) == "ERR_STATE");
  forward(*model, true);
  PK_CHECK(backward_code(*model) == "none");
}

PK_TEST("offload and trim do nothing where the model is in the host's memory anyway") {
  auto model = offload_model(backend(), DType::bf16, true);
  forward(*model, true);
  int64_t weights = model->parameter_bytes(), activations = model->activation_bytes();
  model->offload();
  model->trim();
  PK_CHECK(model->parameter_bytes() == weights && model->activation_bytes() == activations && model->pinned_bytes() == 0);
  PK_CHECK(backward_code(*model) == "none");
}

}  // namespace pk::test
