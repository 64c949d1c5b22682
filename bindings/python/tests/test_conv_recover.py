"""Finding a conv basis: recovery by the theorem's conditions, fits to anything, and attention by this method."""

import numpy as np
import pytest
import subquad
from conv_reference import (
    METHOD,
    dense,
    dense_of,
    kernels_of,
    least_difference,
    lse_roundoff,
    pieces,
    recovery,
    softmax,
    starts_of,
    unit,
)
from reference import assert_within, check_forward, fill, inputs, problem

import budgets
import oracle

DTYPES = [np.float32, np.float64]


def close_problem(n, bases, window, first, noise, seed):
    """Logits near a conv basis as queries H and keys I: starts, the exact H, the noisy one, delta, and eps as large as may be."""
    choice = np.random.default_rng(seed).permutation(np.arange(first + 1, n - window + 1))
    starts = np.array([first, *sorted(choice[: bases - 1])])
    kernels = kernels_of(n, bases, stream=seed)
    delta = least_difference(kernels[:, :window])
    eps = delta / (5 * window)
    h = dense(starts, kernels).astype(np.float64)
    return starts, h, h + noise * fill(seed + 1, n, n, low=-eps, high=eps), delta, eps


@pytest.mark.parametrize(("n", "bases", "window"), [(1, 1, 1), (2, 1, 2), (40, 3, 4), (101, 8, 6), (128, 16, 5), (200, 32, 8)])
@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("noise", [0, 0.999])
def test_recovery_by_the_theorem(noise, first, n, bases, window):
    """All starts are found within the promised probes, and attention errs by at most 2 tanh(eps) max|v|."""
    first = min(first, n - window - bases + 1)
    for seed in range(100, 105):
        starts, _, h, delta, eps = close_problem(n, bases, window, first, noise, seed)
        basis = subquad.conv_basis_recover(h, np.eye(n), bases=bases, window=window, delta=delta, eps=eps, scale=1.0)
        assert basis.starts.tolist() == starts.tolist()
        assert basis.report["bases"] == bases
        assert basis.report["probes"] <= bases * np.ceil(np.log2(n)) + bases
        assert basis.report["columns"] <= bases
        assert abs(basis.report["error_bound"] - 2 * np.tanh(eps)) <= 4 * unit(np.float64) * 2 * np.tanh(eps)
        v = fill(seed, n, 3)
        weights, _ = softmax(h)
        bound = (2 * np.tanh(noise * eps) + METHOD[v.dtype]) * np.abs(v).max()
        assert_within(basis.apply(v), weights @ v, bound, "o")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("heads", "kv_heads"), [((), ()), ((1,), (1,)), ((4,), (2,)), ((2, 3), (2, 1)), ((0,), (0,)), ((2, 0), (2, 0))]
)
def test_keys_on_pieces(heads, kv_heads, dtype):
    """roundoff: the structure holds to the rounding of the logits."""
    q, k = pieces(50, 4, *heads, kv_heads=kv_heads, dtype=dtype)
    settings = recovery(q, k, 4) if q.size else {"bases": 4, "window": 2, "delta": 1.0}
    basis = subquad.conv_basis_recover(q, k, **settings)
    assert basis.shape == (*heads, 50, 50)
    assert basis.bases == (4 if q.size else 0)
    assert (basis.starts == starts_of(50, 4)[: basis.bases]).all()
    group = q.shape[-3] // max(k.shape[-3], 1) if heads else 1
    keys = np.repeat(k, group, axis=-3) if heads else k
    h = np.tril(q.astype(oracle.REAL) @ np.swapaxes(keys, -1, -2)) / np.sqrt(oracle.REAL(q.shape[-1]))
    roundoff = (q.shape[-1] + 4) * unit(dtype) * (np.abs(q) @ np.swapaxes(np.abs(keys), -1, -2)).max(initial=0)
    assert_within(basis.to_dense(), h, roundoff, "H")


