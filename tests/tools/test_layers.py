"""The layer check holds on the tree, and can fail."""

import check_layers
import pytest


def test_the_tree_depends_downward_only(root):
    assert check_layers.violations(root) == []


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


LEGAL = {
    "core/base/error.hpp": "#include <string>\n",
    "core/fft/plan.cpp": '#include <fftw3.h>\n#include "core/base/error.hpp"\n',
    "core/simd/ops.hpp": "#include <hwy/highway.h>\n",
    "core/parallel/pool.cpp": "#include <thread>\n#include <condition_variable>\n",
    "core/linalg/factor.cpp": '#include <armadillo>\n#include "core/fft/../base/error.hpp"\n',
    "core/attention/exact.cpp": '#include "core/linalg/factor.cpp"\n#include "core/simd/ops.hpp"\n#include <mutex>\n',
    "capi/subquad.h": "#include <stdint.h>\n",
    "capi/subquad.cpp": '#include "subquad.h"\n#include "core/attention/exact.cpp"\n',
}


def test_a_small_legal_tree_passes(tmp_path):
    write(tmp_path, LEGAL)
    assert check_layers.violations(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("core/base/bad.cpp", '#include "core/fft/plan.cpp"\n', "above"),
        ("core/base/bad.cpp", "#include <core/fft/plan.cpp>\n", "above"),
        ("core/fft/bad.cpp", '#include "../simd/ops.hpp"\n', "beside"),
        ("core/sparsify/bad.cpp", '#include "core/attention/exact.cpp"\n', "beside"),
        ("core/attention/bad.cpp", "#include <fftw3.h>\n", "only core/fft"),
        ("core/attention/bad.cpp", "  #  include <hwy/highway.h>\n", "only core/simd"),
        ("core/attention/bad.cpp", "#include <thread>\n", "only core/parallel"),
        ("core/attention/bad.cpp", "#include <pthread.h>\n", "only core/parallel"),
        ("core/attention/bad.cpp", "#include <armadillo>\n", "only core/linalg and core/sparsify"),
        ("core/attention/bad.cpp", '#include "subquad.h"\n', "only capi"),
        ("core/attention/bad.cpp", "#include <subquad.h>\n", "only capi"),
        ("core/attention/bad.cpp", '#include "vendor/thing.h"\n', "not in the tree"),
        ("core/attention/bad.cpp", "#include HEADER\n", "cannot be checked"),
        ("core/misc/bad.cpp", "", "none of the folders"),
    ],
)
def test_each_rule_can_fail(tmp_path, name, text, reason):
    write(tmp_path, LEGAL | {name: text})
    found = check_layers.violations(tmp_path)
    assert found
    assert all(line.startswith(name) for line in found)
    assert any(reason in line for line in found)
