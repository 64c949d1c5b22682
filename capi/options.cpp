#include "capi/options.hpp"

#include <algorithm>

#include "capi/barrier.hpp"
#include "core/base/text.hpp"

using namespace subquad;
using capi::required;

namespace {

// Row of an option in the table, which is also its place in subquad_options::values.
size_t row_of(int32_t option) {
  const auto* begin = std::begin(tables::kOptions);
  const auto* found = std::find_if(begin, std::end(tables::kOptions), [=](const auto& row) { return row.id == option; });
  if (found == std::end(tables::kOptions))
    throw Error(Status::err_unknown, "option: no option has the id " + std::to_string(option));
  return static_cast<size_t>(found - begin);
}

subquad_options::Value default_value(const tables::Option& row) {
  if (!row.has_default) return std::monostate();
  if (row.type == SUBQUAD_TYPE_FLOAT) return row.default_float;
  return row.default_int;
}

template <class T>
void set(subquad_options* options, int32_t option, T value, bool type_fits, T lowest, T highest, const char* wanted) {
  const size_t row = row_of(option);
  const std::string name = tables::kOptions[row].name;
  if (!type_fits) throw Error(Status::err_type, name + " is not an option of type " + wanted + " (given " + text(value) + ")");
  if (!(lowest <= value && value <= highest)) {
    throw Error(Status::err_value, name + " is " + text(value) + ", not in [" + text(lowest) + ", " + text(highest) + "]");
  }
  required(options, "options")->values[row] = value;
}

template <class T>
void get(const subquad_options* options, int32_t option, T* value_out, bool type_fits, const char* wanted) {
  const size_t row = row_of(option);
  required(options, "options");
  required(value_out, "value_out");
  const std::string name = tables::kOptions[row].name;
  if (!type_fits) throw Error(Status::err_type, name + " is not an option of type " + wanted);
  const T* value = std::get_if<T>(&options->values[row]);
  if (value == nullptr) throw Error(Status::err_unset, name + " has no value");
  *value_out = *value;
}

}  // namespace

subquad_options::subquad_options() {
  std::transform(std::begin(tables::kOptions), std::end(tables::kOptions), values.begin(), default_value);
}

bool subquad_options::is_set(int32_t option) const { return !std::holds_alternative<std::monostate>(values[row_of(option)]); }
int64_t subquad_options::get_int(int32_t option) const { return std::get<int64_t>(values[row_of(option)]); }
double subquad_options::get_float(int32_t option) const { return std::get<double>(values[row_of(option)]); }

std::string subquad_options::value_text(int32_t option) const {
  if (tables::kOptions[row_of(option)].type == SUBQUAD_TYPE_FLOAT) return text(get_float(option));
  const int64_t value = get_int(option);
  std::string names;
  for (const auto& choice : tables::kChoices) {
    const bool counts = option == SUBQUAD_OPTION_PARTS ? (value & choice.value) != 0 : value == choice.value;
    if (choice.option == option && counts) names += (names.empty() ? "" : "+") + std::string(choice.name);
  }
  return names.empty() ? text(value) : names;
}

const subquad_options& capi::options_or_default(const subquad_options* options) {
  static const subquad_options defaults;
  return options != nullptr ? *options : defaults;
}

subquad_status subquad_options_create(subquad_options** options_out) {
  return capi::guarded([&] {
    *required(options_out, "options_out") = nullptr;
    *options_out = new subquad_options;
  });
}

void subquad_options_destroy(subquad_options* options) { delete options; }

subquad_status subquad_options_set_int(subquad_options* options, int32_t option, int64_t value) {
  return capi::guarded([&] {
    const auto& row = tables::kOptions[row_of(option)];
    set<int64_t>(options, option, value, row.type != SUBQUAD_TYPE_FLOAT, row.lowest_int, row.highest_int, "int");
  });
}

subquad_status subquad_options_set_float(subquad_options* options, int32_t option, double value) {
  return capi::guarded([&] {
    const auto& row = tables::kOptions[row_of(option)];
    set<double>(options, option, value, row.type == SUBQUAD_TYPE_FLOAT, row.lowest, row.highest, "float");
  });
}

subquad_status subquad_options_reset(subquad_options* options, int32_t option) {
  return capi::guarded([&] {
    const size_t row = row_of(option);
    required(options, "options")->values[row] = default_value(tables::kOptions[row]);
  });
}

subquad_status subquad_options_get_int(const subquad_options* options, int32_t option, int64_t* value_out) {
  return capi::guarded(
      [&] { get(options, option, value_out, tables::kOptions[row_of(option)].type != SUBQUAD_TYPE_FLOAT, "int"); });
}

subquad_status subquad_options_get_float(const subquad_options* options, int32_t option, double* value_out) {
  return capi::guarded(
      [&] { get(options, option, value_out, tables::kOptions[row_of(option)].type == SUBQUAD_TYPE_FLOAT, "float"); });
}

subquad_status subquad_option_describe(int32_t option, const char** name_out, int32_t* type_out, const char** doc_out) {
  return capi::guarded([&] {
    const auto& row = tables::kOptions[row_of(option)];
    if (name_out != nullptr) *name_out = row.name;
    if (type_out != nullptr) *type_out = row.type;
    if (doc_out != nullptr) *doc_out = row.doc;
  });
}

subquad_status subquad_option_bounds(int32_t option, double* lowest_out, double* highest_out) {
  return capi::guarded([&] {
    const auto& row = tables::kOptions[row_of(option)];
    required(lowest_out, "lowest_out");
    required(highest_out, "highest_out");
    *lowest_out = row.lowest;
    *highest_out = row.highest;
  });
}
