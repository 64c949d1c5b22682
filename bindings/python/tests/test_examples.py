"""The programs of examples/python, on small problems: they run, and what they print is what they promise."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/python"
NUMBER = r"([-+.\de]+)"


def run(name, *arguments):
    command = [sys.executable, "-P", str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def numbers(pattern, text):
    return [float(number) for number in re.search(pattern, text).groups()]


def test_delays():
    text = run("delays.py", "--hours", 6000, "--rounds", 30)
    (difference,) = numbers(rf"from direct sums: {NUMBER} of the largest", text)
    n = 6000
    # roundoff: of three transforms of 2 n numbers, 4 u log2(2 n) each, and of a sum of n terms, relative to |h|_2 |x|_2 per variant, which
    # is at most sqrt(n) |h|_1 max(x); and H x reaches a quarter of the sum of |h|_1 max(x), for waves are wider than delays.
    assert difference <= 4 * (12 * 14 + n) * 2**-53 * n**0.5
    by_variant, alike = numbers(rf"for each variant +{NUMBER}\s+one delay for all +{NUMBER}", text)
    assert by_variant < alike / 2


def test_adaptive():
    """Made-up heads are within the promise for most: 1.25 tol, but for what is printed."""
    text = run("adaptive.py", "--tokens", 3000, "--tol", 0.1)
    for kind in ("local", "heavy", "needles", "diffuse"):
        estimated, low, high, true, share = numbers(rf"{kind} +{NUMBER} \({NUMBER} to {NUMBER}\) +{NUMBER} +{NUMBER}%", text)
        assert low <= estimated <= high
        assert true <= 1.25 * 0.1
        assert 0 <= share <= 100


def test_train_layer():
    """Both methods descend to the same loss: the hidden x's, 0, as far as the steps lead."""
    text = run("train_layer.py", "--rows", 400, "--steps", 60)
    exact, conv = numbers(rf"end +{NUMBER} +{NUMBER}", text)
    start, start_conv = numbers(rf"\n +0 +{NUMBER} +{NUMBER}", text)
    assert abs(start - start_conv) <= 1e-5 * start  # printed with six digits
    assert exact < 1e-3 * start
    assert abs(exact - conv) <= 1e-3 * start


def test_representatives():
    """The certificates are those of whitened columns, to what is printed; the deterministic one holds its bound, and chance does worse."""
    text = run("representatives.py", "--words", 32, "--modules", 120)
    columns = 6 * 32
    assert numbers(r"error e with (\d+) columns", text) == [columns]
    errors = {}
    for method in ("deterministic", "leverage"):
        errors[method], chosen, directly = numbers(rf"{method} +{NUMBER} +(\d+) functions in .* directly {NUMBER}", text)
        assert abs(errors[method] - directly) <= 1e-3  # printed with three digits
        assert chosen <= columns
    assert errors["deterministic"] <= 2 * 6**0.5 / (6 + 1)
    assert errors["deterministic"] < min(errors["leverage"], *numbers(rf"norms +{NUMBER}\s+uniform +{NUMBER}", text))
    ratio, bound = numbers(rf"by a factor {NUMBER} \(bound {NUMBER}\)", text)
    assert 1 <= ratio <= bound
