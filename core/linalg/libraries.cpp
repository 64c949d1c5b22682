#include "core/linalg/libraries.hpp"

#include <cblas.h>

#include <algorithm>
#include <armadillo>
#include <array>

#include "core/simd/target.hpp"

namespace subquad::linalg {

std::string blas_description() { return openblas_get_config(); }

std::string blas_core() { return openblas_get_corename(); }

std::string blas_warning() {
  // OpenBLAS names these for x86 processors without AVX; it also falls back to them on processors newer than itself.
  constexpr std::array kWithoutAvx = {"Prescott", "Core2",        "Penryn",    "Dunnington", "Nehalem", "Atom",   "Athlon",
                                      "Opteron",  "Opteron_SSE3", "Barcelona", "Bobcat",     "Nano",    "generic"};
  const std::string core = blas_core();
  const bool has_avx2 = std::any_of(simd::targets().begin(), simd::targets().end(),
                                    [](simd::Target target) { return std::string(simd::name(target)).rfind("AVX", 0) == 0; });
  if (!has_avx2 || std::find(kWithoutAvx.begin(), kWithoutAvx.end(), core) == kWithoutAvx.end()) return "";
  return "OpenBLAS does not know this processor and uses its " + core +
         " kernels, which leave most of it idle; set OPENBLAS_CORETYPE (Haswell, Zen or SKYLAKEX) or install a newer OpenBLAS. "
         "Attention itself does not use BLAS.";
}

std::string armadillo_version() { return arma::arma_version::as_string(); }

}  // namespace subquad::linalg
