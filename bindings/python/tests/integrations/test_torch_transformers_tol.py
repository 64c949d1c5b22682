"""Models of transformers to a tolerance: each head's error as the library promises it, on what the model really asks for."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="not installed: scripts/test_torch has an environment with it")
transformers = pytest.importorskip("transformers", reason="not installed: scripts/test_torch has an environment with it")

import subquad.torch  # noqa: E402
from adaptive_reference import SLACK, chance, errors  # noqa: E402
from torch_models import check_logits, llama, logits, padding, tokens  # noqa: E402

TOL = 0.1
LONG = 2048


@pytest.fixture
def heads_of_a_run(monkeypatch):
    """Relative errors of all heads of all layers, by the name of an implementation and the inputs of a model."""

    def run(name, mask, **inputs):
        found, ours = [], transformers.AttentionInterface()[name]
        exact = transformers.AttentionInterface()["subquad"]

        def compare(*arguments, **settings):
            o, reference = (attention(*arguments, **settings)[0] for attention in (ours, exact))
            for row, expected, seen in zip(o, reference, mask.bool(), strict=True):
                found.append(errors(row[seen].numpy().swapaxes(0, 1), expected[seen].numpy().swapaxes(0, 1)))
            return o, None

        monkeypatch.setitem(transformers.AttentionInterface._global_mapping, name, compare)
        logits(llama(head_dim=64), name, attention_mask=mask, **inputs)
        return np.concatenate(found)

    return run


@pytest.mark.parametrize("side", ["left", "right"])
def test_heads_of_a_model_meet_the_tolerance(side, heads_of_a_run):
    """method: 1.25 tol for 95 % of heads; chance: how many of these may miss it. Some are approximated, or this would show nothing."""
    subquad.torch.register_transformers("subquad-tol", tol=TOL)
    found = heads_of_a_run("subquad-tol", padding(side, [LONG, LONG - 300], LONG), input_ids=tokens(2, LONG))
    assert (found > SLACK * TOL).sum() <= chance(len(found)), found
    assert (found > 0).any()


def test_short_sequences_are_exact():
    subquad.torch.register_transformers("subquad-tol", tol=TOL)
    mask = padding("left", [300, 200], 300)
    check_logits(llama, mask, "subquad-tol", input_ids=tokens(2, 300), attention_mask=mask)
    model = llama()
    ours, exact = (logits(model, name, input_ids=tokens(2, 300), attention_mask=mask) for name in ("subquad-tol", "subquad"))
    assert torch.equal(ours, exact)
