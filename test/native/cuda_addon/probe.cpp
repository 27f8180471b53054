// Takes the place of native/binding/cuda_probe.cpp: the "GPU" that the shim is, and says so.
#include "binding/cuda_probe.h"

namespace pk {

CudaProbe probe_cuda() {
  CudaProbe probe;
  probe.driver_library = true;
  probe.driver_version = 13000;
  probe.devices = {"CUDA shim on the CPU (for tests)"};
  probe.state = "There is no GPU: this build's CUDA is a shim for tests, on the CPU.";
  return probe;
}

}  // namespace pk
