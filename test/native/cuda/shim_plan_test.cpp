// The plan of a model's memory against what the CUDA backend then allocates, counted by the shim.
#include "../harness.h"
#include "compare.h"
#include "cuda/cuda_backend.h"
#include "model/memory_plan.h"
#include "offload_model.h"
#include "shim_control.h"

namespace pk::test {

PK_TEST("cuda: a model allocates what was planned") {
  ModelConfig config{32, 2, 4, 2, 8, 96, 2000, 1e-6f, false, true, false, false, {1.0f, 0.1f, 0.01f, 0.001f}, 1.0f};
  std::vector<int32_t> offsets = {0, 30, 64}, tokens = random_ids(64, 2000, 9), prompts = {1, 1}, short_offsets = {0, 3, 8};
  PackedBatch batch = make_packed_batch(tokens.data(), 64, offsets.data(), 2), few = make_packed_batch(tokens.data(), 8, short_offsets.data(), 2);
  for (DType type : {DType::f32, DType::bf16})
    for (DType moments : {DType::f32, DType::bf16})
      for (bool recompute : {false, true}) {
        auto device = make_cuda_backend();
        int64_t before = cuda_shim::device_bytes();
        auto used = [&] { return cuda_shim::device_bytes() - before - static_cast<CudaBackend&>(*device).scratch().bytes(); };
        std::string name = type_name(type) + ", moments " + type_name(moments) + (recompute ? ", recomputing" : "");
        Qwen2 model(*device, config, type, recompute, true, moments);
        PlannedWork work;
        MemoryPlan plan = plan_memory(config, type, recompute, true, moments, work, nullptr);
        PK_CHECK_WITH(used() == plan.weights + plan.rounded, name);

        JobContext job;
        std::vector<float> logprobs(62), entropy(62);
        model.forward(logprobs.data(), entropy.data(), batch, prompts.data(), 1.0f, true, job);
        model.backward(logprobs.data(), nullptr, job);
        model.step({1e-3f, 0.9, 0.999, 1e-8f, 0.1f, 1.0f});
        work.train_tokens = 64;
        plan = plan_memory(config, type, recompute, true, moments, work, nullptr);
        PK_CHECK(model.gradient_bytes() == plan.gradients && model.moment_bytes() == plan.moments);
        int64_t planned = plan.weights + plan.rounded + plan.gradients + plan.moments + plan.activations, small = 16 << 10;  // cosines, token ids
        PK_CHECK_WITH(used() <= planned + small && used() >= planned - planned / 50,
                      name + ": " + std::to_string(used()) + ", planned " + std::to_string(planned));

        GenerateSettings settings;
        settings.samples = 4;
        settings.max_new_tokens = 20;
        settings.max_batch = work.slots = 6;
        work.prompt_tokens = 5;
        work.new_tokens = 20;
        cuda_shim::device_peak();
        generate(model, few, {0, 1, 2, 3, 4, 5, 6, 7}, settings, job);
        int64_t peak = cuda_shim::device_peak() - before - static_cast<CudaBackend&>(*device).scratch().bytes();
        plan = plan_memory(config, type, recompute, true, moments, work, nullptr);
        PK_CHECK_WITH(model.cache_bytes() == plan.cache, name + ": " + std::to_string(model.cache_bytes()) + ", planned " + std::to_string(plan.cache));
        // Prompts are planned to be computed 2,048 tokens at once; here there are eight.
        PK_CHECK_WITH(peak <= planned + plan.cache + plan.decoding + small, name);
        PK_CHECK_WITH(peak > planned + plan.cache, name);

        model.offload();
        PK_CHECK_WITH(model.pinned_bytes() == plan.weights + plan.moments, name);
      }
}

}  // namespace pk::test
