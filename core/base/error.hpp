// The one exception of the core: a status code of the C API with the text that names argument and value.
#pragma once

#include <stdexcept>
#include <string>

#include "core/base/status.hpp"

namespace subquad {

class Error : public std::runtime_error {
 public:
  Error(Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  Status status() const { return status_; }

 private:
  Status status_;
};

}  // namespace subquad
