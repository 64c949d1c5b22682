"""ConvBasis as a matrix: how it is made, what it is made of, and its life."""

import copy
import gc
import pickle
import threading

import numpy as np
import pytest
import subquad
from conv_reference import dense, dense_of, kernels_of, make, starts_of, unit
from reference import assert_within, check_forward, fill, inputs

import oracle

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n", "bases", "first"), [(0, 0, 0), (1, 1, 0), (2, 0, 0), (7, 1, 3), (13, 4, 0), (64, 5, 6), (31, 31, 0)]
)
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_parts(leading, n, bases, first, dtype):
    """Kernels go in and come out in either form, to the dense matrix of the definition."""
    basis = make(n, bases, *leading, first=first, dtype=dtype)
    starts, kernels = starts_of(n, bases, first), kernels_of(n, bases, *leading, dtype=dtype)
    assert (basis.shape, basis.dtype) == ((*leading, n, n), dtype)
    assert (basis.batch, basis.heads, basis.n, basis.bases) == (*(1, 1, *leading)[-2:], n, bases)
    assert (basis.starts == starts).all()
    assert basis.starts.shape == (*leading, bases)
    meaning = np.arange(n)[None, :] < n - starts[:, None]
    assert (basis.kernels(cumulative=True) == np.where(meaning, kernels, 0)).all()
    h = dense(np.broadcast_to(starts, (*leading, bases)), kernels)
    assert (basis.to_dense() == h).all()
    assert basis.report is None

    increments = basis.kernels()
    assert increments.shape == kernels.shape
    again = subquad.ConvBasis(starts=basis.starts, kernels=increments)
    # roundoff: each increment is rounded once, and each of the sums of up to `bases` terms of size up to 2 * 2
    assert_within(again.to_dense(), h, (2 * bases) * bases * 4 * unit(dtype), "H")


def test_heads_with_different_numbers_of_bases():
    starts = [[0, 5, 7], [2, 9, 9], [9, 9, 9]]
    kernels = fill(0, 3, 3, 9)
    basis = subquad.ConvBasis(starts=starts, kernels=kernels, cumulative=True)
    assert (basis.starts == starts).all()
    assert ((basis.starts < basis.n).sum(axis=-1) == [3, 1, 0]).all()
    assert (basis.to_dense() == dense(np.array(starts), kernels)).all()
    assert (basis.kernels()[1, 1:] == 0).all()
    assert (basis.kernels()[2] == 0).all()


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
        lambda x: x[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
        lambda x: np.pad(x, 1)[1:-1, 1:-1, 1:-1],
    ],
)
def test_layouts(layout):
    starts, kernels, h = np.broadcast_to(starts_of(12, 3), (2, 3)), kernels_of(12, 3, 2), np.tril(fill(1, 2, 12, 12))
    expected = subquad.ConvBasis(starts=starts, kernels=kernels).to_dense()
    assert (subquad.ConvBasis(starts=starts[:, ::-1].copy()[:, ::-1], kernels=layout(kernels)).to_dense() == expected).all()
    assert (subquad.ConvBasis.from_dense(layout(h)).to_dense() == h).all()


def test_broadcast_kernels():
    kernel = kernels_of(9, 1)
    basis = subquad.ConvBasis(starts=np.zeros((4, 1), np.int64), kernels=np.broadcast_to(kernel, (4, 1, 9)))
    assert (basis.to_dense() == dense(np.zeros((4, 1), int), np.broadcast_to(kernel, (4, 1, 9)))).all()


def test_the_basis_keeps_copies():
    starts, kernels = starts_of(8, 2), kernels_of(8, 2)
    basis = subquad.ConvBasis(starts=starts, kernels=kernels)
    before = basis.to_dense()
    starts[:], kernels[:] = 0, 9
    assert (basis.to_dense() == before).all()
    basis.starts[:], basis.kernels()[:] = 5, 7
    assert (basis.to_dense() == before).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 2, 17, 40])
@pytest.mark.parametrize("leading", [(), (2,), (1, 1), (2, 2)])
def test_any_lower_triangular_matrix(leading, n, dtype):
    h = np.tril(fill(0, *leading, n, n, dtype=dtype))
    basis = subquad.ConvBasis.from_dense(h)
    assert basis.shape == h.shape
    assert basis.to_dense().tobytes() == h.tobytes()
    assert basis.bases <= n


def test_from_dense_finds_the_fewest():
    expected = make(29, 4, first=3)
    basis = subquad.ConvBasis.from_dense(expected.to_dense())
    assert (basis.starts == expected.starts).all()
    assert (basis.kernels(cumulative=True) == expected.kernels(cumulative=True)).all()
    assert subquad.ConvBasis.from_dense(np.zeros((5, 5))).bases == 0


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
@pytest.mark.parametrize("n", [0, 1, 23])
def test_toeplitz(leading, n):
    column = fill(0, *leading, n)
    basis = subquad.ConvBasis.toeplitz(column)
    assert basis.shape == (*leading, n, n)
    lags = np.arange(n)[:, None] - np.arange(n)[None, :]
    assert (basis.to_dense() == np.where(lags >= 0, column[..., np.maximum(lags, 0)], 0)).all()


