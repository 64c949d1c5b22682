// The subquad_report handle.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "capi/subquad.h"

struct subquad_report {
  using Values = std::variant<std::vector<int64_t>, std::vector<double>, std::vector<std::string>>;
  std::map<int32_t, Values> values;  // by key; the alternative fits the key's type
  std::string json;

  template <class T>
  void set(int32_t key, std::vector<T> list) {
    values[key] = std::move(list);
  }
  template <class T>
  void set(int32_t key, T value) {
    set(key, std::vector<T>{std::move(value)});
  }
};

namespace subquad::capi {

// Copies first and moves then: where memory runs out, `to` is as it was. List by list: where memory runs out within the copy of a
// variant, libstdc++ 12 frees twice.
inline void copy_report(const subquad_report& from, subquad_report& to) {
  subquad_report copy;
  for (const auto& [key, values] : from.values) {
    std::visit([&copy, k = key](auto list) { copy.set(k, std::move(list)); }, values);
  }
  to = std::move(copy);
}

}  // namespace subquad::capi
