// Which tiles of queries x keys a forward pass computed: what its backward pass has to go over.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <vector>

#include "core/attention/problem.hpp"

namespace subquad::attention {

inline constexpr int64_t kQueryTile = 48;  // a query group of every SIMD target divides it
inline constexpr int64_t kKeyTile = 64;

// Somebody else's bits in rows of whole words, so that threads may write different rows at the same time.
template <class Word>
class BitRows {
 public:
  BitRows(Word* data, int64_t columns) : data_(data), row_words_(words(columns)) {}

  static int64_t words(int64_t columns) { return (columns + kBits - 1) / kBits; }  // of a row

  void clear(int64_t row) const { std::fill_n(&at(row, 0), row_words_, Word{0}); }
  void set(int64_t row, int64_t column) const { at(row, column / kBits) |= Word{1} << column % kBits; }
  bool test(int64_t row, int64_t column) const { return (at(row, column / kBits) >> column % kBits & 1) != 0; }

  // Whether one of the columns first .. last - 1 is set.
  bool any(int64_t row, int64_t first, int64_t last) const {
    for (int64_t word = first / kBits; word * kBits < last; ++word) {
      if ((at(row, word) & from(first - word * kBits) & ~from(last - word * kBits)) != 0) return true;
    }
    return false;
  }

  // How many columns before `last` are set.
  int64_t count(int64_t row, int64_t last) const {
    size_t total = 0;
    for (int64_t word = 0; word * kBits < last; ++word)
      total += std::bitset<kBits>(at(row, word) & ~from(last - word * kBits)).count();
    return static_cast<int64_t>(total);
  }

 private:
  static constexpr int64_t kBits = 64;

  // Bits `first` and up of a word.
  static uint64_t from(int64_t first) { return first <= 0 ? ~uint64_t{0} : first >= kBits ? 0 : ~uint64_t{0} << first; }

  Word& at(int64_t row, int64_t word) const { return data_[row * row_words_ + word]; }

  Word* data_;
  int64_t row_words_;
};

// Some of a few consecutive keys, counted from the first of them: ranges with at least a tile between two of them.
class KeyRuns {
 public:
  static constexpr int64_t kMostKeys = 2 * kKeyTile;  // which lie in three tiles at most

  KeyRuns() = default;
  explicit KeyRuns(int64_t keys) { add({0, keys}); }

  void add(const KeyRange& range) {
    if (count_ > 0 && runs_[count_ - 1].last == range.first) {
      runs_[count_ - 1].last = range.last;
    } else {
      runs_[count_++] = range;
    }
  }

  const KeyRange* begin() const { return runs_.data(); }
  const KeyRange* end() const { return runs_.data() + count_; }

 private:
  std::array<KeyRange, 2> runs_{};
  size_t count_ = 0;
};

// Per batch element and query head; none is visited at first. Threads may set tiles of different heads or query tiles at the same
// time. Memory: a bit per tile.
class VisitedTiles {
 public:
  VisitedTiles(int64_t batch, int64_t q_heads, int64_t n_q, int64_t n_k)
      : q_heads_(q_heads),
        query_tiles_((n_q + kQueryTile - 1) / kQueryTile),
        key_tiles_((n_k + kKeyTile - 1) / kKeyTile),
        whole_heads_(static_cast<size_t>(batch * q_heads)),
        words_(static_cast<size_t>(batch * q_heads * query_tiles_ * BitRows<uint64_t>::words(key_tiles_))) {}

  // query_tile counts from query 0, key_tile from key 0.
  void set(int64_t batch, int64_t head, int64_t query_tile, int64_t key_tile) {
    BitRows<uint64_t>(words_.data(), key_tiles_).set(row(batch, head, query_tile), key_tile);
  }

  // Every tile of a head, and whether that was called for it.
  void set_all(int64_t batch, int64_t head) { whole_heads_[static_cast<size_t>(batch * q_heads_ + head)] = 1; }
  bool all(int64_t batch, int64_t head) const { return whole_heads_[static_cast<size_t>(batch * q_heads_ + head)] != 0; }

  // Whether the rectangle of `rows` queries and `keys` keys touches a visited tile.
  bool any(int64_t batch, int64_t head, int64_t query_first, int64_t rows, int64_t key_first, int64_t keys) const {
    if (rows <= 0 || keys <= 0) return false;
    if (all(batch, head)) return true;
    const BitRows<const uint64_t> bits(words_.data(), key_tiles_);
    for (int64_t tile = query_first / kQueryTile; tile * kQueryTile < query_first + rows; ++tile) {
      const int64_t last = (key_first + keys + kKeyTile - 1) / kKeyTile;
      if (bits.any(row(batch, head, tile), key_first / kKeyTile, last)) return true;
    }
    return false;
  }

  // The visited ones of `keys` <= KeyRuns::kMostKeys keys from key_first on, for any of the queries.
  KeyRuns runs(int64_t batch, int64_t head, int64_t query_first, int64_t rows, int64_t key_first, int64_t keys) const {
    KeyRuns result;
    for (int64_t first = 0, last; first < keys; first = last) {
      last = std::min(kKeyTile - (key_first + first) % kKeyTile + first, keys);
      if (any(batch, head, query_first, rows, key_first + first, last - first)) result.add({first, last});
    }
    return result;
  }

 private:
  int64_t row(int64_t batch, int64_t head, int64_t query_tile) const {
    return (batch * q_heads_ + head) * query_tiles_ + query_tile;
  }

  int64_t q_heads_, query_tiles_, key_tiles_;
  std::vector<char> whole_heads_;  // not bool, whose elements share memory
  std::vector<uint64_t> words_;
};

}  // namespace subquad::attention
