#include <algorithm>
#include <cstring>

#include "capi/barrier.hpp"
#include "capi/generated/tables.hpp"

using namespace subquad;

int64_t subquad_version(void) { return tables::kVersionNumber; }

const char* subquad_version_string(void) { return tables::kVersionString; }

subquad_status subquad_constant(const char* name, int64_t* value_out) {
  return capi::guarded([&] {
    capi::required(name, "name");
    capi::required(value_out, "value_out");
    for (const auto& row : tables::kConstants) {
      if (std::strcmp(row.name, name) == 0) {
        *value_out = row.value;
        return;
      }
    }
    throw Error(Status::err_unknown, "name: no constant is called \"" + std::string(name) + "\"");
  });
}

subquad_status subquad_constant_at(int64_t index, const char** name_out, int64_t* value_out) {
  return capi::guarded([&] {
    capi::required(name_out, "name_out");
    capi::required(value_out, "value_out");
    const int64_t count = std::end(tables::kConstants) - std::begin(tables::kConstants);
    if (index < 0 || index >= count) {
      throw Error(Status::err_value, "index is " + std::to_string(index) + "; there are " + std::to_string(count) + " constants");
    }
    *name_out = tables::kConstants[index].name;
    *value_out = tables::kConstants[index].value;
  });
}
