"""Train a layer of attention by gradient descent, once with exact attention and once by conv basis, to the same loss.

    minimise over x:   0.5 |D(x)^-1 (M * exp(a1 x a2')) a3 y - e|_F^2

All queries (rows of a1) are one vector and the keys (rows of a2) are constant on pieces, so for every x the logits have a conv basis
with one kernel per piece. The target e is what the layer gives at a hidden x.

usage: train_layer.py [--rows 1024] [--pieces 6] [--steps 120]
"""

import argparse
import time

import numpy as np
import subquad

DIMENSION, COLUMNS = 4, 8
# Recovery: pieces whose logits differ by less than delta / window in all count as one, which moves no logit by more.
RECOVERY = {"window": 4, "delta": 1e-6}


def layer(rows, pieces, rng):
    """The inputs, and the target at a hidden x."""
    a1 = np.repeat(rng.standard_normal((1, DIMENSION)), rows, axis=0)
    a2 = np.repeat(rng.standard_normal((pieces, DIMENSION)), np.diff(np.arange(pieces + 1) * rows // pieces), axis=0)
    a3, y = rng.standard_normal((rows, DIMENSION)), rng.standard_normal((DIMENSION, COLUMNS))
    hidden = rng.standard_normal((DIMENSION, DIMENSION)) / 2
    target = subquad.attention(a1 @ hidden, a2, a3 @ y, causal=True, scale=1.0)
    return a1, a2, a3, y, target


def descend(steps, problem, **method):
    """Losses of gradient descent from x = 0; a step that does not lower the loss enough is tried again with half its length."""
    a1, a2, a3, y, target = problem
    x = np.zeros((DIMENSION, DIMENSION))
    loss, gradient = subquad.attention_loss(a1, a2, a3, x, y, target, **method)
    losses, length = [loss], 1.0
    for _ in range(steps):
        while True:
            trial = x - length * gradient
            trial_loss, trial_gradient = subquad.attention_loss(a1, a2, a3, trial, y, target, **method)
            if trial_loss <= loss - 0.25 * length * (gradient**2).sum():
                break
            length /= 2
            if length < 1e-12:  # no descent left in double precision
                return losses
        x, loss, gradient = trial, trial_loss, trial_gradient
        losses.append(loss)
        length *= 2
    return losses


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--pieces", type=int, default=6)
    parser.add_argument("--steps", type=int, default=120)
    settings = parser.parse_args()
    problem = layer(settings.rows, settings.pieces, np.random.default_rng(2))

    methods = {
        "exact": {"method": "exact"},
        "conv_basis": {"method": "conv_basis", "backward": "conv_basis", "bases": settings.pieces, **RECOVERY},
    }
    curves = {}
    for name, method in methods.items():
        began = time.perf_counter()
        curves[name] = descend(settings.steps, problem, **method)
        print(f"{name:>10}: {len(curves[name]) - 1} steps in {time.perf_counter() - began:.2f} s")
    print(f"{'step':>6} {'exact':>12} {'conv_basis':>12}")
    shared = min(map(len, curves.values())) - 1
    for step in sorted({0, 1, 2, 5, 10, 20, 50, shared} & set(range(shared + 1))):
        print(f"{step:>6} {curves['exact'][step]:>12.6g} {curves['conv_basis'][step]:>12.6g}")
    print(f"end    {curves['exact'][-1]:>12.6g} {curves['conv_basis'][-1]:>12.6g}")


if __name__ == "__main__":
    main()
