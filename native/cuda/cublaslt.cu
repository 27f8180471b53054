// Finds and loads cuBLASLt.
#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>

#include "core/error.h"
#include "cuda/cublaslt.h"

namespace pk::cuda::lt {

namespace {

void add_matches(std::vector<std::string>& files, const std::string& pattern) {
  glob_t found{};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    for (size_t i = found.gl_pathc; i > 0; --i) files.push_back(found.gl_pathv[i - 1]);  // the newest version first
  globfree(&found);
}

void add_folder(std::vector<std::string>& files, const std::string& folder) { add_matches(files, folder + "/libcublasLt.so.1[23]"); }

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, Functions& f) {
  return find(library, "cublasLtCreate", f.create) && find(library, "cublasLtDestroy", f.destroy) && find(library, "cublasLtGetVersion", f.version) &&
         find(library, "cublasLtMatmulDescCreate", f.desc_create) && find(library, "cublasLtMatmulDescDestroy", f.desc_destroy) &&
         find(library, "cublasLtMatmulDescSetAttribute", f.desc_set) && find(library, "cublasLtMatrixLayoutCreate", f.layout_create) &&
         find(library, "cublasLtMatrixLayoutDestroy", f.layout_destroy) && find(library, "cublasLtMatmulPreferenceCreate", f.preference_create) &&
         find(library, "cublasLtMatmulPreferenceDestroy", f.preference_destroy) && find(library, "cublasLtMatmulPreferenceSetAttribute", f.preference_set) &&
         find(library, "cublasLtMatmulAlgoGetHeuristic", f.heuristic) && find(library, "cublasLtMatmul", f.matmul);
}

Functions load_first() {
  std::string tried;
  for (const std::string& file : candidates()) {
    Functions functions{};
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library && find_all(library, functions)) {
      functions.path = file;
      return functions;  // the library stays open
    }
    tried += (tried.empty() ? "" : ", ") + file;
  }
  throw Error("ERR_UNSUPPORTED", "Matrix products on the GPU need NVIDIA's cuBLASLt (libcublasLt.so.12 or .13), which was not found (tried " + tried +
                                     "): install it with the CUDA toolkit or \"pip install nvidia-cublas\", or set PRIMEKIT_CUBLASLT to its path.");
}

}  // namespace

std::vector<std::string> candidates() {
  if (const char* path = std::getenv("PRIMEKIT_CUBLASLT")) return {path};
  std::vector<std::string> files = {"libcublasLt.so.13", "libcublasLt.so.12"};
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* home = std::getenv(name)) add_folder(files, std::string(home) + "/lib64");
  add_folder(files, "/usr/local/cuda*/lib64");
  std::vector<std::string> prefixes;
  for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char* prefix = std::getenv(name)) prefixes.push_back(std::string(prefix) + "/lib/python3*/site-packages");
  for (const char* prefix : {"/usr/local/lib/python3*/dist-packages", "/usr/local/lib/python3*/site-packages", "/usr/lib/python3*/site-packages"})
    prefixes.push_back(prefix);
  for (const std::string& prefix : prefixes) add_folder(files, prefix + "/nvidia/*/lib");
  return files;
}

const Functions& load() {
  static const Functions functions = load_first();
  return functions;
}

}  // namespace pk::cuda::lt
