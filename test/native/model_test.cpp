// The whole model on odd sizes: forward, backward, step, generation, files; aborts between units of work.
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "harness.h"
#include "model/decode.h"
#include "model/qwen2.h"
#include "model/tensor_file.h"

namespace pk::test {

static const ModelConfig kConfigs[] = {
    {16, 2, 4, 2, 4, 24, 33, 10000.0, 1e-6f, true, true},
    {18, 1, 3, 1, 6, 10, 7, 10000.0, 1e-6f, false, true},
    {34, 3, 1, 1, 34, 5, 130, 1e6, 1e-5f, true, true},
};
static const std::vector<std::vector<int32_t>> kLengths = {{1}, {2, 0, 5}, {17, 1, 33}};

static PackedBatch batch_of(const std::vector<int32_t>& lengths, int64_t vocab) {
  auto offsets = offsets_of(lengths);
  auto tokens = random_ids(offsets.back(), vocab, 9);
  return make_packed_batch(tokens.data(), offsets.back(), offsets.data(), static_cast<int64_t>(lengths.size()));
}

// Tokens that are scored when every row's first is context.
static int64_t scored(const std::vector<int32_t>& lengths) {
  int64_t n = 0;
  for (int32_t length : lengths) n += length > 0 ? length - 1 : 0;
  return n;
}

PK_TEST("model: forward, backward, step") {
  for (const ModelConfig& config : kConfigs)
    for (DType type : {DType::f32, DType::bf16})
      for (bool recompute : {false, true}) {
        Qwen2 model(backend(), config, type, recompute);
        model.initialize(3, 0.1f);
        JobContext job;
        for (const auto& lengths : kLengths) {
          PackedBatch batch = batch_of(lengths, config.vocab_size);
          int64_t r = scored(lengths);
          std::vector<int32_t> prompts(lengths.size(), 1);
          Buffer logprobs(DType::f32, r, 1), entropy(DType::f32, r, 1), d(DType::f32, r, 1, 1), d_entropy(DType::f32, r, 1, 2),
              logits(DType::f32, batch.size(), config.vocab_size);
          model.forward(logprobs.f32(), entropy.f32(), batch, prompts.data(), 0.8f, true, job);
          model.backward(d.f32(), d_entropy.f32(), job);
          StepResult result = model.step({1e-3f, 0.9f, 0.999f, 1e-8f, 0.1f, 1.0f});
          PK_CHECK(logprobs.finite() && entropy.finite() && std::isfinite(result.grad_norm) && !result.skipped);
          model.logits(logits.f32(), batch, job);
          PK_CHECK(logits.finite());
        }
        Qwen2 copy(backend(), config, type, recompute);
        copy.copy_from(model);
        for (int64_t i = 0; i < model.table().size; ++i) PK_CHECK(copy.flat(Qwen2::Slot::value)[i] == model.flat(Qwen2::Slot::value)[i]);
      }
}

PK_TEST("model: generation, the same in few slots as in many") {
  for (const ModelConfig& config : kConfigs)
    for (DType type : {DType::f32, DType::bf16}) {
      Qwen2 model(backend(), config, type, false);
      model.initialize(4, 0.3f);
      JobContext job;
      PackedBatch prompts = batch_of({1, 3, 18}, config.vocab_size);
      GenerateSettings settings;
      settings.samples = 3;
      settings.max_new_tokens = 17;
      settings.sampling = {1.0f, 0.95f, 0, 5};
      settings.stop_tokens = {2};
      settings.stop_strings = {"bc"};
      for (int64_t v = 0; v < config.vocab_size; ++v) settings.token_bytes.push_back(std::string(1, static_cast<char>('a' + v % 26)));
      std::vector<uint64_t> ids = {0, 1, 2, 3, 4, 5, 6, 7, 8};
      std::vector<GeneratedSequence> first;
      for (int64_t slots : {1, 2, 64}) {
        settings.max_batch = slots;
        auto found = generate(model, prompts, ids, settings, job);
        PK_CHECK(found.size() == 9);
        for (const auto& sequence : found)
          PK_CHECK(!sequence.tokens.empty() && sequence.tokens.size() <= 17 && sequence.tokens.size() == sequence.logprobs.size());
        if (first.empty()) first = found;
        if (type == DType::f32)
          for (size_t i = 0; i < 9; ++i)
            PK_CHECK_WITH(found[i].tokens == first[i].tokens, "sequence " + std::to_string(i) + " in " + std::to_string(slots) + " slots");
      }
    }
}

PK_TEST("model: an abort at every unit of work leaves a working model") {
  const ModelConfig& config = kConfigs[0];
  Qwen2 model(backend(), config, DType::f32, false);
  model.initialize(5, 0.1f);
  PackedBatch batch = batch_of({9, 4}, config.vocab_size);
  std::vector<int32_t> prompts = {1, 1};
  Buffer logprobs(DType::f32, 11, 1), entropy(DType::f32, 11, 1), d(DType::f32, 11, 1, 1);
  std::atomic<int32_t> flag{0};
  int aborted = 0;
  for (int unit = 1; unit < 8; ++unit) {
    flag = 0;
    int seen = 0;
    JobContext job;
    job.cancel = &flag;
    job.progress = [&](int64_t, int64_t) {
      if (++seen == unit) flag = 1;
    };
    try {
      model.forward(logprobs.f32(), entropy.f32(), batch, prompts.data(), 1.0f, true, job);
      model.backward(d.f32(), nullptr, job);
    } catch (const Aborted&) {
      ++aborted;
    }
  }
  PK_CHECK(aborted >= 2);
  JobContext job;
  model.zero_gradients();
  model.forward(logprobs.f32(), entropy.f32(), batch, prompts.data(), 1.0f, true, job);
  model.backward(d.f32(), nullptr, job);
  PK_CHECK(!model.step({1e-3f, 0.9f, 0.999f, 1e-8f, 0.0f, 1.0f}).skipped);
}

PK_TEST("tensor files") {
  auto path = (std::filesystem::temp_directory_path() / ("primekit-native-" + std::to_string(philox(1, 2, 3)[0]) + ".bin")).string();
  Buffer values(DType::f32, 1, 37, 1), back(DType::f32, 1, 37);
  write_file(path, "head", {{values.f32(), 37, FileType::f32}, {values.f32(), 5, FileType::bf16}, {values.f32(), 0, FileType::f32}});
  {
    MappedFile file(path);
    PK_CHECK(file.size() == 4 + 37 * 4 + 5 * 2);
    read_elements(back.f32(), file.data() + 4, FileType::f32, 37);
    PK_CHECK(back == values);
    read_elements(back.f32(), file.data() + 4 + 37 * 4, FileType::bf16, 5);
    read_elements(back.f32(), file.data() + 4, FileType::f16, 37);
  }
  std::filesystem::remove(path);
  bool refused = false;
  try {
    MappedFile missing(path);
  } catch (const Error& error) {
    refused = error.code() == "ERR_IO";
  }
  PK_CHECK(refused);
}

}  // namespace pk::test
