"""The custom operators as torch.compile and torch.export see them."""

import pytest

torch = pytest.importorskip("torch", reason="not installed: scripts/test_torch has an environment with it")

from adaptive_reference import KINDS, head  # noqa: E402
from subquad.torch import scaled_dot_product_attention  # noqa: E402
from torch_reference import filled, tensors  # noqa: E402

CASES = {
    "causal": {"is_causal": True},
    "scale": {"scale": 0.3},
    "offset": {"is_causal": True, "causal_offset": 3},
    "ranges": {"key_ranges": [(0, 7), (2, 9)]},
    "mask": {"attn_mask": torch.arange(9) < torch.tensor([9, 4])[:, None, None, None]},
    "tol": {"is_causal": True, "tol": 0.1, "parts": ["heavy"]},
    "conv basis": {"is_causal": True, "method": "conv_basis", "bases": 9},
}


def leaves(*arguments, **settings):
    return [x.requires_grad_() for x in tensors(*arguments, **settings)]


def layer(**settings):
    """Attention between operations that a compiler may change."""
    return lambda q, k, v: scaled_dot_product_attention(q * 1.5, k + 1, v, **settings).relu() * 2


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_compiled_is_eager(settings, backend):
    """In one graph, without a break; bit for bit, output and gradients."""
    given = leaves(9, 9, heads=(2,), batch=(2,))
    torch._dynamo.reset()
    compiled = torch.compile(layer(**settings), backend=backend, fullgraph=True)
    results = []
    for function in (compiled, layer(**settings)):
        o = function(*given)
        results.append((o, *torch.autograd.grad(o, given, torch.ones_like(o))))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*results, strict=True))


def test_grouped_and_more_leading_dimensions():
    q, k, v = filled(0, 2, 2, 4, 5, 3), filled(1, 2, 2, 2, 5, 3), filled(2, 2, 2, 2, 5, 3)
    torch._dynamo.reset()
    compiled = torch.compile(layer(enable_gqa=True), backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(q, k, v), layer(enable_gqa=True)(q, k, v))


def test_inductor():
    """With a compiler's own arithmetic around it; none of it here is rounded in another order."""
    given = leaves(9, 9, heads=(2,), batch=(2,))
    torch._dynamo.reset()
    compiled = torch.compile(layer(is_causal=True), fullgraph=True)
    o, expected = compiled(*given), layer(is_causal=True)(*given)
    assert torch.equal(o, expected)
    for ours, theirs in zip(*(torch.autograd.grad(x.sum(), given) for x in (o, expected)), strict=True):
        assert torch.equal(ours, theirs)


def test_one_graph_for_any_length():
    """Dynamic shapes: lengths that were not traced come through the same graph, and through a causal offset that depends on them."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def aligned_at_the_end(q, k, v):
        return scaled_dot_product_attention(q, k, v, is_causal=True, causal_offset=k.shape[-2] - q.shape[-2])

    torch._dynamo.reset()
    compiled = torch.compile(aligned_at_the_end, backend=backend, fullgraph=True, dynamic=True)
    for n_q, n_k in ((6, 11), (7, 30), (31, 64)):
        given = tensors(n_q, n_k, heads=(2,), batch=(2,))
        assert torch.equal(compiled(*given), aligned_at_the_end(*given))
    assert len(graphs) == 1


def test_the_number_of_threads_is_not_compiled_in():
    """The graph holds the operator, which asks when it runs; bits are the same anyway."""
    given = [torch.from_numpy(array)[None] for array in head(KINDS[0], 1, 2048)]
    torch._dynamo.reset()
    compiled = torch.compile(layer(is_causal=True, tol=0.1), backend="aot_eager", fullgraph=True)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(compiled(*given))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_export():
    class Layer(torch.nn.Module):
        def forward(self, q, k, v):
            return scaled_dot_product_attention(q, k, v, is_causal=True)

    given = tensors(9, 9, heads=(2,), batch=(2,))
    program = torch.export.export(Layer(), given)
    assert "subquad.attention" in str(program.graph)
    assert torch.equal(program.module()(*given), Layer()(*given))


VISIBLE = torch.tensor([[0, 7, 2], [1, 9, 2]])


@pytest.mark.parametrize(
    ("visible", "settings"),
    [
        (None, {}),
        (None, {"causal": True, "causal_offset": 2}),
        (VISIBLE, {"scale": 0.4}),
        (None, {"method": "auto", "tol": 0.1}),
        (None, {"causal": True, "causal_offset": 0, "method": "conv_basis", "bases": 9}),
    ],
)
def test_opcheck_of_attention(visible, settings):
    given = leaves(9, 9, heads=(4,), kv_heads=(2,), batch=(2,))
    torch.library.opcheck(torch.ops.subquad.attention.default, (*given, visible), settings)
    with torch.no_grad():
        o, lse = torch.ops.subquad.attention(*given, visible, **settings)
        arguments = (torch.ones_like(o), *(x.detach() for x in given), visible, o, lse)
    torch.library.opcheck(torch.ops.subquad.attention_backward.default, arguments, settings)


def test_opcheck_of_masks():
    mask = torch.ones(2, 3, 5, 7, dtype=torch.bool).tril(1)
    torch.library.opcheck(torch.ops.subquad.read_mask.default, (mask,))
    torch.library.opcheck(torch.ops.subquad.read_padding.default, (mask[:, 0, 2], 2, 9))
