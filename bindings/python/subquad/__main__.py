"""`python -m subquad`: the command line, as the program `subquad` has it."""

import sys

from ._cli import main

if __name__ == "__main__":
    sys.exit(main())
