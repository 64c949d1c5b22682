"""The loss of a layer and its gradient: against the dense formulas, and against differences."""

import numpy as np
import pytest
import subquad
from conv_reference import METHOD, differences, largest, pieces, recovery, softmax, unit
from reference import assert_within, fill

import oracle

DTYPES = [np.float32, np.float64]
WAYS = [None, "exact", "conv_basis"]


def layer(n, bases, d=3, d_v=2, dtype=np.float64):
    """Inputs of attention_loss whose logits have a conv basis for every x."""
    a1, a2 = pieces(n, bases, d=d, dtype=dtype)
    rest = fill(20, n, d, dtype=dtype), fill(21, d, d, dtype=dtype), fill(22, d, d_v, dtype=dtype), fill(23, n, d_v, dtype=dtype)
    return (a1, a2, *rest)


def recovery_of_layer(a1, a2, x, bases):
    return recovery(a1 @ x, a2, bases, scale=1.0)


def expected_loss(a1, a2, a3, x, y, e, scale):
    """Loss and gradient by the dense formulas, and how far they may be off where products with the weights err by t max|v|."""
    a1, a2, a3, x, y, e = (array.astype(oracle.REAL) for array in (a1, a2, a3, x, y, e))
    weights, _ = softmax(scale * a1 @ x @ a2.T)
    v = a3 @ y
    residual = weights @ v - e
    ds = weights * (residual @ v.T - (residual * (residual + e)).sum(axis=-1, keepdims=True))
    rows = np.abs(residual).sum(axis=-1) + v.shape[1] * largest(v)
    sensitivity = np.abs(residual).sum() * largest(v) + residual.size * largest(v) ** 2
    gradient_sensitivity = 6 * abs(scale) * (rows[:, None] * np.abs(a1)).sum() * largest(v) * largest(a2)
    return 0.5 * (residual**2).sum(), scale * a1.T @ ds @ a2, float(sensitivity), float(gradient_sensitivity)


def check_loss(arrays, scale=None, **settings):
    a1, a2, a3, x = arrays[:4]
    n, d = a1.shape
    loss, grad_x, report = subquad.attention_loss(*arrays, scale=scale, return_report=True, **settings)
    assert isinstance(loss, float)
    assert (grad_x.shape, grad_x.dtype) == (x.shape, x.dtype)
    wanted, wanted_gradient, sensitivity, gradient_sensitivity = expected_loss(*arrays, 1.0 if scale is None else scale)
    logits = abs(1.0 if scale is None else scale) * (np.abs(a1) @ np.abs(x) @ np.abs(a2).T)
    # roundoff: of the logits, of v, and of sums of n weights; twice, for numerators and denominators
    roundoff = 2 * unit(x.dtype) * ((2 * d + 8) * (1 + largest(logits)) + n + d * largest(np.abs(a3)) + 8)
    t = roundoff + (METHOD[x.dtype] if settings.get("method") == "conv_basis" else 0)
    assert_within(np.array(loss), wanted, t * sensitivity + n * d * unit(x.dtype) * wanted, "loss")
    assert_within(grad_x, wanted_gradient, t * gradient_sensitivity, "grad_x")
    return report


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "d", "d_v"), [(0, 2, 2), (1, 1, 1), (2, 3, 1), (17, 5, 3), (200, 4, 9), (20, 3, 0)])
def test_exact_loss(n, d, d_v, dtype):
    arrays = [fill(s, *shape, dtype=dtype) for s, shape in enumerate([(n, d)] * 3 + [(d, d), (d, d_v), (n, d_v)])]
    assert check_loss(arrays)["method"] == "exact"
    check_loss(arrays, method="exact", scale=-0.4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize(("n", "bases"), [(2, 1), (40, 3), (500, 8)])
def test_loss_by_conv_basis(n, bases, backward, dtype):
    arrays = layer(n, bases, dtype=dtype)
    found = recovery_of_layer(arrays[0], arrays[1], arrays[3], bases)
    for settings in (found, {"bases": bases, "seed": 1}):
        report = check_loss(arrays, method="conv_basis", backward=backward, **settings)
        assert report["bases"] == bases


def test_loss_layouts_and_threads():
    arrays = layer(60, 3)
    for settings in ({}, {"method": "conv_basis", **recovery_of_layer(arrays[0], arrays[1], arrays[3], 3)}):
        loss, grad_x = subquad.attention_loss(*arrays, threads=1, **settings)
        for others in (
            [np.asfortranarray(array) for array in arrays],
            [array[::-1, ::-1].copy()[::-1, ::-1] for array in arrays],
        ):
            again = subquad.attention_loss(*others, threads=2, **settings)
            assert (again[0], again[1].tobytes()) == (loss, grad_x.tobytes())


@pytest.mark.parametrize("method", ["exact", "conv_basis"])
def test_differences_of_the_loss(method):
    arrays = layer(40, 3)
    a1, a2, a3, x, y, e = arrays
    settings = {"method": method} | (recovery_of_layer(a1, a2, x, 3) if method == "conv_basis" else {})
    direction = fill(40, *x.shape)

    def value(step):
        return subquad.attention_loss(a1, a2, a3, x + step * direction, y, e, **settings)[0]

    step = 2.0**-8
    slope, error = differences(value, step)
    _, _, sensitivity, gradient_sensitivity = expected_loss(*arrays, 1.0)
    t = METHOD[x.dtype]
    grad_x = subquad.attention_loss(*arrays, **settings)[1]
    budget = error * sensitivity + t * (sensitivity / step + np.abs(direction).sum() * gradient_sensitivity)
    assert abs(float((grad_x * direction).sum()) - slope) <= budget
