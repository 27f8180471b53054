#include "model/decode.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "model/decode_queue.h"

namespace pk {

namespace {

struct Active {
  int64_t sequence;  // p * G + g
  int32_t slot;
  int32_t length;  // entries in the cache
  int32_t token;   // the next input
};

// Decodes in one batch of slots, on the threads of its caller.
class Decoder {
 public:
  Decoder(Qwen2& model, const PackedBatch& prompts, const GenerateSettings& settings, JobContext& job, DecodeQueue& queue, Arena& cache_arena, int64_t slots,
          int64_t capacity)
      : model_(model),
        backend_(model.backend()),
        prompts_(prompts),
        settings_(settings),
        job_(job),
        queue_(queue),
        cache_arena_(cache_arena),
        prefill_arena_(backend_),
        last_arena_(backend_),
        step_arena_(backend_),
        logits_arena_(backend_),
        prefill_uploads_(backend_),
        step_uploads_(backend_),
        draw_uploads_(backend_),
        repeated_(backend_.make_repeated()),
        capacity_(capacity),
        slots_(slots) {
    free_.resize(static_cast<size_t>(slots_));
    std::iota(free_.rbegin(), free_.rend(), 0);
    allocate_cache();
  }

  void run() {
    while (!queue_.has_failed() && (!active_.empty() || !queue_.is_done())) {
      job_.check();
      while (admit()) job_.check();
      if (!active_.empty()) step();
    }
  }

 private:
  void allocate_cache() {
    HeadShape s = model_.shape();
    int64_t rows = (slots_ + (repeated_->records() ? 1 : 0)) * s.kv_heads * capacity_;  // the last slot is for rows that fill up a step
    cache_arena_.reset();
    for (int pass = 0; pass < 2; ++pass) {
      if (pass == 1) cache_arena_.allocate();
      keys_.clear();
      values_.clear();
      for (int64_t l = 0; l < model_.config().layers; ++l) {
        keys_.push_back(cache_arena_.take(model_.compute(), rows, s.head_size));
        values_.push_back(cache_arena_.take(model_.compute(), rows, s.padded_head()));
      }
    }
  }

  // False when there was no prompt to start.
  bool admit() {
    std::vector<Admission> admitted = queue_.take(static_cast<int64_t>(free_.size()), slots_);
    if (admitted.empty()) return false;

    PackedBatch batch;
    batch.offsets.push_back(0);
    std::vector<int32_t> last;
    std::vector<std::vector<int32_t>> slots;
    for (const Admission& a : admitted) {
      int32_t begin = prompts_.offsets[a.prompt], end = prompts_.offsets[a.prompt + 1];
      for (int32_t i = begin; i < end; ++i) {
        batch.tokens.push_back(prompts_.tokens[i]);
        batch.positions.push_back(i - begin);
      }
      batch.offsets.push_back(static_cast<int32_t>(batch.tokens.size()));
      last.push_back(batch.offsets.back() - 1);
      slots.emplace_back(free_.end() - a.count, free_.end());
      free_.resize(free_.size() - static_cast<size_t>(a.count));
    }
    Tensor hidden = prefill(batch, last, slots);  // [admitted, C]

    std::vector<int32_t> rows;
    std::vector<Active> started;
    for (size_t i = 0; i < admitted.size(); ++i)
      for (int64_t g = 0; g < admitted[i].count; ++g) {
        rows.push_back(static_cast<int32_t>(i));
        started.push_back({admitted[i].first + g, slots[i][static_cast<size_t>(g)], batch.offsets[i + 1] - batch.offsets[i], 0});
      }
    sample(hidden, rows, started);
    for (Active& a : started) accept(a);
    return true;
  }

  // What n tokens need on their way through the layers.
  struct Work {
    LayerActivations a;
    Tensor act, delta, normed, rstd;
  };
  Work lay_out(Arena& arena, int64_t n) {
    Work w;
    arena.reset();
    for (int pass = 0; pass < 2; ++pass) {
      if (pass == 1) arena.allocate();
      w.a = model_.take_layer(arena, n, true);
      w.act = arena.take(model_.compute(), n, model_.config().feed_forward_size);
      w.delta = arena.take(model_.compute(), n, model_.config().hidden_size);
      w.normed = arena.take(model_.compute(), n, model_.config().hidden_size);
      w.rstd = arena.take(DType::f32, n, 1);
    }
    return w;
  }

  // Embeds tokens and takes them through all layers; their normed hidden states [n, C] are then in w.normed.
  // attend(layer, activations) fills activations.attention from activations.qkv and the caches.
  template <class Attend>
  void run_layers(const Work& w, const int32_t* tokens, const int32_t* positions, const Attend& attend) {
    backend_.embedding_forward(w.a.x_in, tokens, model_.embedding());
    for (int64_t l = 0; l < model_.config().layers; ++l) {
      model_.layer_qkv(l, w.a, w.a.x_in, l ? w.delta : Tensor(), positions);
      attend(l, w.a);
      model_.layer_rest(l, w.a, w.act, w.delta);
      job_.check();
    }
    model_.final_norm(w.normed, w.rstd.f32(), w.a.x_in, w.a.x_in, w.delta);
  }

