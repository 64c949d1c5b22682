"""The package as installed: import, its check of the library, documentation, types, silence."""

import doctest
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import subquad
from reference import inputs
from subquad._constants import CONSTANTS
from subquad._library import differences, raw

IMPORT_SECONDS = 0.15  # promised, beyond NumPy's own


def python(script, **environment):
    return subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def modules():
    return [subquad, *(importlib.import_module(f"subquad.{module.name}") for module in pkgutil.iter_modules(subquad.__path__))]


def test_every_constant_agrees():
    assert differences(CONSTANTS) == []
    names = []
    try:
        while True:
            names.append(raw.subquad_constant_at(len(names))[0])
    except ValueError:  # ends the enumeration
        assert set(names) == set(CONSTANTS)
    assert differences({"SUBQUAD_OK": 3, "SUBQUAD_NOPE": 1}) == [
        "SUBQUAD_OK is 3 here, 0 in the library",
        "SUBQUAD_NOPE is 1 here, None in the library",
    ]


def test_a_library_that_does_not_fit_is_refused(tmp_path):
    """The package under another name, with another version written into its constants."""
    twin = tmp_path / "twin"
    twin.mkdir()
    for folder in {Path(subquad.__file__).parent, Path(raw.__file__).parent}:
        shutil.copytree(folder, twin, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import twin; print(twin.__version__)"
    assert python(script).stdout == f"{subquad.__version__}\n"
    constants = twin / "_constants.py"
    text = constants.read_text()
    number = f'"SUBQUAD_VERSION_NUMBER": {CONSTANTS["SUBQUAD_VERSION_NUMBER"]}'
    assert number in text
    constants.write_text(text.replace(number, '"SUBQUAD_VERSION_NUMBER": 999'))
    refused = python(script)
    assert refused.returncode == 1
    assert "ImportError: subquad" in refused.stderr
    assert "SUBQUAD_VERSION_NUMBER is 999 here" in refused.stderr


def test_the_extension_and_its_library_lie_together():
    extension = Path(raw.__file__)
    assert extension.name == "_subquad.abi3.so"
    loaded = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libsubquad" in line}
    assert [Path(path).parent for path in loaded] == [extension.parent]


def test_import_is_quick():
    """The best of five: a busy machine may delay any process."""
    script = "import time, numpy; began = time.perf_counter(); import subquad; print(time.perf_counter() - began)"
    assert min(float(python(script).stdout) for _ in range(5)) < IMPORT_SECONDS


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_examples(module):
    assert doctest.testmod(module).failed == 0


def test_the_readme():
    page = Path(__file__).resolve().parents[1] / "README.md"
    assert doctest.testfile(str(page), module_relative=False).failed == 0
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_function_has_an_example():
    found = {name for module in modules() if hasattr(module, "__file__") for name in examples(module)}
    functions = {
        "attention",
        "attention_backward",
        "attention_loss",
        "merge",
        "fill_uniform",
        "info",
        "export_wisdom",
        "plan",
        "Plan",
    }
    bases = {"ConvBasis", "from_dense", "toeplitz", "exp", "apply", "apply_transposed", "backward"}
    sparsifiers = {"Sparsifier", "attention", "softmax_error", "column_blocks", "leverage_scores", "sparsify", "sparsify_pair"}
    assert found >= functions | bases | sparsifiers | {"conv_basis_fit", "conv_basis_recover"}


def examples(module):
    return [test.name.split(".")[-1] for test in doctest.DocTestFinder().find(module) if test.examples]


def type_errors(cache, *arguments):
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return [line for line in checked.stdout.splitlines() if ": error:" in line]


def test_types(tmp_path):
    """The package itself, and calls to it, of which the last is wrong."""
    assert type_errors(tmp_path, "-p", "subquad") == []
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import numpy as np
            import subquad

            q = np.zeros((3, 4))
            o = subquad.attention(q, q, q, causal=True)
            o, lse = subquad.attention(q, q, q, return_lse=True, out=o)
            o, lse, report = subquad.attention(q, q, q, return_lse=True, return_report=True)
            report["pairs"]
            gradients = subquad.attention_backward(q, q, q, o, lse, o)
            dq: np.ndarray = gradients.dq
            o, lse = subquad.merge([o], [lse])
            o = subquad.attention(q, q, q, tol=0.1, estimate="sampled", parts={"heavy", "conv"}, strict_causal=True, seed=3)
            gradients, report = subquad.attention_backward(q, q, q, o, lse, o, budget=0.5, return_report=True)
            with subquad.plan(q, q, budget=300, causal=True) as plan:
                o, lse, report = plan.apply(q, out=o, return_lse=True, return_report=True)
                dv: np.ndarray = plan.backward(q, o, lse, q).dv
                error: float = plan.report.heads[0]["error"]
            try:
                subquad.fill_uniform((2, 2), 1, 0, 0.0, 1.0, np.float32)
            except subquad.SubquadError as failure:
                code: subquad.Status = failure.code
            basis = subquad.conv_basis_recover(q, q, bases=1, window=1, delta=1.0)
            with subquad.ConvBasis(starts=[0], kernels=q, cumulative=True) as other:
                y: np.ndarray = other @ q + other.T @ q
            o, lse, report = basis.apply(q, return_lse=True, return_report=True)
            y, report = subquad.ConvBasis.toeplitz(lse).multiply(q, strict_causal=True, return_report=True)
            gradients, report = basis.backward(q, q, q, o, backward="exact", return_report=True)
            gradients = subquad.attention_backward(q, q, q, o, lse, o, causal=True, method="conv_basis", bases=1)
            loss, grad_x = subquad.attention_loss(q, q, q, q, q, q, method="conv_basis", bases=2)
            total: float = loss + basis.exp().n
            subquad.import_wisdom(subquad.export_wisdom())
            blocks = subquad.column_blocks(lambda first, last: q[:, first:last], 3, 4, "float64", block_columns=2)
            scores, report = subquad.leverage_scores(blocks, method="sketch", return_report=True)
            with subquad.sparsify(q, columns=2, certify=False) as few:
                indices: np.ndarray = few.indices + scores.astype(np.int64)[few.indices]
            few = subquad.sparsify_pair(q, blocks, method="deterministic", eps=0.5)
            if few.epsilon is not None:
                total = few.epsilon + few.softmax_error(q, blocks).ratio + few.ratio_bound(0.5)
            o, lse, report = few.attention(q, scale=0.5, causal=True, return_lse=True, return_report=True)
            subquad.attention(q, q, q, causal="yes")
            """
        )
    )
    errors = type_errors(tmp_path, str(script))
    assert len(errors) == 1, errors
    assert "causal" in errors[0] or 'No overload variant of "attention"' in errors[0]
    assert (Path(subquad.__file__).parent / "py.typed").exists()


def test_nothing_is_printed(capfd):
    q, k, v = inputs(5, 5)
    o, lse = subquad.attention(q, k, v, return_lse=True)
    subquad.attention_backward(q, k, v, o, lse, o)
    subquad.merge([o], [lse])
    subquad.plan(q, k, tol=0.1).backward(v, o, lse, o)
    subquad.conv_basis_recover(q, k, bases=1, window=2, delta=0.1).apply(v)
    subquad.conv_basis_fit(q, k, bases=2).backward(q, k, v, v)
    subquad.sparsify(q, columns=2).attention(v)
    subquad.sparsify_pair(q, k, method="gram").softmax_error(q, k)
    subquad.info()
    with pytest.raises(ValueError, match="k"):
        subquad.attention(q, k[:, 1:], v)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_at_exit():
    quiet = python(
        """
        import subquad
        x = subquad.fill_uniform((9, 9), 1, 0, 0.0, 1.0, 'float32')
        subquad.attention(x, x, x, threads=2)
        basis = subquad.ConvBasis.from_dense(x * (x == 2))
        basis.itself = basis
        sparsifier = subquad.sparsify(subquad.column_blocks(lambda first, last: x[:, first:last], 9, 9, 'float32'), columns=4)
        sparsifier.itself = sparsifier
        plan = subquad.plan(x, x, tol=0.1)
        plan.itself = plan
        """
    )
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("environment", "name"),
    [({"SUBQUAD_SIMD_TARGET": "ABACUS"}, "ERR_UNKNOWN"), ({"SUBQUAD_NUM_THREADS": "none"}, "ERR_VALUE")],
)
def test_a_bad_environment_is_named(environment, name):
    """At the first call; the import works all the same."""
    script = """
    import subquad
    x = subquad.fill_uniform((9, 9), 1, 0, 0.0, 1.0, "float32")
    try:
        subquad.attention(x, x, x)
    except subquad.SubquadError as failure:
        print(failure.name, %r in str(failure))
    """
    assert python(script % next(iter(environment.values())), **environment).stdout == f"{name} True\n"


def test_thread_count_from_the_environment():
    script = "import subquad; print(subquad.info()['threads'])"
    assert python(script, SUBQUAD_NUM_THREADS="3").stdout == "3\n"
