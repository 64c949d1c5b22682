"""Reconstruct hourly infections from hospital admissions, where the delay between them depends on the variant of the time.

Of those infected in hour j, in the days of variant r, the share share_r * delay_r[i-j] is admitted in hour i: a matrix H whose columns,
as functions of the lag, change where a variant takes over. That is a conv basis with one kernel per variant. The reconstruction is
Richardson's and Lucy's, x <- x * H' (y / (H x)) / (H' 1): two products with H in each round.

usage: delays.py [--hours 20000] [--rounds 60]
"""

import argparse
import math
import time

import numpy as np
import subquad

VARIANTS = [
    (0.0, 250.0, 0.05),
    (0.4, 150.0, 0.08),
    (0.7, 90.0, 0.02),
]  # from this part of the time on; mean delay in hours; share


def gamma_delay(hours, mean):
    """A gamma distribution of shape 4, by the hour."""
    x = (np.arange(hours) + 0.5) * 4 / mean
    return x**3 * np.exp(-x) / math.gamma(4) * 4 / mean


def waves(hours):
    """Infections per hour in four waves."""
    t = np.arange(hours) / hours
    return 20 + sum(size * np.exp(-(((t - at) / 0.05) ** 2)) for at, size in [(0.15, 900), (0.38, 1500), (0.6, 700), (0.8, 2500)])


def reconstruct(admissions, matrix, rounds):
    """Infections per hour; hours that hardly anyone has been admitted from yet stay as they start, at the mean."""
    admitted_share = np.maximum(matrix.T @ np.ones_like(admissions), 1e-6)
    infections = np.full_like(admissions, admissions.sum() / admitted_share.sum())
    for _ in range(rounds):
        expected = np.maximum(matrix @ infections, 1e-6)
        infections *= np.maximum(matrix.T @ (admissions / expected), 0) / admitted_share
    return infections


def daily_error(infections, truth):
    """Relative error of the daily totals, all but the last three weeks, which the admissions do not tell of yet."""
    days = (len(truth) - 21 * 24) // 24
    totals, true_totals = (x[: 24 * days].reshape(days, 24).sum(axis=1) for x in (infections, truth))
    return np.abs(totals - true_totals).sum() / true_totals.sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=60)
    settings = parser.parse_args()
    n, rng = settings.hours, np.random.default_rng(1)

    starts = [int(part * n) for part, _, _ in VARIANTS]
    kernels = np.array([share * gamma_delay(n, mean) for _, mean, share in VARIANTS])
    by_variant = subquad.ConvBasis(starts=starts, kernels=kernels, cumulative=True)
    alike = subquad.ConvBasis.toeplitz(kernels.mean(axis=0))
    truth = waves(n)
    expected = by_variant @ truth
    admissions = rng.poisson(np.maximum(expected, 0)).astype(np.float64)

    variant = np.searchsorted(starts, np.arange(n), side="right") - 1
    rows = rng.integers(n, size=100)
    direct = np.array([kernels[variant[: i + 1], i - np.arange(i + 1)] @ truth[: i + 1] for i in rows])
    began = time.perf_counter()
    infections = reconstruct(admissions, by_variant, settings.rounds)
    seconds = time.perf_counter() - began

    print(f"{n} hours, {int(truth.sum())} infections, {int(admissions.sum())} admissions; {by_variant}")
    print(
        f"largest difference of H x from direct sums: {np.abs(expected[rows] - direct).max() / direct.max():.1e} of the largest"
    )
    print(f"{settings.rounds} rounds in {seconds:.2f} s")
    print("relative error of the daily infections,")
    print(f"  a delay for each variant     {daily_error(infections, truth):.3f}")
    print(f"  one delay for all            {daily_error(reconstruct(admissions, alike, settings.rounds), truth):.3f}")


if __name__ == "__main__":
    main()
