"""The fill function of the header's section 10, written again in NumPy from its specification."""

import numpy as np

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW32 = np.uint64(0xFFFFFFFF)
SHIFT32 = np.uint64(32)

# Known answers published with Random123 (kat_vectors, philox4x32 10): counter, key, result.
KNOWN_ANSWERS = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


def philox4x32(counter, key):
    """Philox4x32-10 of four counter words (arrays of uint64 below 2^32) and two key words (integers)."""
    c0, c1, c2, c3 = (np.asarray(word, dtype=np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(ROUNDS):
        product0 = c0 * np.uint64(MULTIPLIERS[0])
        product1 = c2 * np.uint64(MULTIPLIERS[1])
        c0, c1, c2, c3 = (
            (product1 >> SHIFT32) ^ c1 ^ np.uint64(k0),
            product1 & LOW32,
            (product0 >> SHIFT32) ^ c3 ^ np.uint64(k1),
            product0 & LOW32,
        )
        k0 = (k0 + WEYL[0]) & 0xFFFFFFFF
        k1 = (k1 + WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def check_known_answers():
    for counter, key, expected in KNOWN_ANSWERS:
        words = tuple(int(word) for word in philox4x32(counter, key))
        assert words == expected, f"Philox4x32-10 of {counter}, {key} is {words}, should be {expected}"


def first_words(count, seed, stream):
    """Words 0 .. count - 1 of a stream: word i mod 4 of counter (i / 4, stream), key seed."""
    index = np.arange(count, dtype=np.uint64)
    block = index >> np.uint64(2)
    everywhere = np.ones_like(index)
    words = philox4x32(
        (block & LOW32, block >> SHIFT32, everywhere * np.uint64(stream & 0xFFFFFFFF), everywhere * np.uint64(stream >> 32)),
        (seed & 0xFFFFFFFF, seed >> 32),
    )
    return np.choose((index & np.uint64(3)).astype(np.intp), words)


def fill_uniform(shape, dtype, seed, stream, low, high):
    """The array that subquad_fill_uniform writes: every operation rounded to double, none fused, then rounded to dtype."""
    word = first_words(int(np.prod(shape, dtype=np.int64)), seed, stream)
    u = (word >> np.uint64(8)).astype(np.float64) * 2.0**-24
    return (np.float64(low) + (np.float64(high) - np.float64(low)) * u).astype(dtype).reshape(shape)
