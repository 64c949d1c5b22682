// The FFTW that this build links.
#pragma once

#include <string>

namespace subquad::fft {

std::string library_version();

}  // namespace subquad::fft
