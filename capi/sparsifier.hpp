// The subquad_sparsifier handle.
#pragma once

#include <variant>

#include "capi/subquad.h"
#include "core/sparsify/sparsifier.hpp"

struct subquad_sparsifier {
  std::variant<subquad::sparsify::Sparsifier<float>, subquad::sparsify::Sparsifier<double>> value;

  // Calls function(sparsifier) with the sparsifier of its dtype.
  template <class Function>
  void visit(const Function& function) const {
    std::visit(function, value);
  }

  int32_t dtype() const { return value.index() == 0 ? SUBQUAD_FLOAT32 : SUBQUAD_FLOAT64; }
};
