"""Adaptive attention on the heads of SmolLM2-135M: error, perplexity and time against exact attention, PyTorch's and fixed patterns.

Parts: quality (perplexity and errors, 4,096 and 8,192 tokens), speed (all 270 heads at 8,192), long (32,768 tokens, past the model's
length), growth (131,072 against 32,768), patterns (windows, verticals and slashes, blocks at the library's time), parts (what each part
of the method costs and buys). float32. Errors are relative Frobenius errors of a head's output, given exact queries, keys and values.
"""

import argparse

import real_heads_parts
import real_heads_patterns
import real_heads_quality
import real_heads_speed
from common import print_header, print_table
from real_heads_model import Model

SEED = 0
TOLERANCES = (0.1, 0.05)
PARTS = {
    "quality": lambda model, held_out: real_heads_quality.rows(model, TOLERANCES, held_out),
    "speed": lambda model, _: real_heads_speed.rows(model, TOLERANCES),
    "long": lambda model, _: real_heads_speed.long_rows(model, TOLERANCES),
    "growth": lambda model, _: real_heads_speed.growth_rows(model, TOLERANCES),
    "patterns": lambda model, _: real_heads_patterns.rows(model),
    "parts": lambda model, _: real_heads_parts.rows(model, TOLERANCES),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all unless given")
    parser.add_argument("--held-out", action="store_true", help="quality on texts that nothing was chosen by")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    print_header(SEED)
    model = Model()
    for name in arguments.parts or PARTS:
        print(f"\n{name}\n", flush=True)
        print_table(PARTS[name](model, arguments.held_out))


if __name__ == "__main__":
    main()
