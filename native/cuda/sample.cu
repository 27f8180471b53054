// Sampling: temperature, top-k, top-p, by inverse cumulative distribution with a counter-based uniform draw. One block per row.
//
// top-k and top-p need the weights in descending order (ties: smaller id first). They are not sorted: positions in that order
// are found by descending through the bits of the weight, eight at a time. Masses are integers there (units of 2^-44 of the
// largest weight), so that sums do not depend on the order in which threads add.
#include "core/rng.h"
#include "cuda/common.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

namespace {

constexpr int kThreads = 512;
constexpr int kChunk = 1024;                    // weights summed by one warp at a time
constexpr double kMassUnit = 17592186044416.0;  // 2^44

using Mass = unsigned long long;

// A row's weights e^((logit - top) / temperature), computed whenever they are needed.
struct Weights {
  const float* logits;
  int64_t vocab;
  float top, inverse_temperature;
  __device__ float operator()(int64_t i) const { return i < vocab ? expf((logits[i] - top) * inverse_temperature) : 0.0f; }
  __device__ uint32_t key(int64_t i) const { return __float_as_uint((*this)(i)); }  // ordered as the weights are, which are not negative
  __device__ int64_t chunks() const { return (vocab + kChunk - 1) / kChunk; }
};
__device__ Mass mass_of(float weight) { return static_cast<Mass>(static_cast<double>(weight) * kMassUnit + 0.5); }

struct Smaller {
  __device__ int64_t operator()(int64_t a, int64_t b) const { return a < b ? a : b; }
};

// The smallest id whose logit is the largest.
__device__ int64_t argmax(const Weights& w) {
  int64_t best = w.vocab;
  for (int64_t i = threadIdx.x; i < w.vocab; i += kThreads)
    if (w.logits[i] == w.top) best = i < best ? i : best;
  return block_reduce(best, Smaller());
}

// sums[chunk] for every chunk of value(i), by whole warps.
template <class T, class Value>
__device__ void chunk_sums(T* sums, const Weights& w, const Value& value) {
  __syncthreads();
  for (int64_t c = threadIdx.x / kWarp; c < w.chunks(); c += kThreads / kWarp) {
    T sum = 0;
#pragma unroll 8
    for (int j = threadIdx.x % kWarp; j < kChunk; j += kWarp) sum += value(c * kChunk + j);
    sum = warp_reduce(sum, Sum());
    if (threadIdx.x % kWarp == 0) sums[c] = sum;
  }
  __syncthreads();
}

// The first i at which the running sum of value(0), value(1), ... is above `target`; -1 when none is. Same in every thread.
template <class T, class Value>
__device__ int64_t first_above(const T* sums, const Weights& w, T target, const Value& value) {
  __shared__ int64_t found;
  __syncthreads();
  if (threadIdx.x == 0) found = -1;
  __syncthreads();
  if (threadIdx.x < kWarp) {
    T before = 0;
    int64_t c = 0;
    while (c < w.chunks() && !(before + sums[c] > target)) before += sums[c++];
    for (int j = threadIdx.x; c < w.chunks() && j < kChunk; j += kWarp) {
      T own = value(c * kChunk + j), sum = own;
      for (int by = 1; by < kWarp; by *= 2) {
        T below = __shfl_up_sync(kAllLanes, sum, by);
        if (static_cast<int>(threadIdx.x) >= by) sum += below;
      }
      unsigned above = __ballot_sync(kAllLanes, own > 0 && before + sum > target);
      if (above) {
        if (threadIdx.x == 0) found = c * kChunk + j + __ffs(static_cast<int>(above)) - 1;
        break;
      }
      before += __shfl_sync(kAllLanes, sum, kWarp - 1);
    }
  }
  __syncthreads();
  return found;
}

// A place in the descending order of weights: the weight's bits, and the mass and the number of all larger weights.
struct Place {
  uint32_t key;
  Mass mass_before;
  uint32_t count_before;
};

// The weight at which crosses(mass up to and with it, number up to and with it) first holds.
template <class Crosses>
__device__ Place descend(const Weights& w, const Crosses& crosses) {
  __shared__ Mass masses[256];
  __shared__ unsigned counts[256];
  __shared__ Place place;
  __syncthreads();
  if (threadIdx.x == 0) place = {0, 0, 0};
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int b = threadIdx.x; b < 256; b += kThreads) masses[b] = counts[b] = 0;
    __syncthreads();
    uint32_t above = place.key;
    for (int64_t i = threadIdx.x; i < w.vocab; i += kThreads) {
      float weight = w(i);
      uint32_t key = __float_as_uint(weight);
      if (shift < 24 && key >> (shift + 8) != above >> (shift + 8)) continue;
      atomicAdd(&masses[key >> shift & 255], mass_of(weight));
      atomicAdd(&counts[key >> shift & 255], 1u);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int b = 255, last = -1;
      for (; b >= 0; --b) {
        if (counts[b] == 0) continue;
        if (crosses(place.mass_before + masses[b], place.count_before + counts[b])) break;
        last = b;
        place.mass_before += masses[b];
        place.count_before += counts[b];
      }
      if (b < 0) {  // nothing crosses: the smallest weight
        b = last;
        place.mass_before -= masses[b];
        place.count_before -= counts[b];
      }
      place.key |= static_cast<uint32_t>(b) << shift;
    }
    __syncthreads();
  }
  return place;
}

