"""Choose few of many features such that nearest neighbours stay much the same, in a pipeline of scikit-learn's.

Made-up spectra: every sample is a mixture of a few substances, measured at thousands of wavelengths; its class is the substance that there
is most of. Few wavelengths are chosen, without the classes, such that distances between samples stay what they were. Then they are all that
has to be measured: the classifier sees nothing else. Needs the extra `subquad[sklearn]`.

usage: column_sparsifier.py [--samples 400] [--wavelengths 20000] [--substances 8] [--seed 1]
"""

import argparse

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from subquad.sklearn import ColumnSparsifier

NOISE = 1e-3  # of the strongest line


def spectra(samples, wavelengths, substances, rng):
    """(X [samples, wavelengths], the most frequent substance of each sample): lines at random places, one in ten of them strong."""
    axis = np.linspace(0, 1, wavelengths)
    pure = np.zeros((substances, wavelengths))
    for substance in pure:
        for place, height in zip(rng.uniform(size=12), rng.exponential(size=12), strict=True):
            substance += height * np.exp(-(((axis - place) / 2e-3) ** 2))
    shares = rng.dirichlet(np.full(substances, 0.4), samples)
    x = shares @ pure
    return x + NOISE * x.max() * rng.standard_normal(x.shape), shares.argmax(axis=1)


def distances(x):
    """Squared distances of all pairs."""
    squares = (x**2).sum(axis=1)
    return (squares[:, None] + squares - 2 * x @ x.T)[np.triu_indices(len(x), 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--wavelengths", type=int, default=20_000)
    parser.add_argument("--substances", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()

    rng = np.random.default_rng(settings.seed)
    x, y = spectra(settings.samples, settings.wavelengths, settings.substances, rng)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.75, random_state=settings.seed)
    print(f"{len(x_train)} samples to learn from, {x.shape[1]} wavelengths")

    everything = KNeighborsClassifier().fit(x_train, y_train)
    print(f"all wavelengths: {everything.score(x_test, y_test):.1%} right")
    for method in ("deterministic", "leverage"):
        for times in (2, 4, 8):
            chooser = ColumnSparsifier(times * len(x_train), method=method, certify="exact", random_state=settings.seed)
            model = make_pipeline(chooser, KNeighborsClassifier()).fit(x_train, y_train)
            factors = distances(chooser.transform(x_train)) / distances(x_train)
            print(
                f"{len(chooser.columns_):>5} by {method}: {model.score(x_test, y_test):.1%} right; e = {chooser.epsilon_:.2f}, "
                f"squared distances times {factors.min():.2f} to {factors.max():.2f}"
            )


if __name__ == "__main__":
    main()
