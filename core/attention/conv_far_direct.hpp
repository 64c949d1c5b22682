// Rows of a far field whose weights are formed one by one: those that transforms do not serve, and a few for estimates.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/attention/conv_far_field.hpp"
#include "core/simd/products.hpp"

namespace subquad::attention {

template <class T>
class FarDirect {
 public:
  FarDirect(Execution& run, const Team& team, const ConvFarField<T>& far)
      : run_(run), team_(team), far_(far), kernels_(simd::product_kernels<T>(run.target)) {}

  // The r-th row's result goes to place(r), elements `step` apart; zero where it has no far pair.
  void forward(const View<const T, 2>& v, const std::vector<int64_t>& rows, const std::function<T*(size_t r)>& place,
               int64_t step) const;

  // dv[j] += sum over those rows i of w_ij exp(-lse[i]) d_o[i].
  void transposed(const View<const T, 1>& lse, const View<const T, 2>& d_o, const std::vector<int64_t>& rows,
                  const View<T, 2>& dv) const;

 private:
  static constexpr int64_t kRows = 32, kKeys = 128;  // whose weights are formed at a time

  int64_t panel() const { return simd::kMaxWidth * kernels_.lanes; }  // columns of a product
  void fill_weights(int64_t i, double lse, int64_t first_key, T* weights) const;
  void load_panels(const T* const* rows, int64_t count, int64_t columns, T* panels) const;
  void multiply(const T* a, int64_t a_row, int64_t a_step, int64_t rows, int64_t depth, const T* b, int64_t columns, T* c) const;

  Execution& run_;
  const Team& team_;
  const ConvFarField<T>& far_;
  const simd::ProductKernels<T>& kernels_;
};

}  // namespace subquad::attention
