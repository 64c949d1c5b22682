// What FFTW knows about this machine, in both precisions, as one text.
#pragma once

#include <string>

namespace subquad::fft {

std::string export_wisdom();

// Adds wisdom to the process's. Throws Error(value) and changes nothing when the text is not what export_wisdom writes, or comes
// from an FFTW that this one does not understand.
void import_wisdom(const std::string& text);

}  // namespace subquad::fft
