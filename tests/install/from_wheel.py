"""What a wheel must do where only NumPy is beside it: run by scripts/wheel, in new environments, with nothing but the standard library.

usage: from_wheel.py [--bare] [--emulated]

--bare      the machine has no FFTW and no OpenBLAS of its own, which is then looked at too
--emulated  an emulator runs this, which new processes would escape: leaves out the checks that start some
Results are compared with NumPy's, within budgets: `roundoff` (from u, sizes and magnitudes) and `method` (what is promised).
The last line is "N passed, N failed".
"""

import contextlib
import ctypes
import importlib
import json
import os
import statistics
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np

U32, U64 = 2.0**-24, 2.0**-53
IMPORT_SECONDS = 0.15  # promised, beyond NumPy's own
#: Libraries that a wheel has to bring, by the names under which a system has them.
CARRIED = [
    "libfftw3.so.3",
    "libfftw3f.so.3",
    "libfftw3_threads.so.3",
    "libfftw3f_threads.so.3",
    "libopenblas.so.0",
    "libhwy.so.1",
    "libgfortran.so.5",
    "libquadmath.so.0",
]


def fill(subquad, stream, *shape, dtype="float64"):
    return subquad.fill_uniform(shape, seed=1, stream=stream, low=-1, high=1, dtype=dtype)


def softmax_attention(q, k, v, scale, causal=False):
    """In float64: o[i,:] = sum_j w[i,j] v[j,:] / sum_j w[i,j], w = exp(scale q k')."""
    logits = scale * (q.astype(np.float64) @ np.swapaxes(k, -1, -2).astype(np.float64))
    if causal:
        logits = np.where(np.tri(*logits.shape[-2:], dtype=bool), logits, -np.inf)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights @ v / weights.sum(axis=-1, keepdims=True)


def expect(error, budget):
    worst = float(np.max(np.abs(error)))
    assert worst <= budget, f"error {worst:.3g} exceeds the budget {budget:.3g}"


def check_attention(subquad):
    n, d = 211, 24
    q, k, v = (fill(subquad, stream, 3, n, d, dtype="float32") for stream in range(3))
    # roundoff: a logit of d products of numbers up to 1, whose error moves its weight by as much in numerator and denominator; n terms
    # in each sum, values up to 1.
    roundoff = 2 * U32 * ((d + 2) * d / np.sqrt(d) + n + 2)
    for causal in (False, True):
        o = subquad.attention(q, k, v, causal=causal)
        expect(o - softmax_attention(q, k, v, 1 / np.sqrt(d), causal), roundoff)


def check_conv_basis(subquad):
    n = 1000
    q, k = np.ones((n, 2)), np.repeat([[1.0, 0.5], [-1.0, 0.2], [0.3, 2.0]], [400, 350, 250], axis=0)
    v = fill(subquad, 0, n, 8)
    basis = subquad.conv_basis_recover(q, k, bases=8, window=4, delta=0.5)
    assert basis.starts.tolist() == [0, 400, 750]
    # method: 1e-9 is promised in float64, times values up to 1; roundoff: n terms in each of NumPy's sums.
    expect(basis.apply(v) - softmax_attention(q, k, v, 1 / np.sqrt(2), causal=True), 1e-9 + 2 * n * U64)


def check_sparsify(subquad):
    """The certificate is the largest distance from 1 of an eigenvalue of y y' relative to x x'."""
    rows, columns, eps = 12, 4000, 0.4
    x = fill(subquad, 0, rows, columns) / columns**0.5
    y = subquad.sparsify(x, method="deterministic", eps=eps)
    assert y.shape[1] < columns / 4
    assert y.certificate == "exact"
    assert (y.y == x[:, y.indices] * np.sqrt(y.weights)).all()
    gram = x @ x.T
    inverse = np.linalg.inv(np.linalg.cholesky(gram))
    epsilon = np.abs(np.linalg.eigvalsh(inverse @ (y.y @ y.y.T) @ inverse.T) - 1).max()
    # roundoff: sums of `columns` terms, and factorisations of `rows`, which lose the condition number; eigenvalues up to 1 + eps.
    roundoff = 8 * (columns + rows**2) * U64 * np.linalg.cond(gram) * (1 + eps)
    expect(y.epsilon - epsilon, roundoff)
    assert epsilon <= eps + roundoff


