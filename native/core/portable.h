// PK_PORTABLE marks small functions that CUDA kernels call as well.
#pragma once

#ifdef __CUDACC__
#define PK_PORTABLE __host__ __device__
#else
#define PK_PORTABLE
#endif
