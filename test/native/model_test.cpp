// The whole model on odd sizes: forward, backward, step, generation, files; aborts between units of work.
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "harness.h"
#include "model/decode.h"
#include "model/qwen2.h"
#include "model/tensor_file.h"

namespace pk::test {

static std::vector<float> frequencies(int64_t head_size, double theta) {
  std::vector<float> out;
  for (int64_t d = 0; d < head_size / 2; ++d)
    out.push_back(static_cast<float>(std::pow(theta, -2.0 * static_cast<double>(d) / static_cast<double>(head_size))));
  return out;
}

// The last has the biases that Llama may have, and scaled cosines.
static const ModelConfig kConfigs[] = {
    {16, 2, 4, 2, 4, 24, 33, 1e-6f, true, true, false, false, frequencies(4, 1e4), 1.0f},
    {18, 1, 3, 1, 6, 10, 7, 1e-6f, false, false, false, false, frequencies(6, 1e4), 1.0f},
    {34, 3, 1, 1, 34, 5, 130, 1e-5f, true, true, true, true, frequencies(34, 1e6), 1.1f},
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
        Qwen2 model(backend(), config, type, recompute, true);
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
        Qwen2 copy(backend(), config, type, recompute, true), frozen(backend(), config, type, recompute, false),
            thawed(backend(), config, type, recompute, true);
        copy.copy_from(model);
        frozen.copy_from(model);
        thawed.copy_from(frozen);
        for (const Parameter& p : model.table().entries) {
          Buffer original(DType::f32, p.rows, p.cols), value(DType::f32, p.rows, p.cols), kept(DType::f32, p.rows, p.cols), back(DType::f32, p.rows, p.cols);
          model.read(original.f32(), p, Qwen2::Slot::value);
          copy.read(value.f32(), p, Qwen2::Slot::value);
          frozen.read(kept.f32(), p, Qwen2::Slot::value);
          thawed.read(back.f32(), p, Qwen2::Slot::value);
          PK_CHECK(value == original && back == kept);
          for (int64_t i = 0; i < p.size(); ++i) PK_CHECK(kept.at(i) == (type == DType::bf16 && p.matrix ? to_float(to_bf16(original.at(i))) : original.at(i)));
        }
      }
}

