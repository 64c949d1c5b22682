"""FFTW's wisdom goes from one process to the next."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import subquad
from reference import fill, inputs


def test_a_round_trip():
    text = subquad.export_wisdom()
    assert "fftw" in text
    subquad.import_wisdom(text)
    q, k, _ = inputs(300, 300)
    subquad.conv_basis_fit(q, k, bases=3)
    subquad.import_wisdom(subquad.export_wisdom())


def test_in_another_process():
    script = "import sys, subquad; subquad.import_wisdom(sys.stdin.read()); print('fftw' in subquad.export_wisdom())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        input=subquad.export_wisdom(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)


def test_beside_fits_in_other_threads():
    """Plans are made while others are exported."""
    q, k = fill(0, 211, 4), fill(1, 211, 4)
    expected = subquad.conv_basis_fit(q, k, bases=2, threads=1).to_dense()

    def work(number):
        if number % 2:
            subquad.import_wisdom(subquad.export_wisdom())
            return True
        n = 100 + number
        subquad.conv_basis_fit(q[:n], k[:n], bases=2, threads=1)
        return (subquad.conv_basis_fit(q, k, bases=2, threads=1).to_dense() == expected).all()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(60)))
