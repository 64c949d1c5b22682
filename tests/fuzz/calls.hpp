// What the fuzz targets share: bytes decoded into views with memory of their own, options and contents; and what no call may do.
//
// A view may claim anything that the library has to refuse. What it cannot refuse, because only the caller knows how much memory there
// is, is always true here: a view that would pass has exactly the memory that it names, so that address sanitizer sees one byte too far.
#pragma once

#include <cstdint>
#include <vector>

#include "bytes.hpp"

#include "subquad.h"

namespace fuzz {

// Extents and elements of arrays that calls compute with: large enough for tiles, tails and blocks, small enough for 1000 calls a second.
constexpr int64_t kMostElements = 1 << 14;

// Ends the process, which is a finding, when the call broke what the header says of every call; else returns status.
subquad_status expect(subquad_status status, const char* call);

int64_t size(Bytes& bytes, int64_t most);  // 0 .. most, often 1 or near a power of two
int64_t any_int(Bytes& bytes);             // mostly an edge of some range
double any_double(Bytes& bytes);           // infinities and NaN included
int32_t floating(Bytes& bytes);            // float32 or float64

// A view together with its memory. Its shape and dtype are mostly the ones that are wanted, its strides any that inputs may have (but
// for an output mostly those that outputs may have), its contents numbers of any magnitude, sometimes with a NaN among them.
class View {
 public:
  View(Bytes& bytes, int32_t dtype, const std::vector<int64_t>& shape, bool output = false);
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  ~View();

  const subquad_array* get() const { return null_ ? nullptr : &array_; }
  operator const subquad_array*() const { return get(); }  // NOLINT: a view is passed like the struct that it is

  // Whether the memory holds what it did when the view was made.
  bool untouched() const;

 private:
  void allocate(Bytes& bytes);
  void fill(Bytes& bytes);

  subquad_array array_{};
  bool null_ = false;
  unsigned char* memory_ = nullptr;
  size_t bytes_ = 0;
  uint64_t hash_ = 0;
};

// Options with these, each set to a value that mostly fits; NULL now and then.
class Options {
 public:
  Options(Bytes& bytes, const std::vector<int32_t>& likely);
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;
  ~Options() { subquad_options_destroy(options_); }
  operator const subquad_options*() const { return options_; }  // NOLINT: as above
  void set(int32_t option, int64_t value) { subquad_options_set_int(options_, option, value); }
  void set(int32_t option, double value) { subquad_options_set_float(options_, option, value); }

 private:
  subquad_options* options_ = nullptr;
};

// A context with a memory limit, and a report.
struct Run {
  explicit Run(Bytes& bytes);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run();
  subquad_context* context = nullptr;
  subquad_report* report = nullptr;  // NULL now and then
};

// Ends the process when a call that was refused for its arguments wrote to an output.
void expect_untouched(subquad_status status, const std::vector<const View*>& outputs);

}  // namespace fuzz
