// The dense linear algebra that this build links: what subquad_info says of it.
#pragma once

#include <string>

namespace subquad::linalg {

std::string blas_description();
// Processor core that OpenBLAS chose its kernels for.
std::string blas_core();
// Empty, or a warning that the chosen kernels leave most of this processor unused.
std::string blas_warning();
std::string armadillo_version();

}  // namespace subquad::linalg