@pytest.mark.parametrize(("n", "lag_min"), [(9, 0), (6, 0), (0, 0), (9, -4), (None, 0), (None, -4)])
def test_a_lag_bias_is_a_basis(n, lag_min):
    """Its logits are those that `attention` adds for the same table, here to logits 0."""
    bias = fill(4, 2, 9 - lag_min)
    basis = subquad.ConvBasis.from_lag_bias(bias, n, lag_min=lag_min)
    assert basis.shape == (2, basis.n, basis.n)
    assert basis.n == (9 if n is None else n)
    q, k, v = inputs(basis.n, basis.n, heads=(2,))
    o, lse = check_forward(q, k, v, scale=0.0, lag_bias=bias, lag_min=lag_min, causal=True)
    weights, expected_lse = (np.exp(x) for x in (basis.to_dense() - lse[..., None], lse))
    roundoff = 4 * (basis.n + 8) * unit(np.float64)  # exponentials and sums of n terms, logits and values up to 1
    assert_within(np.tril(weights) @ v, o, roundoff, "o")
    assert_within(np.tril(np.exp(basis.to_dense())).sum(axis=-1), expected_lse, roundoff * np.e * (basis.n + 1), "sums")


@pytest.mark.parametrize("first", [0, 4])
@pytest.mark.parametrize("leading", [(), (2, 2)])
def test_exp(first, leading):
    basis = make(19, 3, *leading, first=first)
    transform = basis.exp()
    h = dense_of(basis)
    assert transform.shape == basis.shape
    assert transform.bases == basis.bases + (first > 0)
    assert (transform.starts[..., 0] == 0).all()
    roundoff = 8 * unit(np.float64) * np.exp(2)  # of exp, of logits up to 2
    assert_within(transform.to_dense(), np.tril(np.exp(h)), roundoff, "exp")
    with pytest.raises(OverflowError, match="exp"):
        subquad.ConvBasis.toeplitz(np.full(3, 1000.0)).exp()


def test_transposed_view():
    basis = make(8, 2)
    x = fill(0, 8, 3)
    assert (basis.T.shape, basis.T.dtype, repr(basis.T)) == (basis.shape, basis.dtype, f"{basis!r}.T")
    assert basis.T.T is basis
    assert (basis.T @ x).tobytes() == basis.multiply_transposed(x).tobytes()
    assert (basis @ x).tobytes() == basis.multiply(x).tobytes()
    for matrix in (basis, basis.T):
        with pytest.raises(TypeError):
            x.T @ matrix
        with pytest.raises(TypeError):
            x * matrix


def test_repr():
    basis = make(8, 2, 3, dtype=np.float32)
    assert repr(basis) == "ConvBasis(shape=(3, 8, 8), bases=2, dtype=float32)"
    basis.close()
    assert repr(basis) == "ConvBasis(shape=(3, 8, 8), bases=2, dtype=float32, closed)"


@pytest.mark.parametrize("twin", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("leading", [(), (2,), (1, 3)])
def test_pickling_and_copying(leading, twin):
    basis = make(11, 3, *leading, first=1, dtype=np.float32)
    other = twin(basis)
    assert repr(other) == repr(basis)
    assert other.to_dense().tobytes() == basis.to_dense().tobytes()
    v = fill(0, *leading, 11, 2, dtype=np.float32)
    assert other.apply(v).tobytes() == basis.apply(v).tobytes()
    other.close()
    assert basis.to_dense().shape == basis.shape


CALLS = {
    "multiply": lambda basis: basis.multiply(np.zeros(4)),
    "multiply_transposed": lambda basis: basis.T @ np.zeros(4),
    "apply": lambda basis: basis.apply(np.zeros((4, 1))),
    "apply_transposed": lambda basis: basis.apply_transposed(np.zeros((4, 1))),
    "backward": lambda basis: basis.backward(*np.zeros((4, 4, 1))),
    "exp": lambda basis: basis.exp(),
    "to_dense": lambda basis: basis.to_dense(),
    "starts": lambda basis: basis.starts,
    "kernels": lambda basis: basis.kernels(),
    "pickle": pickle.dumps,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_closed(call):
    with subquad.ConvBasis.toeplitz(np.zeros(4)) as basis:
        basis.multiply(np.zeros(4))
    basis.close()  # again
    with pytest.raises(ValueError, match=r"^the ConvBasis is closed") as caught:
        call(basis)
    assert caught.value.name == "ERR_NULL"
    assert (basis.n, basis.bases) == (4, 1)


def test_closing_waits_for_the_calls_of_other_threads():
    basis = make(3000, 8, dtype=np.float32)
    v = fill(0, 3000, 64, dtype=np.float32)
    expected = basis.apply(v)
    results = []

    def work():
        try:
            for _ in range(50):
                results.append(basis.apply(v, threads=1))
        except ValueError:
            results.append(expected)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    while not results:
        pass
    basis.close()
    for worker in workers:
        worker.join()
    assert all(result.tobytes() == expected.tobytes() for result in results)


def test_collection_releases_the_memory():
    destroyed = []
    basis = make(8, 2)
    destroy = basis._handle._destroy
    basis._handle._destroy = lambda pointer: (destroyed.append(pointer), destroy(pointer))
    del basis
    gc.collect()
    assert len(destroyed) == 1


def test_a_basis_of_a_derived_class():
    class Kernel(subquad.ConvBasis):
        pass

    assert type(Kernel.toeplitz(np.zeros(3))) is Kernel
    assert type(Kernel.from_dense(np.zeros((3, 3)))) is Kernel
    assert type(pickle.loads(pickle.dumps(subquad.ConvBasis.toeplitz(np.zeros(3))))) is subquad.ConvBasis


def test_values_of_the_oracle():
    """The dense matrix of the tests, on paper."""
    h = dense(np.array([1, 2]), np.array([[1.0, 2.0, 3.0], [9.0, 8.0, 7.0]]))
    assert h.tolist() == [[0, 0, 0], [0, 1, 0], [0, 2, 9]]
    assert h.dtype == oracle.REAL
