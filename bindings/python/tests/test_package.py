"""The package as installed: import, its check of the library, documentation, types, silence."""

import doctest
import importlib
import inspect
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
    """Those of the package itself; its parts that need more than NumPy have tests of their own."""
    names = [module.name for module in pkgutil.iter_modules(subquad.__path__) if not module.ispkg and module.name[0] == "_"]
    return [subquad, *(importlib.import_module(f"subquad.{name}") for name in names if name != "__main__")]


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


def test_import_brings_numpy_alone():
    """Whatever else is installed."""
    others = ("torch", "jax", "scipy", "dask", "sklearn", "matplotlib", "tqdm")
    script = f"import sys, subquad; print([name for name in {others} if name in sys.modules])"
    assert python(script).stdout == "[]\n"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_examples(module):
    assert doctest.testmod(module).failed == 0


def test_the_readme():
    page = Path(__file__).resolve().parents[1] / "README.md"
    assert doctest.testfile(str(page), module_relative=False).failed == 0
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def public():
    """Functions, classes and methods of the package, by name."""
    found = {name: getattr(subquad, name) for name in subquad.__all__ if not name.startswith("__")}
    for name, kind in list(found.items()):
        if inspect.isclass(kind):
            members = inspect.getmembers(kind, inspect.isroutine)
            ours = {key: member for key, member in members if str(getattr(member, "__module__", None)).startswith("subquad.")}
            found |= {f"{name}.{key}": member for key, member in ours.items() if not key.startswith("_")}
    return found


ABOUT_NO_MATHEMATICS = {"Gradients", "Report", "Report.json", "Status", "SubquadError", "column_blocks", "info"}
ABOUT_NO_MATHEMATICS |= {"export_wisdom", "import_wisdom", "progress"}


@pytest.mark.parametrize("name", sorted(set(public()) - {"Status"}))
def test_everything_has_an_example(name):
    """That test_examples runs."""
    thing = public()[name]
    where = f"{thing.__module__}.{thing.__qualname__}"
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [test for test in finder.find(sys.modules[thing.__module__]) if test.name == where]
    assert examples, where
    assert examples[0].examples, where


@pytest.mark.parametrize("name", [name for name, thing in public().items() if inspect.isroutine(thing)])
def test_every_function_says_what_it_raises(name):
    """A report is text already."""
    assert name == "Report.json" or re.search(r"^ *Raises ", public()[name].__doc__, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(set(public()) - ABOUT_NO_MATHEMATICS))
def test_mathematics_has_a_source(name):
    """In the function's text, or in that of its class."""
    thing = public()[name.partition(".")[0]]
    assert re.search(r"^ *Sources?: ", thing.__doc__, re.MULTILINE)


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
