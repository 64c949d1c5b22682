// Philox4x32-10 against the known answers that Random123 publishes.
#include <doctest/doctest.h>

#include "core/random/philox.hpp"

using namespace subquad;

TEST_CASE("Philox4x32-10 gives the published known answers") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("words of different seeds, streams and indices are all different functions") {
  CHECK(random_word(1, 2, 3) == random_word(1, 2, 3));
  CHECK(random_word(1, 2, 3) != random_word(1, 2, 7));
  CHECK(random_word(1, 2, 3) != random_word(1, 3, 3));
  CHECK(random_word(1, 2, 3) != random_word(2, 2, 3));
  CHECK(random_word(1, 2, uint64_t{1} << 40) != random_word(1, 2, 0));
}
