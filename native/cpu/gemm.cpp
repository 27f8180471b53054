#include "cpu/cpu_backend.h"

namespace pk {

std::string gemm_name() { return "portable"; }

}  // namespace pk
