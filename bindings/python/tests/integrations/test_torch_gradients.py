"""Gradients by autograd: differences, PyTorch's own, and the library's, whose they are."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="not installed: scripts/test_torch has an environment with it")

import subquad  # noqa: E402
from adaptive_reference import KINDS, errors, head  # noqa: E402
from conv_reference import METHOD, pieces, recovery, starts_of  # noqa: E402
from reference import assert_within, fill, problem  # noqa: E402
from subquad.torch import scaled_dot_product_attention  # noqa: E402
from torch_reference import DTYPES, NUMPY, SDPA, check_alike, filled, four, refused, roundoff, tensors  # noqa: E402

import budgets  # noqa: E402

STEP = 2.0**-14


def differences_budget(q, k, v, scale=None, method=0.0, **settings):
    """What an entry of the numerical Jacobian may be off by.

    roundoff: that of the output, twice, over twice the step; method errors likewise. method, of the central difference: h^2 / 6 times a
    third derivative, which is a joint cumulant of v and three times the change X of the logits under the weights: at most 26 |v| |X|^3,
    by the sum over partitions of four things, weighted with (parts - 1)!.
    """
    slope = (q.shape[-1] ** -0.5 if scale is None else abs(scale)) * max(q.abs().max(), k.abs().max()).item()
    largest = v.abs().max().item()
    whole = problem(*map(four, (q, k, v)), scale=scale, **settings)
    error = float(budgets.forward(whole, np.float64)["o"]) + method
    return error / STEP + STEP**2 / 6 * 26 * largest * slope**3


def gradcheck(function, given, budget):
    leaves = [x.clone().requires_grad_() for x in given]
    assert torch.autograd.gradcheck(function, leaves, eps=STEP, atol=budget, rtol=0)


MASK = torch.ones(5, 6, dtype=torch.bool).tril(2) & (torch.arange(6) > 0)
EXACT = {
    "plain": ({}, {}),
    "causal": ({"is_causal": True}, {"causal": True}),
    "aligned at the end": ({"is_causal": True, "causal_offset": 1}, {"causal": True, "causal_offset": 1}),
    "scale": ({"scale": -0.7}, {"scale": -0.7}),
    "mask": ({"attn_mask": MASK}, {"causal": True, "causal_offset": 2, "key_ranges": [(1, 6)]}),
    "ranges": ({"key_ranges": [(2, 5), (0, 0)]}, {"key_ranges": [(2, 5), (0, 0)]}),
    "tol": ({"tol": 0.1, "is_causal": True}, {"causal": True}),  # heads so short are exact
    "budget": ({"budget": 0.5}, {}),
}


@pytest.mark.parametrize("name", EXACT)
def test_gradcheck_of_exact_heads(name):
    settings, oracle_settings = EXACT[name]
    q, k, v = tensors(5, 6, d=3, d_v=2, heads=(2,), batch=(2,))
    budget = differences_budget(q, k, v, **oracle_settings)
    gradcheck(lambda q, k, v: scaled_dot_product_attention(q, k, v, **settings), (q, k, v), budget)


def test_gradcheck_of_grouped_and_broadcast_heads():
    """Where several queries read the same entry, its third derivatives are no sums: each output depends on one of them."""
    q, k, v = tensors(4, 4, d=3, d_v=2, heads=(4,), kv_heads=(2,), batch=(2,))
    repeated = [x.repeat_interleave(2, dim=1) for x in (k, v)]
    budget = differences_budget(q, *repeated)
    gradcheck(lambda q, k, v: scaled_dot_product_attention(q, k, v, enable_gqa=True), (q, k, v), budget)
    shared = [k[:1, :1], v[:1, :1]]
    gradcheck(scaled_dot_product_attention, (q, *shared), budget)


@pytest.mark.parametrize("backward", [None, "exact", "conv_basis"])
def test_gradcheck_of_conv_bases(backward):
    """As many bases as columns hold any logits, so that differences in any direction are those of attention."""
    q, k, v = tensors(6, 6, d=3, d_v=2, heads=(2,), batch=(1,))
    settings = {"method": "conv_basis", "bases": 6, "backward": backward}
    budget = differences_budget(q, k, v, causal=True, method=METHOD[np.dtype(np.float64)] * v.abs().max().item())
    gradcheck(lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True, **settings), (q, k, v), budget)


def test_gradcheck_within_a_conv_structure():
    """One query for all rows, keys constant on pieces: moved together, they keep the structure that few bases hold."""
    n, bases = 24, 3
    q, k = pieces(n, bases)
    v = torch.from_numpy(fill(2, n, 2))
    lengths = torch.from_numpy(np.diff([*starts_of(n, bases), n]))
    row, values = torch.from_numpy(q[0]), torch.from_numpy(k[starts_of(n, bases)])
    settings = {"method": "conv_basis", **recovery(q, k, bases)}

    def attention(row, values, v):
        return scaled_dot_product_attention(
            row.expand(n, -1), values.repeat_interleave(lengths, dim=0), v, is_causal=True, **settings
        )

    budget = differences_budget(
        torch.from_numpy(q), torch.from_numpy(k), v, causal=True, method=METHOD[np.dtype(np.float64)] * 1.0
    )
    gradcheck(attention, (row, values, v), budget)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("causal", "n_q", "n_k"), [(False, 7, 33), (True, 33, 33), (True, 40, 13)])
def test_gradients_are_those_of_torch(causal, n_q, n_k, dtype):
    """Both within the budget that the library's gradients have."""
    q, k, v = (x.requires_grad_() for x in tensors(n_q, n_k, heads=(2,), batch=(2,), dtype=dtype))
    d_o = torch.from_numpy(fill(5, 2, 2, n_q, 3, dtype=NUMPY[dtype]))
    ours, theirs = (
        torch.autograd.grad(function(q, k, v, is_causal=causal), (q, k, v), d_o)
        for function in (scaled_dot_product_attention, SDPA)
    )
    arrays = [four(x) for x in (q, k, v)]
    whole = problem(*arrays, causal=causal)
    o, lse = subquad.attention(*arrays, causal=causal, causal_offset=0, return_lse=True)
    roundoffs = budgets.backward(whole, four(d_o).astype(np.longdouble), (o, lse), NUMPY[dtype])
    for name, mine, other in zip(("dq", "dk", "dv"), ours, theirs, strict=True):
        # the factor: o and lse are rounded too, each by no more than what the formulas add
        assert_within(mine.numpy(), other.numpy().astype(np.longdouble), 2 * 2 * float(roundoffs[name]), name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", [{"tol": 0.1}, {"budget": 0.3}, {"tol": 0.1, "strict_causal": True}])
@pytest.mark.parametrize("kind", KINDS[:2])
def test_gradients_of_a_plan(kind, settings, dtype):
    """Those of Plan.backward bit for bit, though the plan is made again; the head is approximated, and its gradients err by method."""
    arrays = [array[None] for array in head(kind, 3, 2048, dtype=dtype)]
    d_o = fill(9, *arrays[2].shape, dtype=dtype)
    q, k, v = (torch.from_numpy(array).requires_grad_() for array in arrays)
    o = scaled_dot_product_attention(q, k, v, is_causal=True, **settings)
    o.backward(torch.from_numpy(d_o))
    plan = subquad.plan(*arrays, causal=True, **settings)
    assert plan.report["parts"] != "exact"
    expected, report = plan.backward(arrays[2], *plan.apply(arrays[2], return_lse=True), d_o, return_report=True)
    for ours, theirs in zip((q, k, v), expected[:3], strict=True):
        assert ours.grad.numpy().tobytes() == theirs.tobytes()
    exact_o, lse = subquad.attention(*arrays, causal=True, return_lse=True)
    exact = subquad.attention_backward(*arrays, exact_o, lse, d_o, causal=True)
    # method: as reported, from few rows, of errors that few rows hold; the truth is seldom twice that (test_adaptive_backward counts)
    assert errors(q.grad.numpy(), exact.dq)[0] <= 2 * report["error_backward"]


@pytest.mark.parametrize("needed", list(itertools.product([False, True], repeat=3)))
def test_only_what_needs_gradients_gets_them(needed):
    given = [x.requires_grad_(wanted) for x, wanted in zip(tensors(5, 5, heads=(2,), batch=(1,)), needed, strict=True)]
    o = scaled_dot_product_attention(*given, is_causal=True)
    assert o.requires_grad == any(needed)
    if any(needed):
        o.sum().backward()
    assert tuple(x.grad is not None for x in given) == needed


def test_no_grad_and_inference_mode():
    given = [x.requires_grad_() for x in tensors(5, 5, heads=(2,), batch=(1,))]
    expected = scaled_dot_product_attention(*given).detach()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            o = scaled_dot_product_attention(*given)
        assert not o.requires_grad
        assert torch.equal(o, expected)


def test_a_gradient_of_any_layout():
    q, k, v = (x.requires_grad_() for x in tensors(5, 5, heads=(2,), batch=(1,)))
    o = scaled_dot_product_attention(q, k, v)
    expected = torch.autograd.grad(o, q, torch.ones(o.shape, dtype=o.dtype), retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(o.sum(), q, retain_graph=True)[0], expected)  # one number, broadcast
    reversed_ones = torch.ones(o.shape, dtype=o.dtype).flip(-2)
    assert torch.equal(torch.autograd.grad(o, q, reversed_ones)[0], expected)


def test_heads_inside():
    """A view of what a projection gives: gradients arrive in its memory order."""
    x = filled(0, 2, 9, 3, 4, 5).requires_grad_()
    q, k, v = (x[:, :, i].transpose(1, 2) for i in range(3))
    check_alike(
        torch.autograd.grad(scaled_dot_product_attention(q, k, v).sum(), x)[0],
        torch.autograd.grad(SDPA(q, k, v).sum(), x)[0],
        4 * roundoff(q, k, v) * 9,  # each gradient is a sum over nine rows of terms like the output's
    )


def test_what_the_gradient_may_not_be():
    q, k, v = (x.requires_grad_() for x in tensors(5, 5, heads=(2,), batch=(1,)))
    o = scaled_dot_product_attention(q, k, v)
    refused("ERR_NONFINITE", "the gradient of the output", torch.autograd.grad, o, q, torch.full_like(o, torch.nan))


def test_second_derivatives_are_refused():
    q, k, v = (x.requires_grad_() for x in tensors(5, 5, heads=(2,), batch=(1,)))
    (dq,) = torch.autograd.grad(scaled_dot_product_attention(q, k, v).sum(), q, create_graph=True)
    refused("ERR_UNSUPPORTED", "second derivatives", torch.autograd.grad, dq.sum(), q)


def test_forward_mode_and_transforms_are_refused():
    """Forward mode would come back without its tangents."""
    q, k, v = tensors(5, 5, heads=(2,), batch=(3,))
    calls = [
        lambda: torch.func.jvp(lambda x: scaled_dot_product_attention(x, k, v), (q,), (q,)),
        lambda: torch.func.grad(lambda x: scaled_dot_product_attention(x, k, v).sum())(q),
        lambda: torch.vmap(scaled_dot_product_attention)(q, k, v),
    ]
    for call in calls:
        refused("ERR_UNSUPPORTED", "torch.func", call)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(q, q)
        refused("ERR_UNSUPPORTED", "forward mode", scaled_dot_product_attention, dual, k, v)
    refused("ERR_UNSUPPORTED", "torch.vmap", torch.vmap(lambda x: torch.ops.subquad.attention(x, k, v, None)[0]), q[:, None])
