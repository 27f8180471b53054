// Opens libcuda at run time, so that the addon loads, and can say why there is no GPU, on machines without a driver.
#include "binding/cuda_probe.h"

#include <dlfcn.h>

namespace pk {

namespace {

// The few driver functions used, as NVIDIA documents them; 0 means success.
using Init = int (*)(unsigned);
using DriverGetVersion = int (*)(int*);
using DeviceGetCount = int (*)(int*);
using DeviceGetName = int (*)(char*, int, int);

template <class Function>
Function find(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

void list_devices(void* library, CudaProbe& probe) {
  auto init = find<Init>(library, "cuInit");
  auto count = find<DeviceGetCount>(library, "cuDeviceGetCount");
  auto name = find<DeviceGetName>(library, "cuDeviceGetName");
  int code = init ? init(0) : -1;
  if (code == 100) {
    probe.state = "The NVIDIA driver is installed, but it sees no GPU.";
    return;
  }
  if (code != 0 || !count || !name) {
    probe.state = "The NVIDIA driver library is there, but does not start (cuInit returned " + std::to_string(code) + ").";
    return;
  }
  int devices = 0;
  if (count(&devices) != 0) devices = 0;
  for (int i = 0; i < devices; ++i) {
    char text[256] = "";
    if (name(text, sizeof text, i) == 0) probe.devices.push_back(text);
  }
  probe.state =
      "The NVIDIA driver supports CUDA " + version_text(probe.driver_version) + " and sees " + std::to_string(devices) + (devices == 1 ? " GPU." : " GPUs.");
}

}  // namespace

CudaProbe probe_cuda() {
  CudaProbe probe;
  void* library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (!library) {
    probe.state = "There is no NVIDIA driver on this machine (libcuda.so.1 was not found).";
    return probe;
  }
  probe.driver_library = true;
  if (auto version = find<DriverGetVersion>(library, "cuDriverGetVersion")) version(&probe.driver_version);
  list_devices(library, probe);
  return probe;  // the library stays open: drivers do not survive being unloaded
}

}  // namespace pk
