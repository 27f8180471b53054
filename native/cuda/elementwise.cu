// matmul (by the GEMM seam), cast, column_sum and SwiGLU.
#include "cuda/cuda_backend.h"
#include "cuda/elementwise.cuh"

namespace pk {

namespace cuda {

namespace {

constexpr int kVector = 8;
constexpr int kThreads = 256;
constexpr int64_t kBlockRows = 512;  // rows summed by one block of column_sum
constexpr int kRowLanes = 8;

template <int n, class Out, class In>
__global__ void cast_kernel(Out* out, const In* in, int64_t count) {
  int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * n;
  if (i >= count) return;
  float values[n];
  load_floats(values, in + i);
  store_floats(out + i, values);
}

template <class Out, class In>
void cast_all(cudaStream_t stream, Out* out, const In* in, int64_t count) {
  int64_t whole = count / kVector * kVector;
  launch(stream, cast_kernel<kVector, Out, In>, grid_of(ceil_div(whole, kVector * kThreads)), kThreads, 0, out, in, whole);
  launch(stream, cast_kernel<1, Out, In>, grid_of(ceil_div(count - whole, kThreads)), kThreads, 0, out + whole, in + whole, count - whole);
}

// out[blockIdx.y][j] (+)= the sum of kBlockRows rows of column j; threads: 32 columns x kRowLanes.
template <class T>
__global__ void column_sum_kernel(float* out, const T* in, int64_t rows, int64_t cols, int64_t block_rows, bool accumulate) {
  __shared__ float parts[kRowLanes][kWarp];
  int64_t j = static_cast<int64_t>(blockIdx.x) * kWarp + threadIdx.x, begin = blockIdx.y * block_rows;
  int64_t end = begin + block_rows < rows ? begin + block_rows : rows;
  float sum = 0;
  if (j < cols)
    for (int64_t i = begin + threadIdx.y; i < end; i += kRowLanes) sum += to_float(in[i * cols + j]);
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || j >= cols) return;
  for (int k = 1; k < kRowLanes; ++k) sum += parts[k][threadIdx.x];
  float* to = out + blockIdx.y * cols + j;
  *to = accumulate ? *to + sum : sum;
}

// Within a few units in the last place: what the passes over [N, 2F] take is memory, and their arithmetic should stay hidden behind it.
__device__ __forceinline__ float fast_sigmoid(float x) { return reciprocal_fast(1.0f + exp2_fast(x * -1.4426950408889634f)); }

template <int n, class T>
__global__ void swiglu_kernel(T* out, const T* gate_up, int64_t f) {
  int64_t row = blockIdx.x, j = (static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * n;
  if (j >= f) return;
  float gate[n], up[n];
  load_floats(gate, gate_up + row * 2 * f + j);
  load_floats(up, gate_up + row * 2 * f + f + j);
  for (int k = 0; k < n; ++k) gate[k] = gate[k] * fast_sigmoid(gate[k]) * up[k];
  store_floats(out + row * f + j, gate);
}

template <int n, class T>
__global__ void swiglu_backward_kernel(T* d_gate_up, T* out_again, const T* d_out, const T* gate_up, int64_t f) {
  int64_t row = blockIdx.x, j = (static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * n;
  if (j >= f) return;
  float gate[n], up[n], d[n], again[n];
  load_floats(gate, gate_up + row * 2 * f + j);
  load_floats(up, gate_up + row * 2 * f + f + j);
  load_floats(d, d_out + row * f + j);
  for (int k = 0; k < n; ++k) {
    float s = fast_sigmoid(gate[k]), silu = gate[k] * s;
    again[k] = silu * up[k];
    gate[k] = d[k] * up[k] * (s + silu * (1.0f - s));
    up[k] = d[k] * silu;
  }
  store_floats(d_gate_up + row * 2 * f + j, gate);
  store_floats(d_gate_up + row * 2 * f + f + j, up);
  if (out_again) store_floats(out_again + row * f + j, again);
}

// Blocks and threads of one row of `vectors`: few idle ones.
struct RowGrid {
  int64_t blocks;
  unsigned threads;
};
RowGrid row_grid(int64_t vectors) {
  int64_t blocks = ceil_div(vectors, kThreads);
  return {blocks, static_cast<unsigned>(ceil_div(ceil_div(vectors, blocks), kWarp) * kWarp)};
}

}  // namespace

void launch_cast(cudaStream_t stream, Tensor out, Tensor in) {
  if (in.size() == 0) return;
  if (out.dtype == in.dtype)
    check(cudaMemcpyAsync(out.data, in.data, static_cast<size_t>(in.bytes()), cudaMemcpyDeviceToDevice, stream));
  else if (out.dtype == DType::bf16)
    cast_all(stream, out.as<bf16>(), in.as<const float>(), in.size());
  else
    cast_all(stream, out.as<float>(), in.as<const bf16>(), in.size());
}

int64_t column_sum_scratch(int64_t rows, int64_t cols) { return rows > kBlockRows ? ceil_div(rows, kBlockRows) * cols : 1; }

void launch_column_sum(cudaStream_t stream, float* out, float* partial, Tensor in) {
  if (in.size() == 0) return;
  dim3 threads(kWarp, kRowLanes);
  int64_t blocks = ceil_div(in.cols, kWarp), parts = ceil_div(in.rows, kBlockRows);
  dispatch(in.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    launch(stream, column_sum_kernel<T>, grid_of(blocks, parts), threads, 0, parts > 1 ? partial : out, in.as<const T>(), in.rows, in.cols, kBlockRows,
           parts == 1);
  });
  if (parts > 1) launch(stream, column_sum_kernel<float>, grid_of(blocks), threads, 0, out, partial, parts, in.cols, parts, true);
}

}  // namespace cuda

using namespace cuda;

cuda::Gemm& CudaBackend::gemm() {
  if (!gemm_) gemm_ = make_gemm();
  return *gemm_;
}

void CudaBackend::matmul(Tensor out, Tensor a, bool transpose_a, Tensor b, bool transpose_b, const float* bias, bool accumulate) {
  begin("matmul", out.rows, out.cols, transpose_a ? a.rows : a.cols);
  if (out.size() == 0) return;
  const void* typed_bias = bias;
  if (bias && out.dtype == DType::bf16) {
    Tensor rounded(scratch_.take<bf16>(out.cols), DType::bf16, 1, out.cols);
    launch_cast(stream_, rounded, Tensor(const_cast<float*>(bias), 1, out.cols));
    typed_bias = rounded.data;
  }
  gemm().matmul(stream_, out, a, transpose_a, b, transpose_b, typed_bias, accumulate);
}

void CudaBackend::cast(Tensor out, Tensor in) {
  begin("cast", in.rows, in.cols);
  launch_cast(stream_, out, in);
}

void CudaBackend::column_sum(float* out, Tensor in) {
  begin("column_sum", in.rows, in.cols);
  launch_column_sum(stream_, out, scratch_.take<float>(column_sum_scratch(in.rows, in.cols)), in);
}

void CudaBackend::swiglu_forward(Tensor out, Tensor gate_up) {
  begin("swiglu_forward", out.rows, out.cols);
  dispatch(out.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    int64_t f = out.cols;
    int n = f % kVector == 0 ? kVector : 1;
    auto kernel = n > 1 ? swiglu_kernel<kVector, T> : swiglu_kernel<1, T>;
    RowGrid grid = row_grid(f / n);
    launch(stream_, kernel, grid_of(out.rows, grid.blocks), grid.threads, 0, out.as<T>(), gate_up.as<const T>(), f);
  });
}

void CudaBackend::swiglu_backward(Tensor d_gate_up, Tensor out_again, Tensor d_out, Tensor gate_up) {
  begin("swiglu_backward", d_out.rows, d_out.cols);
  dispatch(d_out.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    int64_t f = d_out.cols;
    int n = f % kVector == 0 ? kVector : 1;
    auto kernel = n > 1 ? swiglu_backward_kernel<kVector, T> : swiglu_backward_kernel<1, T>;
    RowGrid grid = row_grid(f / n);
    launch(stream_, kernel, grid_of(d_out.rows, grid.blocks), grid.threads, 0, d_gate_up.as<T>(), out_again.as<T>(), d_out.as<const T>(), gate_up.as<const T>(),
           f);
  });
}

}  // namespace pk