  // Fills the caches of the prompts' slots, and returns the last tokens' normed hidden states [prompts, C].
  Tensor prefill(const PackedBatch& batch, const std::vector<int32_t>& last, const std::vector<std::vector<int32_t>>& slots) {
    std::vector<int32_t> all_slots;
    for (const auto& of_prompt : slots) all_slots.insert(all_slots.end(), of_prompt.begin(), of_prompt.end());
    const int32_t *tokens, *positions, *offsets, *last_rows, *first_slots;
    prefill_uploads_.send({{batch.tokens, tokens}, {batch.positions, positions}, {batch.offsets, offsets}, {last, last_rows}, {all_slots, first_slots}});
    Work work = lay_out(prefill_arena_, batch.size());
    run_layers(work, tokens, positions, [&](int64_t l, const LayerActivations& a) {
      const int32_t* next_slots = first_slots;
      for (size_t i = 0; i < slots.size(); ++i) {
        int64_t copies = static_cast<int64_t>(slots[i].size());
        backend_.cache_fill(keys_[l], values_[l], a.qkv.slice_rows(batch.offsets[i], batch.offsets[i + 1] - batch.offsets[i]), next_slots, copies, capacity_,
                            model_.shape());
        next_slots += copies;
      }
      job_.check();
      backend_.attention_forward(a.attention, nullptr, a.qkv, offsets, batch.rows(), model_.shape());
    });
    Tensor hidden;
    last_arena_.reset();
    for (int pass = 0; pass < 2; ++pass) {
      if (pass == 1) last_arena_.allocate();
      hidden = last_arena_.take(model_.compute(), static_cast<int64_t>(last.size()), model_.config().hidden_size);
    }
    backend_.gather_rows(hidden, work.normed, last_rows);
    return hidden;
  }

  // One token for every active sequence.
  void step() {
    int64_t m = static_cast<int64_t>(active_.size());
    int64_t padded = (m + 31) / 32 * 32;                    // few different shapes: few primitives are made, few steps recorded
    int64_t attending = repeated_->records() ? padded : m;  // rows that fill up are the last slot's first token
    std::vector<int32_t> tokens(padded, 0), slots(attending, static_cast<int32_t>(slots_)), lengths(padded, 0), rows(m);
    for (int64_t i = 0; i < m; ++i) {
      tokens[i] = active_[i].token;
      slots[i] = active_[i].slot;
      lengths[i] = active_[i].length;
      rows[i] = static_cast<int32_t>(i);
    }
    const int32_t *on_tokens, *on_slots, *on_lengths;
    step_uploads_.send({{tokens, on_tokens}, {slots, on_slots}, {lengths, on_lengths}});
    Work work = lay_out(step_arena_, padded);
    std::vector<int64_t> key = {padded, reinterpret_cast<int64_t>(work.a.x_in.data), reinterpret_cast<int64_t>(on_tokens)};
    repeated_->run(key, [&] {
      run_layers(work, on_tokens, on_lengths, [&](int64_t l, const LayerActivations& a) {
        backend_.decode_attention(a.attention.slice_rows(0, attending), keys_[l], values_[l], a.qkv.slice_rows(0, attending), on_slots, on_lengths, capacity_,
                                  model_.shape());
      });
    });
    std::vector<Active> moved = std::move(active_);
    active_.clear();
    for (Active& s : moved) ++s.length;
    sample(work.normed, rows, moved);
    for (Active& s : moved) accept(s);
  }

  // Draws the next token of every sequence; sequence i's distribution comes from row rows[i] of hidden.
  void sample(Tensor hidden, const std::vector<int32_t>& rows, std::vector<Active>& sequences) {
    int64_t v = model_.config().vocab_size, count = static_cast<int64_t>(sequences.size());
    int64_t chunk = logits_rows(v);
    for (int64_t begin = 0; begin < hidden.rows; begin += chunk) {
      int64_t size = std::min(chunk, hidden.rows - begin);
      Tensor logits = take_logits(size);
      model_.linear(logits, hidden.slice_rows(begin, size), model_.head());
      for (int64_t i = 0; i < count; ++i) {
        if (rows[i] < begin || rows[i] >= begin + size) continue;
        // Sequences of one row come one after another; a run of consecutive rows is drawn in one call.
        int64_t end = i + 1;
        while (end < count && rows[end] == rows[end - 1] + 1 && rows[end] < begin + size) ++end;
        draw(logits.f32() + (rows[i] - begin) * v, sequences, i, end);
        i = end - 1;
      }
      job_.check();
    }
  }

  Tensor take_logits(int64_t rows) {
    Tensor logits;
    logits_arena_.reset();
    for (int pass = 0; pass < 2; ++pass) {
      if (pass == 1) logits_arena_.allocate();
      logits = logits_arena_.take(DType::f32, rows, model_.config().vocab_size);
      drawn_tokens_ = logits_arena_.take(DType::f32, rows, 1);  // int32
      drawn_logprobs_ = logits_arena_.take(DType::f32, rows, 1);
    }
    return logits;
  }

