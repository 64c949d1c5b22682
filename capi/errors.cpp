#include <algorithm>
#include <cstring>

#include "capi/barrier.hpp"
#include "capi/generated/tables.hpp"

namespace subquad::capi {

namespace {

// A fixed buffer: reporting that memory ran out must not need any.
thread_local char last_error[1024] = "";

const tables::Status* find(subquad_status status) {
  const auto* end = std::end(tables::kStatuses);
  const auto* found = std::find_if(std::begin(tables::kStatuses), end, [=](const auto& row) { return row.code == status; });
  return found == end ? nullptr : found;
}

}  // namespace

subquad_status fail(Status status, const char* message) noexcept {
  std::strncpy(last_error, message, sizeof last_error - 1);
  last_error[sizeof last_error - 1] = '\0';
  return static_cast<subquad_status>(status);
}

}  // namespace subquad::capi

using namespace subquad;

const char* subquad_last_error(void) { return capi::last_error; }

const char* subquad_status_name(subquad_status status) {
  const auto* row = capi::find(status);
  return row != nullptr ? row->name : "UNKNOWN";
}

const char* subquad_status_message(subquad_status status) {
  const auto* row = capi::find(status);
  return row != nullptr ? row->message : "not a status code of this version";
}
