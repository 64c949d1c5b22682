// The subquad_conv_basis handle.
#pragma once

#include <variant>

#include "capi/arrays.hpp"
#include "capi/subquad.h"
#include "core/attention/conv_basis.hpp"

struct subquad_conv_basis {
  template <class T>
  using Basis = subquad::attention::ConvBasis<T>;
  std::variant<Basis<float>, Basis<double>> basis;

  // Calls function(basis) with the basis of its dtype.
  template <class Function>
  void visit(const Function& function) const {
    std::visit(function, basis);
  }

  // [batch, heads, k, n], row-major, without data.
  subquad_array kernels_array() const;

  // Throws unless the array has the basis's dtype and is [.., H, n, columns], with leading extents of 1 left out at will; H is
  // the number of heads, or a divisor of it where heads may be grouped.
  enum class Heads { same, grouped };
  void check_operand(const subquad::capi::Argument& argument, Heads heads) const;
};