def check_plan(subquad):
    """A head whose near keys weigh most: the error that was asked for, from fewer than half of the pairs."""
    n, d, tol = 2048, 64, 0.1
    angles = np.arange(n)[:, None] * np.geomspace(1, 0.001, d // 2)
    near = 2 * np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype("float32")
    v = fill(subquad, 3, n, d, dtype="float32")
    exact = softmax_attention(near, near, v, 1 / np.sqrt(d), causal=True)
    with subquad.plan(near, near, v, tol=tol, causal=True) as plan:
        o, lse, report = plan.apply(v, return_lse=True, return_report=True)
        if report["parts"] == "exact":  # the portable target has no quick screening
            assert (report["simd_target"], report["fallback"]) == ("SCALAR", "exact attention is cheaper")
        else:
            assert report["pairs_exact"] + report["pairs_low"] < report["pairs"] / 2
        # method: docs/adaptive.md promises 1.25 tol of most heads, and this one is easy.
        expect(np.linalg.norm(o - exact) / np.linalg.norm(exact), 1.25 * tol)
        gradients = plan.backward(v, o, lse, d_o=np.ones_like(v))
    assert all(np.isfinite(gradient).all() for gradient in gradients[:3])


def own_blas():
    """NumPy's own OpenBLAS and its functions that read and set the number of threads; None where NumPy has another library."""
    for path in Path(np.__file__).parent.parent.glob("numpy.libs/*openblas*"):
        for suffix in ("64_", ""):
            library = ctypes.CDLL(str(path))
            with contextlib.suppress(AttributeError):
                return tuple(getattr(library, f"scipy_openblas_{what}_num_threads{suffix}") for what in ("get", "set"))
    return None


def system_blas():
    """The same of an OpenBLAS of the system, under the very names that the wheel's has; None where there is none."""
    try:
        library = ctypes.CDLL("libopenblas.so.0")
    except OSError:
        return None
    return library.openblas_get_num_threads, library.openblas_set_num_threads


def check_other_blas(subquad):
    """Another OpenBLAS in the process keeps its number of threads, and its own results."""
    for get, set_threads in filter(None, [own_blas(), system_blas()]):
        before = get()
        for threads in (1, 2):
            set_threads(threads)
            check_sparsify(subquad)
            assert get() == threads
        set_threads(before)
    check_attention(subquad)


def check_libraries(subquad):
    """The wheel carries what it needs, and the process has that and no other copy, beside NumPy's."""
    package = Path(subquad.__file__).parent
    stems = tuple(name.partition(".so")[0] for name in CARRIED)
    carried = {path.name for path in (package.parent / "subquad.libs").iterdir()}
    for stem in stems:
        assert any(name.startswith((f"{stem}-", f"{stem}p-")) for name in carried), f"{stem} is not in {carried}"
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    loaded = {Path(line.split()[-1]) for line in maps.read_text().splitlines() if ".so" in line}
    alike = {path for path in loaded if path.name.startswith(stems)}
    assert carried <= {path.name for path in alike}
    assert {path.parent.name for path in alike} <= {"subquad.libs", "numpy.libs"}, alike
    assert package / "libsubquad.so.0" in loaded


def check_command(subquad):
    """Without what its extra brings."""
    command = [sys.executable, "-P", "-m", "subquad", "info", "--json"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert (said["version"], said["numpy"]) == (subquad.__version__, np.__version__)


def import_seconds(repeats=9):
    """The median over new processes, of processor time: what else a busy machine does is not counted."""
    script = "import time, numpy; began = time.process_time(); import subquad; print(time.process_time() - began)"
    command = [sys.executable, "-P", "-c", script]
    return statistics.median(float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(repeats))


def check_import_time(_):
    seconds = import_seconds()
    print(f"import takes {seconds:.3f} s beyond NumPy's")
    assert seconds <= IMPORT_SECONDS


def check_bare(_):
    for name in CARRIED:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            raise AssertionError(f"this machine has {name}")


def main():
    blas = own_blas()
    threads = blas and blas[0]()
    subquad = importlib.import_module("subquad")
    assert threads == (blas and blas[0]()), "the import changed the number of threads of NumPy's BLAS"
    # Libraries first: check_other_blas loads one that is not the wheel's.
    checks = [check_libraries, check_attention, check_conv_basis, check_sparsify, check_plan, check_other_blas]
    if "--emulated" not in sys.argv[1:]:
        checks += [check_command, check_import_time]
    if "--bare" in sys.argv[1:]:
        checks += [check_bare]
    failed = 0
    for check in checks:
        try:
            check(subquad)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            failed += 1
        else:
            print("ok", check.__name__.removeprefix("check_"))
    print(f"subquad {subquad.__version__} in Python {sys.version.split()[0]} with NumPy {np.__version__} on {os.uname().machine}")
    print(f"SIMD target {subquad.info()['simd_target']}, {subquad.info()['threads']} threads")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
