#include "capi/report.hpp"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "capi/barrier.hpp"
#include "capi/generated/tables.hpp"

using namespace subquad;
using capi::required;

namespace {

const tables::ReportKey& key_row(int32_t key) {
  const auto* end = std::end(tables::kReportKeys);
  const auto* found = std::find_if(std::begin(tables::kReportKeys), end, [=](const auto& row) { return row.id == key; });
  if (found == end) throw Error(Status::err_unknown, "key: no report key has the id " + std::to_string(key));
  return *found;
}

template <class T, class Out>
const T& value_at(const subquad_report* report, int32_t key, int64_t index, int32_t type, const char* wanted, Out* value_out) {
  const auto& row = key_row(key);
  required(value_out, "value_out");
  const std::string name = row.name;
  if (row.type != type) throw Error(Status::err_type, "key " + name + " is not of type " + wanted);
  const auto found = required(report, "report")->values.find(key);
  if (found == report->values.end()) throw Error(Status::err_unset, "key " + name + " holds nothing in this report");
  const auto& list = std::get<std::vector<T>>(found->second);
  if (index < 0 || index >= static_cast<int64_t>(list.size())) {
    throw Error(Status::err_value,
                "index is " + std::to_string(index) + "; key " + name + " holds " + std::to_string(list.size()));
  }
  return list[static_cast<size_t>(index)];
}

// One value as itself, several as an array. The library writes scalars only: destroying its objects and arrays takes memory, and
// ends the process where there is none.
template <class T>
std::string json_of(const std::vector<T>& list) {
  std::string text;
  for (const T& value : list) text += (text.empty() ? "" : ",") + nlohmann::json(value).dump();
  return list.size() == 1 ? text : "[" + text + "]";
}

}  // namespace

subquad_status subquad_report_create(subquad_report** report_out) {
  return capi::guarded([&] {
    *required(report_out, "report_out") = nullptr;
    *report_out = new subquad_report;
  });
}

void subquad_report_destroy(subquad_report* report) { delete report; }

subquad_status subquad_report_length(const subquad_report* report, int32_t key, int64_t* length_out, int32_t* type_out) {
  return capi::guarded([&] {
    const auto& row = key_row(key);
    required(length_out, "length_out");
    const auto found = required(report, "report")->values.find(key);
    *length_out = 0;
    if (found != report->values.end())
      *length_out = std::visit([](const auto& list) { return static_cast<int64_t>(list.size()); }, found->second);
    if (type_out != nullptr) *type_out = row.type;
  });
}

subquad_status subquad_report_get_int(const subquad_report* report, int32_t key, int64_t index, int64_t* value_out) {
  return capi::guarded([&] { *value_out = value_at<int64_t>(report, key, index, SUBQUAD_TYPE_INT, "int", value_out); });
}

subquad_status subquad_report_get_float(const subquad_report* report, int32_t key, int64_t index, double* value_out) {
  return capi::guarded([&] { *value_out = value_at<double>(report, key, index, SUBQUAD_TYPE_FLOAT, "float", value_out); });
}

subquad_status subquad_report_get_string(const subquad_report* report, int32_t key, int64_t index, const char** value_out) {
  return capi::guarded(
      [&] { *value_out = value_at<std::string>(report, key, index, SUBQUAD_TYPE_STRING, "string", value_out).c_str(); });
}

subquad_status subquad_report_json(subquad_report* report, const char** json_out) {
  return capi::guarded([&] {
    required(report, "report");
    required(json_out, "json_out");
    std::string text = "{";
    for (const auto& [key, values] : report->values) {
      text += (text.size() > 1 ? ",\"" : "\"") + std::string(key_row(key).name) + "\":";
      std::visit([&](const auto& list) { text += json_of(list); }, values);
    }
    report->json = std::move(text) + "}";
    *json_out = report->json.c_str();
  });
}
