"""What the command line says of itself, the other ways to start it, and the examples of its page."""

import doctest
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import subquad
from cli_program import run
from subquad._cli import main
from subquad._cli.program import COMMANDS
from subquad._constants import Option
from subquad._library import raw

PAGE = Path(__file__).resolve().parents[3] / "docs/cli.md"


def printed_help(capsys, *line):
    assert main([*line, "--help"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def test_help_lists_the_commands(capsys):
    text = printed_help(capsys)
    for name in (*COMMANDS, "demo"):
        assert re.search(rf"^    {name}\b", text, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches(capsys, monkeypatch, name):
    """Examples whose options exist, exit codes, units; in lines that a terminal holds, but for examples and codes."""
    monkeypatch.setenv("COLUMNS", "80")
    text = printed_help(capsys, name)
    assert "Times are in seconds unless they say otherwise" in " ".join(text.split())
    examples = re.findall(rf"^  subquad {name}\b(.*)$", text, re.MULTILINE)
    assert examples
    for option in re.findall(r"(?<=\s)--?[a-z][\w-]*", " ".join(example.split("|")[0] for example in examples)):
        assert re.search(rf"^ +.*{option}\b", text.split("examples:")[0], re.MULTILINE), option
    before = text.split("examples:")[0]
    assert max(map(len, before.splitlines())) <= 80
    assert "SUBQUAD_METHOD" not in text
    assert "subquad_" not in text


def test_options_are_said_in_the_words_of_the_table(capsys):
    """Each sentence of the table is there, but for its names of constants, which programs in C need."""
    text = " ".join(printed_help(capsys, "attention").split())
    for option in (Option.BUDGET, Option.CAUSAL_OFFSET, Option.SCALE, Option.BASES, Option.STRICT_CAUSAL):
        told = raw.subquad_option_describe(option)[2].replace("Unset means", "Default:").replace("Unset:", "Default:")
        assert told.split(". ")[0] in text.replace("- ", "-"), told
    assert "One of exact, conv_basis, auto. Default: exact." in text
    text = " ".join(printed_help(capsys, "sparsify").split())
    assert "One of none, auto, exact, estimate. Default: auto." in text
    assert "Default: 0.01." in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"subquad {subquad.__version__}\n"


def test_info(capsys):
    assert main(["info", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {key: document[key] for key in subquad.info()} == dict(subquad.info())
    assert (document["numpy"], document["python"]) == (np.__version__, sys.version.split()[0])
    assert {"scipy", "tqdm"} <= set(document["found"])
    assert main(["info"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["version"] == subquad.__version__
    assert lines["simd_targets"] == ", ".join(document["simd_targets"])


def test_the_module_is_the_program():
    """`python -m subquad` is what the entry point `subquad` calls."""
    code, printed, said = run("--version")
    assert (code, printed, said) == (0, f"subquad {subquad.__version__}\n", "")
    script = "import sys; from subquad._cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-P", "-c", script, "info", "--wrong"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "subquad: error: unrecognized arguments: --wrong; see subquad --help\n".replace(
        "subquad:", "subquad info:"
    )


def test_the_demo_gets_its_own_words(monkeypatch):
    import subquad.demo.__main__ as demo

    seen = []
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(demo, "main", lambda: seen.append(sys.argv))
    assert main(["demo", "--tokens", "512", "--help"]) == 0
    assert seen == [["subquad demo", "--tokens", "512", "--help"]]


def test_the_demo_says_what_it_misses(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert main(["demo"]) == 1
    assert "pip install 'subquad[demo]'" in capsys.readouterr().err


def test_nothing_heavy_is_imported_before_it_is_needed():
    script = (
        "import sys; from subquad._cli import main; print(*{'tqdm', 'scipy', 'argparse'} & set(sys.modules)); main(['--version'])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert "tqdm" not in done.stdout
    assert "scipy" not in done.stdout
    script = "import sys, subquad; print('subquad._cli' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def examples():
    """(command, what it prints) of the page, in order."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    quoted = r'(?:[^"\n]|"[^"]*")*\n'  # a line, or several where quotes reach over their ends
    return [found for block in blocks for found in re.findall(rf"^\$ ({quoted})((?:(?!\$ ).*\n)*)", block, re.MULTILINE)]


def test_the_examples_of_the_page(tmp_path):
    """In one folder, one after the other."""
    prelude = f'subquad() {{ "{sys.executable}" -P -m subquad "$@"; }}; python() {{ "{sys.executable}" -P "$@"; }}; '
    checker = doctest.OutputChecker()
    assert len(examples()) > 5
    for command, expected in examples():
        done = subprocess.run(
            ["bash", "-c", prelude + command],
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "80"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert checker.check_output(expected, done.stdout, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE), (
            f"$ {command}{done.stdout}\nnot\n{expected}"
        )


def test_the_page_names_every_option():
    text = PAGE.read_text()
    for name in COMMANDS:
        assert f"subquad {name}" in text
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert target.startswith("http") or (PAGE.parent / target).exists(), target
