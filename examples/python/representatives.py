"""Choose few functions of Python's standard library that stand for all of them, by the words that they use.

Column j of X, which is sparse, tells how often function j uses each of the words (tf-idf, columns of norm 1). A word attends to other words
by softmax(scale X X'): words that occur together. Of the many columns few are chosen, with weights, so that this changes little. The error
is measured, and beside it stands that of as many columns drawn by their norms, or uniformly.

usage: representatives.py [--words 64] [--modules 10000] [--scale 3] [WORD ...]
"""

import argparse
import collections
import math
import re
import sysconfig
import time
from pathlib import Path

import numpy as np
import scipy.sparse
import subquad

ELSEWHERE = {"site-packages", "dist-packages", "test", "tests", "idlelib"}
SHARE = 1 / 20  # words that more functions use say little
FUNCTION = re.compile(r"^ *(?:async )?def (\w+)", re.MULTILINE)
WORD = re.compile(r"[a-z]{3,}")


def functions(most):
    """(module.function, words counted) of every function, from its def to the next one, of so many modules of the standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    paths = sorted(path for path in library.rglob("*.py") if not ELSEWHERE & set(path.parts))
    for path in paths[:most]:
        text = path.read_text(encoding="utf-8", errors="ignore")
        found = list(FUNCTION.finditer(text))
        ends = [after.start() for after in found[1:]] + [len(text)]
        for this, end in zip(found, ends, strict=False):
            words = collections.Counter(WORD.findall(text[this.start() : end].lower()))
            if len(words) >= 5:
                yield f"{path.stem}.{this[1]}", words


def matrix(documents, most):
    """X [words, functions], csc, of the most frequent words that say something, and these words."""
    frequency = collections.Counter(word for _, words in documents for word in words)
    vocabulary = [word for word, count in frequency.most_common() if count <= SHARE * len(documents)][:most]
    row = {word: i for i, word in enumerate(vocabulary)}
    offsets, indices, values = [0], [], []
    for _, words in documents:
        known = {row[word]: count for word, count in words.items() if word in row}
        weights = [(1 + math.log(count)) * math.log(len(documents) / frequency[vocabulary[i]]) for i, count in known.items()]
        norm = math.hypot(*weights) or 1
        indices += known
        values += [weight / norm for weight in weights]
        offsets.append(len(indices))
    x = scipy.sparse.csc_array((np.array(values), indices, offsets), shape=(len(vocabulary), len(documents)))
    return x / np.sqrt(x.multiply(x).sum(axis=1).max()), vocabulary


def error(v, columns, weights):
    """The certificate of any columns with weights, from the whitened columns v."""
    chosen = v[:, columns] * np.sqrt(weights)
    return np.abs(np.linalg.eigvalsh(chosen @ chosen.T) - 1).max()


def sampled(rng, v, probabilities, m):
    """The error of m draws with these probabilities."""
    columns = rng.choice(v.shape[1], m, p=probabilities)
    return error(v, columns, 1 / (m * probabilities[columns]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=64)
    parser.add_argument("--modules", type=int, default=10_000)
    parser.add_argument("--scale", type=float, default=3.0)
    parser.add_argument("show", nargs="*", default=["encoding", "bytes", "size"])
    settings = parser.parse_args()

    documents = list(functions(settings.modules))
    x, vocabulary = matrix(documents, settings.words)
    n, d = x.shape
    print(f"{d} functions, {n} words, {x.nnz} nonzeros ({x.nnz / (n * d):.1%})")

    m, rng = 6 * n, np.random.default_rng(3)
    v = np.linalg.qr(x.T.toarray())[0].T
    print(f"error e with {m} columns, at most:")
    for method in ("deterministic", "leverage"):
        began = time.perf_counter()
        y = subquad.sparsify(x, method=method, columns=m, certify="exact")
        seconds = time.perf_counter() - began
        print(
            f"  {method:<14} {y.epsilon:.3f}  {y.shape[1]:>5} functions in {seconds:.2f} s; directly {error(v, y.indices, y.weights):.3f}"
        )
    norms = np.asarray(x.multiply(x).sum(axis=0)).ravel()
    print(f"  {'norms':<14} {sampled(rng, v, norms / norms.sum(), m):.3f}")
    print(f"  {'uniform':<14} {sampled(rng, v, np.full(d, 1 / d), m):.3f}")

    y = subquad.sparsify(x, method="deterministic", columns=m)
    found, bound = y.softmax_error(x, scale=settings.scale), y.ratio_bound(settings.scale)
    print(f"weights of attention differ by {found.error:.1e} at most, by a factor {found.ratio:.2f} (bound {bound:.2f})")
    few, all_of_them = y.attention(np.eye(n), scale=settings.scale), np.exp(settings.scale * (x @ x.T).toarray())
    for word in [word for word in settings.show if word in vocabulary]:
        i = vocabulary.index(word)
        near = [[vocabulary[j] for j in np.argsort(-weights[i])[:6] if j != i][:5] for weights in (all_of_them, few)]
        print(f"  {word:<10} by all: {' '.join(near[0]):<45} by few: {' '.join(near[1])}")
    heaviest = y.indices[np.argsort(-y.weights)[:8]]
    print("functions that stand for most others:", ", ".join(documents[j][0] for j in heaviest))


if __name__ == "__main__":
    main()
