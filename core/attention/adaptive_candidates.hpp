// What may be chosen for a head: the candidates, in order of cost.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/adaptive_pass.hpp"

namespace subquad::attention {

inline constexpr int64_t kWindow = 128;  // keys before it that every query of an approximate head sees

// Screening with the s-th of kScreenings shares that a row may leave a tile out by; the last leaves nothing out. Errors fall and costs rise
// with s.
inline constexpr size_t kScreenings = 14;
HeadChoice screening(size_t s);

// Selection, errors falling and costs rising: a window with heavy keys, with centroids, with more and more groups of keys.
std::vector<HeadChoice> selections(int64_t parts, const std::vector<int64_t>& heavy);

// The first of the selections with a conv far field in place of groups; its masses are fitted to those of `rows`.
HeadChoice with_conv(HeadChoice choice, std::vector<int64_t> rows);

// The first keys of first_key .. end_key - 1, and those with the largest mass beyond the windows of `rows` rows, increasing.
std::vector<int64_t> heavy_keys(int64_t first_key, int64_t end_key, const std::vector<float>& mass, int64_t rows);

}  // namespace subquad::attention
