"""Progress of the library's calls, as bars are moved by it."""

import sys
import threading

import numpy as np
import pytest
import subquad
from subquad._cli.progress import bar
from subquad._progress import progress


def inputs(n):
    return [subquad.fill_uniform((n, 64), seed=1, stream=stream, low=-1, high=1, dtype="float32") for stream in range(3)]


LONG = inputs(2**13)  # tenths of seconds

CALLS = {
    "exact": lambda: subquad.attention(*LONG, threads=1),
    "adaptive": lambda: subquad.attention(*LONG, causal=True, budget=1000, threads=1),
    "conv basis": lambda: subquad.attention(*LONG, causal=True, method="conv_basis", bases=32, threads=1),
    "backward": lambda: subquad.attention_backward(*LONG, LONG[0], LONG[0][:, 0], LONG[0], threads=1),
    "sparsify": lambda: subquad.sparsify(LONG[0].T, method="deterministic", columns=4000, threads=1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_fractions_grow(call):
    seen = []
    with progress(seen.append):
        call()
    assert seen
    assert seen == sorted(seen)
    assert seen[0] >= 0
    assert seen[-1] <= 1


def test_the_result_does_not_change():
    expected = CALLS["exact"]()
    with progress(lambda fraction: subquad.attention(*[array[:9] for array in LONG])):  # which calls the library itself
        assert CALLS["exact"]().tobytes() == expected.tobytes()


def test_what_is_raised_ends_the_call():
    def tell(fraction):
        if fraction > 0.2:
            raise ZeroDivisionError(fraction)

    with pytest.raises(ZeroDivisionError), progress(tell):
        CALLS["exact"]()
    assert np.isfinite(CALLS["exact"]()).all()  # the context that was used goes on


def test_the_innermost_block_is_told_and_only_this_thread():
    outer, inner = [], []
    with progress(outer.append):
        with progress(inner.append):
            CALLS["exact"]()
        assert inner
        assert not outer
        worker = threading.Thread(target=CALLS["exact"])
        worker.start()
        worker.join()
        assert not outer
        CALLS["exact"]()
        assert outer
    told = len(outer)
    CALLS["exact"]()
    assert len(outer) == told


def test_a_block_wants_a_function():
    with pytest.raises(TypeError, match="tell is 3 of type int") as caught, progress(3):
        pass
    assert caught.value.name == "ERR_TYPE"


def test_a_bar_adds_up_calls(monkeypatch):
    """tqdm's own bar, watched; on what it takes for a terminal."""
    tqdm = pytest.importorskip("tqdm").tqdm
    seen = []

    class Watched(tqdm):
        def update(self, n=1):
            super().update(n)
            seen.append(self.n)

    monkeypatch.setattr("subquad._cli.progress._tqdm", lambda: Watched)
    with bar("work", 2) as step:
        CALLS["exact"]()
        step()
        assert seen[-1] == 1
        CALLS["exact"]()
        assert 1 < max(seen) <= 2
        step()
    assert seen[-1] == 2
    assert seen == sorted(seen)


def test_without_tqdm_there_is_no_bar(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())  # which could not even be written to
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with bar("work") as step:
        CALLS["exact"]()
        step()