def test_fewer_bases_than_asked_for():
    q, k = pieces(40, 3, 2, kv_heads=(2,))
    k[1] = 0  # logits 0: no basis at all
    basis = subquad.conv_basis_recover(q, k, **recovery(q[0], k[0], 3) | {"bases": 20})
    assert basis.report["bases"] == [3, 0]
    assert basis.starts.tolist() == [starts_of(40, 3).tolist(), [40] * 3]
    assert (basis.to_dense()[1] == 0).all()


def test_layouts():
    q, k = pieces(30, 3, 2, kv_heads=(2,))
    expected = subquad.conv_basis_recover(q, k, **recovery(q, k, 3)).to_dense()
    broadcast = np.broadcast_to(q[:, :1], q.shape)
    for queries, keys in ((np.asfortranarray(q), np.asfortranarray(k)), (broadcast, k[::-1, ::-1].copy()[::-1, ::-1])):
        assert (subquad.conv_basis_recover(queries, keys, **recovery(q, k, 3)).to_dense() == expected).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{"bases": 4}, {"tol": 1e-3}])
def test_a_fit_finds_structure(settings, dtype):
    q, k = pieces(300, 4, 2, kv_heads=(1,), dtype=dtype)
    basis = subquad.conv_basis_fit(q, k, **settings)
    assert basis.shape == (2, 300, 300)
    report = basis.report
    assert all(found <= 4 for found in report["bases"])
    assert all(mean <= METHOD[q.dtype] for mean in report["error_mean"])
    assert report["sampled_rows"] > 0
    v = fill(2, 2, 300, 3, dtype=dtype)
    exact = subquad.attention(q, np.repeat(k, 2, axis=0), v, causal=True)
    assert_within(basis.apply(v), exact, 3 * METHOD[v.dtype] * np.abs(v).max(), "o")  # of the fit, the apply, and exact attention


@pytest.mark.parametrize("n", [0, 1, 2, 97, 128])
def test_a_fit_with_all_bases_is_exact(n):
    q, k, v = inputs(n, n)
    basis = subquad.conv_basis_fit(q, k, bases=n)
    exact = subquad.attention(q, k, v, causal=True)
    assert_within(basis.apply(v), exact, 2 * METHOD[v.dtype] * np.abs(v).max(initial=0), "o")


@pytest.mark.parametrize("bases", [1, 6])
def test_the_measured_error(bases):
    """chance: the mean of m rows, each in [0, 2], is off by t with probability at most 2 exp(-m t^2 / 2) (Hoeffding)."""
    q, k, _ = inputs(200, 200, heads=(3,))
    basis = subquad.conv_basis_fit(q, k, bases=bases, seed=3)
    fitted, _ = softmax(dense_of(basis))
    exact, _ = softmax(q.astype(oracle.REAL) @ np.swapaxes(k, -1, -2) / np.sqrt(oracle.REAL(5)))
    errors = np.abs(fitted - exact).sum(axis=-1)
    chance = np.sqrt(2 * np.log(2 / 1e-9) / basis.report["sampled_rows"])
    roundoff = 1e3 * unit(np.float64)  # sums of 200 weights, each from a logit of size 5
    for head in range(3):
        mean, most = basis.report["error_mean"][head], basis.report["error_max"][head]
        assert 0 < mean <= most <= errors[head].max() + roundoff
        assert abs(mean - errors[head].mean()) <= chance


def test_a_fit_improves_with_more_bases_and_stops_at_tol():
    """Keys that drift slowly: nearly structured."""
    n = 400
    q = np.repeat(fill(0, 1, 4), n, axis=0)
    k = fill(1, 1, 4) + 0.3 * np.sin(np.arange(n)[:, None] / 60 + np.arange(4))
    errors = [subquad.conv_basis_fit(q, k, bases=bases).report["error_mean"] for bases in (1, 4, 16)]
    assert errors[0] > errors[1] > errors[2]
    report = subquad.conv_basis_fit(q, k, tol=2 * errors[2]).report
    assert report["error_mean"] <= 2 * errors[2]
    assert report["bases"] <= 32


