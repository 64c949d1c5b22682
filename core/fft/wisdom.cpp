#include "core/fft/wisdom.hpp"

#include <cstdlib>
#include <memory>
#include <new>

#include "core/base/error.hpp"
#include "core/fft/planner.hpp"

namespace subquad::fft {

namespace {

// The text: this line, then one section per precision, each the name below, a line break and what FFTW writes.
constexpr char kTitle[] = "subquad wisdom 1\n";
constexpr char kFloatName[] = "float32\n", kDoubleName[] = "float64\n";

template <class T>
std::string export_locked() {
  struct Free {
    void operator()(char* text) const { std::free(text); }
  };
  const std::unique_ptr<char, Free> text(Fftw<T>::export_wisdom());
  if (!text) throw std::bad_alloc();
  return text.get();
}

// The section of `text` from `begin` to `end`, which must open with `name`.
std::string section(const std::string& text, size_t begin, size_t end, const std::string& name) {
  if (begin > text.size() || text.compare(begin, name.size(), name) != 0) {
    throw Error(Status::err_value,
                "text is not wisdom that subquad_wisdom_export wrote: it lacks the line " + name.substr(0, name.size() - 1));
  }
  return text.substr(begin + name.size(), end - begin - name.size());
}

}  // namespace

std::string export_wisdom() {
  const std::lock_guard<std::mutex> lock(planner_mutex());
  return kTitle + (kFloatName + export_locked<float>()) + kDoubleName + export_locked<double>();
}

void import_wisdom(const std::string& text) {
  const std::string title = kTitle, line_break = "\n";
  const size_t second = text.find(line_break + kDoubleName);
  section(text, 0, text.size(), title);
  if (second == std::string::npos) section(text, text.size(), text.size(), kDoubleName);
  const std::string float_section = section(text, title.size(), second + 1, kFloatName),
                    double_section = section(text, second + 1, text.size(), kDoubleName);

  const std::lock_guard<std::mutex> lock(planner_mutex());
  const std::string before = export_locked<float>();
  const bool float_taken = Fftw<float>::import_wisdom(float_section.c_str()) != 0;
  if (float_taken && Fftw<double>::import_wisdom(double_section.c_str()) != 0) return;
  if (float_taken) {
    Fftw<float>::forget_wisdom();
    Fftw<float>::import_wisdom(before.c_str());
  }
  throw Error(Status::err_value, std::string("text is wisdom that FFTW does not accept: its ") +
                                     (float_taken ? "float64" : "float32") +
                                     " part is damaged or from another version or build of FFTW");
}

}  // namespace subquad::fft
