// The bytes of an input, read as numbers. What is left out at the end reads as 0, so that a prefix of an input is one, too.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

namespace fuzz {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t count) : data_(data), left_(count) {}

  size_t left() const { return left_; }

  template <class T>
  T number() {
    T value{};
    const size_t count = left_ < sizeof(T) ? left_ : sizeof(T);
    if (count > 0) std::memcpy(&value, data_, count);
    data_ += count;
    left_ -= count;
    return value;
  }

  // Takes one byte where the range has no more values than that, else two: no range here has more.
  template <class T>
  T between(T lowest, T highest) {
    static_assert(std::is_integral_v<T>);
    const auto span = static_cast<uint64_t>(highest) - static_cast<uint64_t>(lowest);
    const uint64_t taken = span < 256 ? number<uint8_t>() : number<uint16_t>();
    return static_cast<T>(static_cast<uint64_t>(lowest) + taken % (span + 1));
  }

  bool flag() { return (number<uint8_t>() & 1) != 0; }

  // True once in so many times.
  bool once_in(int times) { return between(0, times - 1) == 1; }

  template <class T, size_t Count>
  T pick(const T (&from)[Count]) {
    return from[between<size_t>(0, Count - 1)];
  }

  // Up to a zero byte, or so many.
  std::string text(size_t most) {
    std::string result;
    while (left_ > 0 && result.size() < most) {
      const char next = number<char>();
      if (next == '\0') break;
      result += next;
    }
    return result;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

}  // namespace fuzz
