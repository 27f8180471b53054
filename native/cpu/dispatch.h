// Calls a generic lambda with a null pointer of the tensor's element type: dispatch(t, [&](auto* tag) { using T = ...; }).
#pragma once
#include <type_traits>

#include "core/tensor.h"

namespace pk {

template <class Body>
void dispatch(DType dtype, const Body& body) {
  if (dtype == DType::bf16)
    body(static_cast<bf16*>(nullptr));
  else
    body(static_cast<float*>(nullptr));
}

template <class Tag>
using Element = std::remove_pointer_t<Tag>;

}  // namespace pk