PK_TEST("model: generation, the same in few slots as in many") {
  for (const ModelConfig& config : kConfigs)
    for (DType type : {DType::f32, DType::bf16}) {
      Qwen2 model(backend(), config, type, false, type == DType::f32);  // a frozen model in bfloat16
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
  Qwen2 model(backend(), config, DType::f32, false, true);
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

static std::string scratch_file(const char* name) {
  return (std::filesystem::temp_directory_path() / ("primekit-native-" + std::to_string(getpid()) + "-" + name)).string();
}

PK_TEST("tensor files") {
  auto path = scratch_file("tensors");
  Buffer values(DType::f32, 1, 37, 1), halves(DType::bf16, 1, 5, 2), back(DType::f32, 1, 37), rounded(DType::bf16, 1, 5), widened(DType::f32, 1, 5);
  write_file(path, "head",
             {{values.tensor(), FileType::f32},
              {{values.f32(), 1, 5}, FileType::bf16},
              {{values.f32(), 1, 0}, FileType::f32},
              {halves.tensor(), FileType::bf16},
              {halves.tensor(), FileType::f32},
              {halves.tensor(), FileType::f16}},
             backend());
  {
    MappedFile file(path);
    PK_CHECK(file.size() == 4 + 37 * 4 + 5 * 2 + 5 * 2 + 5 * 4 + 5 * 2);
    load_tensor(backend(), back.tensor(), file, 4, FileType::f32);
    PK_CHECK(back == values);
    load_tensor(backend(), rounded.tensor(), file, 4, FileType::f32);
    for (int64_t i = 0; i < 5; ++i) PK_CHECK(rounded.at(i) == to_float(to_bf16(values.at(i))));
    load_tensor(backend(), rounded.tensor(), file, 4 + 37 * 4, FileType::bf16);
    for (int64_t i = 0; i < 5; ++i) PK_CHECK(rounded.at(i) == to_float(to_bf16(values.at(i))));
    load_tensor(backend(), rounded.tensor(), file, 4 + 37 * 4 + 10, FileType::bf16);
    PK_CHECK(rounded == halves);
    load_tensor(backend(), widened.tensor(), file, 4 + 37 * 4 + 20, FileType::f32);
    for (int64_t i = 0; i < 5; ++i) PK_CHECK(widened.at(i) == halves.at(i));
    load_tensor(backend(), widened.tensor(), file, 4 + 37 * 4 + 40, FileType::f16);  // values below 1: float16 holds all of bfloat16's bits
    for (int64_t i = 0; i < 5; ++i) PK_CHECK(std::abs(widened.at(i) - halves.at(i)) < 1e-7f);
  }
  std::string code;
  Buffer huge(DType::f32, 1, 1);
  huge.set(0, 1e6f);
  for (auto& attempt : std::vector<std::function<void()>>{[&] { MappedFile missing(path + ".not-here"); },
                                                          [&] {
                                                            write_file(path, "", {{huge.tensor(), FileType::f16}}, backend());
                                                          },
                                                          [&] { MappedFile removed(path); }}) {
    try {
      attempt();
      code += "none ";
    } catch (const Error& error) {
      code += error.code() + " ";
    }
  }
  PK_CHECK_WITH(code == "ERR_IO ERR_UNSUPPORTED ERR_IO ", code);
  std::filesystem::remove(path);
}

// Seeded places, sizes and types, most of them wrong, on files whose last byte is the last of its memory page: whatever
// passes the check must be readable. PRIMEKIT_FUZZ is the number of attempts.
PK_TEST("tensor files: places out of range are refused") {
  auto path = scratch_file("fuzz");
  const char* wanted = std::getenv("PRIMEKIT_FUZZ");
  int64_t attempts = wanted ? std::atoll(wanted) : 20000, refused = 0, loaded = 0, page = 4096;
  Buffer bytes(DType::f32, 1, 3 * page / 4, 7);
  write_file(path, "", {{bytes.tensor(), FileType::f32}}, backend());
  MappedFile file(path);
  std::vector<uint8_t> heap(file.data(), file.data() + file.size());
  const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, 3, page, 3 * page - 1, 3 * page, 3 * page + 1, INT64_MAX / 2, INT64_MAX - 1, INT64_MAX};
  for (int64_t i = 0; i < attempts; ++i) {
    Philox draw = philox(11, 3, static_cast<uint64_t>(i)), more = philox(12, 3, static_cast<uint64_t>(i));
    int64_t begin = draw[0] % 4 == 0 ? extremes[draw[1] % 13] : static_cast<int64_t>(draw[1] % (4 * page));
    int64_t n = more[3] % 8 == 0 ? static_cast<int64_t>(more[0] % (2 * page)) : static_cast<int64_t>(more[0] % 40);
    auto type = static_cast<FileType>(draw[2] % 3);
    DType kept = draw[3] % 2 ? DType::bf16 : DType::f32;
    Buffer to(kept, 1, n), direct(kept, 1, n);
    to.fill(0);
    direct.fill(0);
    bool inside = begin >= 0 && begin <= 3 * page && begin + n * file_type_size(type) <= 3 * page;
    try {
      load_tensor(backend(), to.tensor(), file, begin, type);
      convert_elements(direct.tensor(), heap.data() + begin, type);  // the same bytes on the heap, where the sanitizer watches every one
      ++loaded;
      PK_CHECK(inside && to == direct);
    } catch (const Error& error) {
      ++refused;
      PK_CHECK(!inside && error.code() == "ERR_MODEL_FORMAT");
    }
  }
  std::filesystem::remove(path);
  PK_CHECK(refused > attempts / 10 && loaded > attempts / 10);
}

}  // namespace pk::test
