"""The oracle and the budgets are those that the conformance cases are made with."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests/conformance/maker"))
