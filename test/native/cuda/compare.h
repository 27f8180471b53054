// Runs one op on the CPU backend, which is the specification, and on the CUDA backend, and compares what they wrote. The CUDA
// backend is the shim's (test/native/cuda_shim) or, in builds for a GPU, the device's: memory is reached through Memory alone.
#pragma once
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "../harness.h"

namespace pk::test {

inline Backend& cuda_backend() {
  static std::unique_ptr<Backend> instance = make_cuda_backend();
  return *instance;
}

class Compare {
 public:
  using Id = size_t;

  // Arrays, the same on both backends before the op. Those it writes to begin with numbers too, so that "accumulates" shows.
  Id floats(DType dtype, int64_t rows, int64_t cols, uint64_t seed, float scale = 1.0f) {
    Buffer buffer(dtype, rows, cols, seed, scale);
    const char* data = static_cast<const char*>(buffer.tensor().data);
    arrays_.push_back({std::vector<char>(data, data + buffer.tensor().bytes()), dtype, rows, cols});
    return arrays_.size() - 1;
  }
  template <class T>
  Id numbers(const std::vector<T>& values) {
    const char* data = reinterpret_cast<const char*>(values.data());
    arrays_.push_back({std::vector<char>(data, data + values.size() * sizeof(T)), DType::f32, 1, static_cast<int64_t>(values.size() * sizeof(T) / 4)});
    return arrays_.size() - 1;
  }
  void set(Id id, int64_t i, float value) {
    char* at = arrays_[id].bytes.data() + i * dtype_size(arrays_[id].dtype);
    bf16 half = to_bf16(value);
    double wide = value;
    DType dtype = arrays_[id].dtype;
    std::memcpy(at,
                dtype == DType::f32    ? static_cast<void*>(&value)
                : dtype == DType::bf16 ? static_cast<void*>(&half)
                                       : &wide,
                static_cast<size_t>(dtype_size(dtype)));
  }

  // Where the arrays are in one backend's memory.
  class Place {
   public:
    Place(Backend& backend, const Compare& all) : backend_(backend), all_(all) {
      for (const Array& a : all.arrays_) {
        data_.push_back(backend.allocate(static_cast<int64_t>(a.bytes.size())));
        backend.copy_from_host(data_.back(), a.bytes.data(), static_cast<int64_t>(a.bytes.size()));
      }
    }
    ~Place() {
      for (void* data : data_) backend_.release(data);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    Tensor operator()(Id id) const { return {data_[id], all_.arrays_[id].dtype, all_.arrays_[id].rows, all_.arrays_[id].cols}; }
    float* f32(Id id) const { return static_cast<float*>(data_[id]); }
    int32_t* ids(Id id) const { return static_cast<int32_t*>(data_[id]); }
    template <class T>
    T* as(Id id) const {
      return static_cast<T*>(data_[id]);
    }
    std::vector<char> read(Id id) const {
      std::vector<char> bytes(all_.arrays_[id].bytes.size());
      backend_.copy_to_host(bytes.data(), data_[id], static_cast<int64_t>(bytes.size()));
      return bytes;
    }

   private:
    Backend& backend_;
    const Compare& all_;
    std::vector<void*> data_;
  };

  // op(backend, place), on both; on the CUDA backend twice, which must give the same bits.
  template <class Op>
  void run(const Op& op) {
    run_on(backend(), op, cpu_);
    run_on(cuda_backend(), op, cuda_);
    std::vector<std::vector<char>> again;
    run_on(cuda_backend(), op, again);
    for (size_t i = 0; i < arrays_.size(); ++i) PK_CHECK_WITH(again[i] == cuda_[i], "array " + std::to_string(i) + " has other bits the second time");
  }

  // Every element within `tolerance` of its size and of the mean size (and `least`); NaN where the CPU has NaN.
  void same(Id id, double tolerance, const std::string& what, double least = 1e-7) const {
    std::vector<double> expected = values(id, cpu_[id]), got = values(id, cuda_[id]);
    double mean = 0, finite = 0;
    for (double x : expected)
      if (std::isfinite(x)) mean += std::fabs(x), finite += 1;
    mean /= finite > 0 ? finite : 1;
    for (size_t i = 0; i < expected.size(); ++i) {
      double x = expected[i], y = got[i];
      bool close = std::isnan(x) ? std::isnan(y) : std::isinf(x) ? x == y : std::fabs(x - y) <= tolerance * (std::fabs(x) + mean) + least;
      PK_CHECK_WITH(close, what + ": element " + std::to_string(i) + " of " + std::to_string(expected.size()) + " is " + std::to_string(y) + ", on the CPU " +
                               std::to_string(x));
    }
  }
  // For results that come of long sums of rounded terms: the difference as a whole within `tolerance`, no element far off.
  void same_norm(Id id, double tolerance, const std::string& what) const {
    std::vector<double> expected = values(id, cpu_[id]), got = values(id, cuda_[id]);
    double difference = 0, size = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      difference += (expected[i] - got[i]) * (expected[i] - got[i]);
      size += expected[i] * expected[i];
    }
    double share = size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
    PK_CHECK_WITH(share <= tolerance, what + ": differs by " + std::to_string(share) + " of its norm");
    same(id, 20 * tolerance, what);
  }
  void equal(Id id, const std::string& what) const { PK_CHECK_WITH(cpu_[id] == cuda_[id], what + ": other bits than the CPU's"); }
  std::vector<double> cuda_values(Id id) const { return values(id, cuda_[id]); }

 private:
  struct Array {
    std::vector<char> bytes;
    DType dtype;
    int64_t rows, cols;
  };

  template <class Op>
  void run_on(Backend& on, const Op& op, std::vector<std::vector<char>>& results) const {
    Place place(on, *this);
    op(on, place);
    results.clear();
    for (size_t i = 0; i < arrays_.size(); ++i) results.push_back(place.read(i));
  }
  std::vector<double> values(Id id, const std::vector<char>& bytes) const {
    const Array& a = arrays_[id];
    std::vector<double> out(static_cast<size_t>(a.rows * a.cols));
    for (size_t i = 0; i < out.size(); ++i) {
      if (a.dtype == DType::f64)
        out[i] = reinterpret_cast<const double*>(bytes.data())[i];
      else
        out[i] = a.dtype == DType::f32 ? reinterpret_cast<const float*>(bytes.data())[i] : to_float(reinterpret_cast<const bf16*>(bytes.data())[i]);
    }
    return out;
  }

  std::vector<Array> arrays_;
  std::vector<std::vector<char>> cpu_, cuda_;
};

// Two numbers that ops return.
inline void same_number(double expected, double got, double tolerance, const std::string& what) {
  bool close = std::isnan(expected) ? std::isnan(got) : std::fabs(expected - got) <= tolerance * (1 + std::fabs(expected));
  PK_CHECK_WITH(close, what + ": " + std::to_string(got) + ", on the CPU " + std::to_string(expected));
}

constexpr double kF32 = 1e-5;   // of float32 results, the project's bound
constexpr double kBf16 = 0.01;  // of bfloat16 results: an eighth bit of the fraction, and what comes of sums of such
inline double tolerance_of(DType dtype) { return dtype == DType::bf16 ? kBf16 : kF32; }
inline std::string type_name(DType dtype) { return dtype == DType::bf16 ? "bf16" : dtype == DType::f32 ? "f32" : "f64"; }

}  // namespace pk::test
