// Options, reports, constants, names and wisdom, by any id, value and text.
#include <cmath>
#include <cstdlib>
#include <string>

#include "calls.hpp"

using namespace fuzz;

namespace {

int32_t any_id(Bytes& bytes) { return bytes.between(0, 15) == 0 ? bytes.number<int32_t>() : bytes.between<int32_t>(-1, 80); }

void must(bool condition) {
  if (!condition) std::abort();
}

void set_and_get(Bytes& bytes, subquad_options* options) {
  const int32_t id = any_id(bytes);
  int32_t type = 0;
  double lowest = 0, highest = 0;
  const bool known = expect(subquad_option_describe(id, nullptr, &type, nullptr), "option_describe") == SUBQUAD_OK;
  must(known == (expect(subquad_option_bounds(id, &lowest, &highest), "option_bounds") == SUBQUAD_OK));
  const int64_t whole = any_int(bytes);
  const double real = any_double(bytes);
  int64_t whole_back = 0;
  double real_back = 0;
  if (expect(subquad_options_set_int(options, id, whole), "options_set_int") == SUBQUAD_OK) {
    must(known && type != SUBQUAD_TYPE_FLOAT);
    must(expect(subquad_options_get_int(options, id, &whole_back), "options_get_int") == SUBQUAD_OK && whole_back == whole);
    must(static_cast<double>(whole) >= lowest && static_cast<double>(whole) <= highest);
  }
  if (expect(subquad_options_set_float(options, id, real), "options_set_float") == SUBQUAD_OK) {
    must(known && type == SUBQUAD_TYPE_FLOAT && !std::isnan(real) && real >= lowest && real <= highest);
    must(expect(subquad_options_get_float(options, id, &real_back), "options_get_float") == SUBQUAD_OK && real_back == real);
  }
  if (bytes.flag()) must(known == (expect(subquad_options_reset(options, id), "options_reset") == SUBQUAD_OK));
  expect(subquad_options_get_int(options, id, &whole_back), "options_get_int");
  expect(subquad_options_get_float(options, id, &real_back), "options_get_float");
}

void read_report(Bytes& bytes, subquad_report* report) {
  const int32_t key = any_id(bytes);
  const int64_t index = bytes.flag() ? any_int(bytes) : bytes.between<int64_t>(-1, 9);
  int64_t length = 0, whole = 0;
  double real = 0;
  const char* text = nullptr;
  int read = 0;
  expect(subquad_report_length(report, key, &length, nullptr), "report_length");
  read += expect(subquad_report_get_int(report, key, index, &whole), "report_get_int") == SUBQUAD_OK;
  read += expect(subquad_report_get_float(report, key, index, &real), "report_get_float") == SUBQUAD_OK;
  read += expect(subquad_report_get_string(report, key, index, &text), "report_get_string") == SUBQUAD_OK;
  must(read == (index >= 0 && index < length ? 1 : 0));
}

void look_up(Bytes& bytes, subquad_context* context) {
  const std::string name = bytes.text(60);
  const int64_t index = any_int(bytes);
  int64_t value = 0;
  const char* found = nullptr;
  expect(subquad_constant(name.c_str(), &value), "constant");
  if (expect(subquad_constant_at(index, &found, &value), "constant_at") == SUBQUAD_OK) {
    int64_t again = value + 1;
    must(subquad_constant(found, &again) == SUBQUAD_OK && again == value);
  }
  if (expect(subquad_simd_target_at(index, &found), "simd_target_at") == SUBQUAD_OK) {
    must(expect(subquad_context_set_simd_target(context, found), "context_set_simd_target") == SUBQUAD_OK);
  }
  expect(subquad_context_set_simd_target(context, name.c_str()), "context_set_simd_target");
  expect(subquad_context_set_threads(context, any_int(bytes)), "context_set_threads");
  expect(subquad_context_set_workspace_limit(context, any_int(bytes)), "context_set_workspace_limit");
  must(subquad_status_name(bytes.number<int32_t>()) != nullptr);
  must(subquad_status_message(bytes.number<int32_t>()) != nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
  Bytes bytes(data, count);
  subquad_options* options = nullptr;
  subquad_report* report = nullptr;
  subquad_context* context = nullptr;
  expect(subquad_options_create(&options), "options_create");
  expect(subquad_report_create(&report), "report_create");
  expect(subquad_context_create(&context), "context_create");
  if (bytes.flag()) expect(subquad_info(bytes.flag() ? context : nullptr, report), "info");
  while (bytes.left() > 0) {
    switch (bytes.between(0, 7)) {
      case 0:
        read_report(bytes, report);
        break;
      case 1:
        look_up(bytes, context);
        break;
      case 2:
        expect(subquad_wisdom_import(bytes.text(200).c_str()), "wisdom_import");
        break;
      default:
        set_and_get(bytes, options);
    }
  }
  const char* text = nullptr;
  expect(subquad_report_json(report, &text), "report_json");
  subquad_context_destroy(context);
  subquad_report_destroy(report);
  subquad_options_destroy(options);
  return 0;
}