def test_seeds():
    q, k, _ = inputs(2000, 2000)
    reports = [subquad.conv_basis_fit(q, k, bases=2, seed=seed).report for seed in (0, 0, 1)]
    means = [report["error_mean"] for report in reports]
    assert means[0] == means[1]
    assert means[0] != means[2] or reports[0]["sampled_rows"] == 2000


def test_the_same_bits_for_any_number_of_threads():
    q, k = pieces(500, 5, 2, kv_heads=(1,))
    noisy = k + fill(0, *k.shape, low=-0.1, high=0.1)
    results = []
    for threads in (1, 2, 3):
        recovered = subquad.conv_basis_recover(q, k, **recovery(q, k, 5), threads=threads)
        fitted = subquad.conv_basis_fit(q, noisy, bases=5, threads=threads)
        results.append(
            [basis.kernels(cumulative=True).tobytes() for basis in (recovered, fitted)] + [fitted.report["error_mean"]]
        )
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("strict_causal", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads"), [((), ()), ((4,), (2,)), ((2, 2), (2, 1))])
def test_attention(heads, kv_heads, strict_causal, dtype):
    """By recovery and by a fit, with a bias: the exact result within the promised bound, what was done in the report."""
    n = 90
    q, k = pieces(n, 3, *heads, kv_heads=kv_heads, dtype=dtype)
    v = fill(2, *kv_heads, n, 5, dtype=dtype)
    bias = fill(4, 1, n, dtype=dtype)
    roundoff = budgets.forward(problem(q, k, v, causal=True, lag_bias=bias), dtype)
    for found in (recovery(q, k, 3), {"bases": 3}):
        for lag_bias in (None, bias):
            exact, exact_lse = check_forward(q, k, v, causal=True, lag_bias=lag_bias)
            settings = {"causal": True, "method": "conv_basis", "strict_causal": strict_causal, "lag_bias": lag_bias}
            o, lse, report = subquad.attention(q, k, v, **settings, **found, return_lse=True, return_report=True)
            assert_within(o, exact, METHOD[v.dtype] * np.abs(v).max() + 2 * roundoff["o"], "o")
            basis = subquad.ConvBasis.toeplitz(np.zeros(n, dtype))
            assert_within(lse, exact_lse, 2 * roundoff["lse"] + lse_roundoff(basis, exact_lse), "lse")
            assert report["method"] == "conv_basis"
            assert np.ravel(report["bases"]).tolist() == [3] * int(np.prod(heads))


def test_attention_is_recovery_and_apply():
    q, k = pieces(70, 3, dtype=np.float32)
    v = fill(2, 70, 4, dtype=np.float32)
    settings = recovery(q, k, 3)
    o = subquad.attention(q, k, v, causal=True, method="conv_basis", **settings)
    assert o.tobytes() == subquad.conv_basis_recover(q, k, **settings).apply(v).tobytes()
    fitted = subquad.attention(q, k, v, causal=True, method="conv_basis", bases=3)
    assert fitted.tobytes() == subquad.conv_basis_fit(q, k, bases=3).apply(v).tobytes()


def test_rotary_positions_with_constant_queries_and_keys():
    """Rotations by multiples of an angle: one Toeplitz kernel, k = 1."""
    n, angles = 120, np.array([0.3, 0.011])
    turns = np.exp(1j * np.arange(n)[:, None] * angles)
    q, k = (np.stack([(z * turns).real, (z * turns).imag], axis=-1).reshape(n, 4) for z in (1 + 0.5j, 0.7 - 1j))
    v = fill(2, n, 3)
    o = subquad.attention(q, k, v, causal=True, method="conv_basis", bases=1, window=8, delta=0.1)
    exact, _ = check_forward(q, k, v, causal=True)
    assert_within(
        o, exact, METHOD[v.dtype] * np.abs(v).max() + 2 * budgets.forward(problem(q, k, v, causal=True), v.dtype)["o"], "o"
    )
