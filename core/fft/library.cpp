#include "core/fft/library.hpp"

#include <fftw3.h>

namespace subquad::fft {

std::string library_version() { return fftw_version; }

}  // namespace subquad::fft
