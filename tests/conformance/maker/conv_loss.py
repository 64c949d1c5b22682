"""The training problem: cases of subquad_attention_loss, their oracle and budgets."""

import numpy as np

import budgets
import build
import conv_budgets
import conv_oracle
import oracle
import philox
import structures
from case_list import fill


def inputs_of(row, dtype):
    """Random matrices; with starts, a1 constant and a2 constant on pieces."""
    n, d, d_v, name = row["n"], row["d"], row["d_v"], row["name"]
    shapes = {"a1": (n, d), "a2": (n, d), "a3": (n, d), "x": (d, d), "y": (d, d_v), "e": (n, d_v)}
    inputs = {
        argument: {"shape": list(shape), "fill": fill(name, stream)} for stream, (argument, shape) in enumerate(shapes.items())
    }
    if row["starts"] is None:
        return inputs
    pieces = philox.fill_uniform([len(row["starts"]) + 1, d], dtype, **fill(name, 6))
    basis = np.searchsorted(row["starts"], np.arange(n), side="right")
    pieces[0] = 0
    inputs["a1"] = build.literal(np.broadcast_to(philox.fill_uniform([1, d], dtype, **fill(name, 7, 0.5, 1.5)), (n, d)))
    inputs["a2"] = build.literal(pieces[basis])
    return inputs


def case_of(row, dtype):
    inputs = build.with_layouts(row, inputs_of(row, dtype))
    a = {name: build.rounded(spec, dtype).astype(oracle.REAL) for name, spec in inputs.items()}
    options = dict(row["options"])
    scale = oracle.REAL(options.get("scale", 1))
    logits = scale * (a["a1"] @ a["x"] @ a["a2"].T)
    if row["starts"] is not None:
        head = conv_oracle.head_of_columns(np.tril(logits), row["starts"], np.zeros_like(logits))
        options |= structures.separated({"bases": len(row["starts"]), "conv_window": row["window"]}, {0: head})
    loss, gradient, bounds = solve(a, np.tril(logits), scale, options.get("method") == "conv_basis", dtype)
    outputs = {
        "loss": build.expected(np.array([loss]), [1], bounds[0], dtype) | {"dtype": "float64"},
        "grad_x": build.expected(gradient, a["x"].shape, bounds[1], dtype),
    }
    wanted = {name: output for name, output in outputs.items() if name not in row.get("without", ())}
    return {**build.head(row, dtype), "options": options, "inputs": inputs, "outputs": build.with_layouts(row, wanted)}


def solve(a, logits, scale, by_conv_basis, dtype):
    """Loss, gradient in x, and the bounds of both."""
    n, unit = logits.shape[0], budgets.unit(dtype)
    seen = np.tri(n, dtype=bool)
    masked = np.where(seen, logits, -np.inf)
    raw = np.exp(masked - masked.max(axis=1, keepdims=True))
    weights, v = raw / raw.sum(axis=1, keepdims=True), a["a3"] @ a["y"]
    o = weights @ v
    off = o - a["e"]
    inner = off @ v.T - (off * o).sum(axis=1, keepdims=True)
    d_logits = weights * inner
    loss, gradient = (off**2).sum() / 2, scale * (a["a1"].T @ d_logits @ a["a2"])

    width = a["x"].shape[0]
    size = abs(scale) * (np.abs(a["a1"]) @ np.abs(a["x"]) @ np.abs(a["a2"]).T)
    e_v = (width + 1) * unit * (np.abs(a["a3"]) @ np.abs(a["y"]))
    error = conv_budgets.weight_error(np.where(seen, (2 * width + 6) * unit * size, 0), logits, unit, 1 + n / budgets.TILE)
    factor = np.expm1(2 * error.max())
    promised = conv_budgets.PROMISE[dtype] * np.abs(v).max() if by_conv_basis else 0
    e_o = (factor + 2 * (n + 4) * unit) * (weights @ np.abs(v) + np.abs(o)) + weights @ e_v + promised
    e_off = e_o + unit * np.abs(off)
    loss_bound = (np.abs(off) * e_off + e_off**2 / 2).sum() + (off.size + 4) * unit * loss

    flow = np.abs(off).sum(axis=1, keepdims=True)
    e_inner = e_off @ np.abs(v).T + np.abs(off) @ e_v.T + (e_off * np.abs(o) + np.abs(off) * e_o).sum(axis=1, keepdims=True)
    e_inner = e_inner + (v.shape[1] + 4) * unit * (
        np.abs(off) @ np.abs(v).T + (np.abs(off) * np.abs(o)).sum(axis=1, keepdims=True)
    )
    e_logits = weights * (factor * (np.abs(inner) + e_inner) + e_inner)
    through = np.abs(a["a1"]).T @ (e_logits + (2 * n + width + 4) * unit * np.abs(d_logits)) @ np.abs(a["a2"])
    applies = conv_budgets.PROMISE[dtype] * 3 * flow * np.abs(v).max() if by_conv_basis else np.zeros_like(flow)
    through = through + (np.abs(a["a1"]) * applies).sum(axis=0)[:, None] * np.abs(a["a2"]).max()
    return loss, gradient, (loss_bound, abs(scale) * through.max())