// top-k, then top-p on what is left (renormalised), as transformers does.
__device__ int64_t pick_restricted(Mass* sums, const Weights& w, const SampleSettings& s, float uniform) {
  Mass total = 0;
  if (s.top_k > 0 && s.top_k < w.vocab) {
    unsigned k = static_cast<unsigned>(s.top_k);
    Place last = descend(w, [k](Mass, unsigned count) { return count >= k; });
    total = last.mass_before + (k - last.count_before) * mass_of(__uint_as_float(last.key));
  } else {
    chunk_sums(sums, w, [&](int64_t i) { return mass_of(w(i)); });
    for (int64_t c = 0; c < w.chunks(); ++c) total += sums[c];
  }
  if (s.top_p < 1.0f) {
    // The fewest weights whose mass reaches top_p of the total, the last of them included.
    Mass least = static_cast<Mass>(static_cast<double>(s.top_p) * static_cast<double>(total));
    if (least == 0) least = 1;
    Place last = descend(w, [least](Mass mass, unsigned) { return mass >= least; });
    Mass each = mass_of(__uint_as_float(last.key));
    Mass ties = each > 0 && least > last.mass_before ? (least - last.mass_before + each - 1) / each : 1;
    total = last.mass_before + ties * each;
  }
  Mass target = static_cast<Mass>(static_cast<double>(uniform) * static_cast<double>(total));
  Place chosen = descend(w, [target](Mass mass, unsigned) { return mass > target; });
  Mass each = mass_of(__uint_as_float(chosen.key)), tie = each > 0 && target > chosen.mass_before ? (target - chosen.mass_before) / each : 0;
  auto is_tie = [&](int64_t i) { return static_cast<Mass>(i < w.vocab && w.key(i) == chosen.key); };
  chunk_sums(sums, w, is_tie);
  return first_above(sums, w, tie, is_tie);
}

// Shared memory: one number of 8 bytes per chunk.
__global__ void __launch_bounds__(kThreads) sample_kernel(int32_t* tokens, float* logprobs, const float* logits, const uint64_t* sequence_ids,
                                                          const int32_t* positions, int64_t vocab, SampleSettings s) {
  int64_t row = blockIdx.x;
  bool greedy = s.temperature == 0.0f;
  Weights w{logits + row * vocab, vocab, -INFINITY, greedy ? 1.0f : 1.0f / s.temperature};
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < vocab; i += kThreads) w.top = Max()(w.logits[i], w.top);
  w.top = block_reduce(w.top, Max());
  double* sums = reinterpret_cast<double*>(dynamic_shared());
  double total = 0;
  if (isfinite(w.top)) {
    chunk_sums(sums, w, [&](int64_t i) { return static_cast<double>(w(i)); });
    for (int64_t c = 0; c < w.chunks(); ++c) total += sums[c];
  }
  if (!isfinite(w.top) || !isfinite(total)) {
    if (threadIdx.x == 0) tokens[row] = -1;  // the decoder reports it
    return;
  }
  int64_t token;
  if (greedy) {
    token = argmax(w);
  } else {
    float uniform = philox_uniform(philox(s.seed, sequence_ids[row], static_cast<uint64_t>(positions[row]))[0]);
    if ((s.top_k > 0 && s.top_k < vocab) || s.top_p < 1.0f) {
      __syncthreads();
      token = pick_restricted(reinterpret_cast<Mass*>(sums), w, s, uniform);
    } else {
      token = first_above(sums, w, uniform * total, [&](int64_t i) { return static_cast<double>(w(i)); });
    }
    if (token < 0) token = argmax(w);  // rounding left none; a likely token is as good as the last one
  }
  if (threadIdx.x == 0) {
    tokens[row] = static_cast<int32_t>(token);
    logprobs[row] = (w.logits[token] - w.top) * w.inverse_temperature - static_cast<float>(log(total));
  }
}

}  // namespace

}  // namespace cuda

void CudaBackend::sample(int32_t* tokens, float* logprobs, const float* logits, const uint64_t* sequence_ids, const int32_t* positions, int64_t m,
                         int64_t vocab, const SampleSettings& settings) {
  begin("sample", m, vocab);
  cuda::launch(stream_, cuda::sample_kernel, cuda::grid_of(m), cuda::kThreads, cuda::ceil_div(vocab, cuda::kChunk) * 8, tokens, logprobs, logits, sequence_ids,
               positions, vocab, settings);
}

}  // namespace pk
