// What can be said of NVIDIA's driver on this machine without linking to it.
#pragma once
#include <string>
#include <vector>

namespace pk {

struct CudaProbe {
  bool driver_library = false;  // libcuda could be opened
  int driver_version = 0;       // 12040 means CUDA 12.4; 0: not known
  std::vector<std::string> devices;
  std::string state;  // one sentence
};

CudaProbe probe_cuda();

}  // namespace pk
