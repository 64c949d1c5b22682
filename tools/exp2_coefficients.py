"""Print the coefficients of core/simd/exp2-inl.hpp: minimax polynomials for 2^f on [-1/2, 1/2] in relative error.

Remez exchange in 60 digits; the error levels at the extrema, so the printed error is the best that the degree allows.
The degrees in use are the least whose error is small beside the rounding of the type, so that c0 rounds to 1.
Run: python tools/exp2_coefficients.py   (needs mpmath)
"""

from mpmath import cos, lu_solve, matrix, mp, mpf, pi, polyval

mp.dps = 60


def remez(degree, rounds=12):
    """Coefficients c[0..degree] and the levelled relative error of sum c_i f^i against 2^f."""
    count = degree + 2
    points = [cos(pi * i / (count - 1)) / 2 for i in range(count)]
    for _ in range(rounds):
        system, right = matrix(count), matrix(count, 1)
        for row, f in enumerate(points):
            weight = mpf(2) ** f
            for power in range(degree + 1):
                system[row, power] = f**power / weight
            system[row, count - 1] = (-1) ** row
            right[row] = 1
        solution = lu_solve(system, right)
        coefficients, level = [solution[i] for i in range(degree + 1)], abs(solution[count - 1])
        points = extrema(coefficients, count)
    return coefficients, level


def extrema(coefficients, count, samples=4000):
    """Where the relative error peaks: one point in each run of constant sign, ends included."""
    grid = [cos(pi * i / samples) / 2 for i in range(samples + 1)]
    error = [polyval(coefficients[::-1], f) / mpf(2) ** f - 1 for f in grid]
    peaks, best = [], 0
    for i in range(1, len(grid)):
        if error[i] * error[best] < 0:
            peaks.append(best)
            best = i
        elif abs(error[i]) > abs(error[best]):
            best = i
    peaks.append(best)
    assert len(peaks) == count, (len(peaks), count)
    return [grid[i] for i in peaks]


if __name__ == "__main__":
    for degree, digits in ((6, 12), (11, 20)):
        coefficients, level = remez(degree)
        print(f"degree {degree}: relative error {mp.nstr(level, 3)}")
        for power, c in enumerate(coefficients):
            print(f"  c{power} = {mp.nstr(c, digits)}")
