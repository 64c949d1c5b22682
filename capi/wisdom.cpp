#include "core/fft/wisdom.hpp"

#include "capi/barrier.hpp"

using namespace subquad;

subquad_status subquad_wisdom_export(const char** text_out) {
  return capi::guarded([&] {
    *capi::required(text_out, "text_out") = nullptr;
    thread_local std::string text;
    text = fft::export_wisdom();
    *text_out = text.c_str();
  });
}

subquad_status subquad_wisdom_import(const char* text) {
  return capi::guarded([&] { fft::import_wisdom(capi::required(text, "text")); });
}