  // At most as many sequences as the logits have rows.
  void draw(const float* logits, std::vector<Active>& sequences, int64_t begin, int64_t end) {
    int64_t m = end - begin;
    std::vector<uint64_t> ids(m);
    std::vector<int32_t> positions(m), tokens(m);
    std::vector<float> logprobs(m);
    for (int64_t i = 0; i < m; ++i) {
      int64_t sequence = sequences[begin + i].sequence;
      ids[i] = queue_.ids[sequence];
      positions[i] = static_cast<int32_t>(queue_.out[sequence].tokens.size());
    }
    const uint64_t* on_ids;
    const int32_t* on_positions;
    draw_uploads_.send({{ids, on_ids}, {positions, on_positions}});
    backend_.sample(drawn_tokens_.as<int32_t>(), drawn_logprobs_.f32(), logits, on_ids, on_positions, m, model_.config().vocab_size, settings_.sampling);
    backend_.copy_to_host(tokens.data(), drawn_tokens_.data, m * 4);
    backend_.copy_to_host(logprobs.data(), drawn_logprobs_.data, m * 4);
    for (int64_t i = 0; i < m; ++i) {
      if (tokens[i] < 0) throw Error("ERR_NON_FINITE", "Generation met logits that are not finite: the model's weights have diverged or are corrupt.");
      Active& s = sequences[begin + i];
      s.token = tokens[i];
      queue_.out[s.sequence].tokens.push_back(tokens[i]);
      queue_.out[s.sequence].logprobs.push_back(logprobs[i]);
      if (settings_.stream_tokens) queue_.sampled(s.sequence, tokens[i]);
    }
  }

  // Keeps a sequence active, or finishes it and frees its slot.
  void accept(const Active& s) {
    GeneratedSequence& sequence = queue_.out[s.sequence];
    bool stop =
        std::find(settings_.stop_tokens.begin(), settings_.stop_tokens.end(), s.token) != settings_.stop_tokens.end() || ends_in_stop_string(sequence.tokens);
    if (!stop && static_cast<int64_t>(sequence.tokens.size()) < settings_.max_new_tokens) {
      active_.push_back(s);
      return;
    }
    sequence.stopped = stop;
    free_.push_back(s.slot);
    queue_.finished();
  }

  // True when the newest token completes a stop string (which may have begun in earlier tokens).
  bool ends_in_stop_string(const std::vector<int32_t>& tokens) const {
    if (settings_.stop_strings.empty()) return false;
    size_t longest = 0;
    for (const std::string& s : settings_.stop_strings) longest = std::max(longest, s.size());
    const std::string& newest = settings_.token_bytes[tokens.back()];
    std::string tail = newest;
    for (size_t i = tokens.size() - 1; i > 0 && tail.size() < newest.size() + longest; --i) tail.insert(0, settings_.token_bytes[tokens[i - 1]]);
    for (const std::string& s : settings_.stop_strings) {
      size_t from = tail.size() >= newest.size() + s.size() ? tail.size() - newest.size() - s.size() + 1 : 0;
      if (!s.empty() && tail.find(s, from) != std::string::npos) return true;
    }
    return false;
  }

  Qwen2& model_;
  Backend& backend_;
  const PackedBatch& prompts_;
  const GenerateSettings& settings_;
  JobContext& job_;
  DecodeQueue& queue_;
  Arena& cache_arena_;
  Arena prefill_arena_, last_arena_, step_arena_, logits_arena_;
  Uploads prefill_uploads_, step_uploads_, draw_uploads_;
  std::unique_ptr<Repeated> repeated_;  // a step's way through the layers
  std::vector<Tensor> keys_, values_;   // per layer; see Backend::decode_attention
  Tensor drawn_tokens_, drawn_logprobs_;
  std::vector<int32_t> free_;
  std::vector<Active> active_;
  int64_t capacity_, slots_;
};

}  // namespace

std::vector<GeneratedSequence> generate(Qwen2& model, const PackedBatch& prompts, const std::vector<uint64_t>& sequence_ids, const GenerateSettings& settings,
                                        JobContext& job) {
  if (prompts.rows() == 0 || settings.samples == 0) return {};
  DecodeQueue queue(prompts, sequence_ids, settings, job);
  int64_t longest = 0;
  for (int64_t p = 0; p < prompts.rows(); ++p) longest = std::max<int64_t>(longest, prompts.offsets[p + 1] - prompts.offsets[p]);
  int64_t capacity = (longest + settings.max_new_tokens + 15) / 16 * 16;
  int64_t slots = std::min(settings.max_batch, queue.total), shards = model.backend().decode_shards(slots);
  model.restore();
  model.rope_table(capacity);
  model.pack_weights();
  for (int64_t i = 0; i < shards; ++i) model.cache_arena(i);
  model.backend().run_shards(shards, [&](int64_t shard) {
    JobScope scope(job);
    try {
      Decoder(model, prompts, settings, job, queue, model.cache_arena(shard), (slots + shards - 1) / shards, capacity).run();
    } catch (...) {
      queue.fail();
      throw;
    }
  });
  return std::move(queue.out);
}

}  // namespace pk
