"""Made-up reports on heads, and what a drawn picture takes up."""

import json

from subquad import Report

KINDS = {
    # parts, pairs in the arrays' precision and in 8 bits, of 1000, and the estimate
    "window": (300, 0, 0.04),
    "window+heavy": (200, 0, 0.05),
    "window+heavy+selection+conv": (250, 0, 0.06),
    "window+selection+centroids": (100, 0, 0.07),
    "screened": (0, 600, 0.08),
    "exact": (1000, 0, 0.0),
}


def report(*kinds, pairs=1000):
    """Of heads of these KINDS: all of them unless given."""
    kinds = kinds or tuple(KINDS)
    exact, low, errors = zip(*(KINDS[kind] for kind in kinds), strict=True)
    values = {
        "method": "auto",
        "pairs": pairs * len(kinds),
        "parts": kinds,
        "error": errors,
        "error_low": [0.5 * error for error in errors],
        "error_high": [1.5 * error for error in errors],
        "pairs_exact": exact,
        "pairs_low": low,
    }
    one = {key: value[0] if isinstance(value, tuple | list) and len(kinds) == 1 else value for key, value in values.items()}
    return Report(json.dumps(one))


def laid_out(ax):
    """The Axes, with all in its place."""
    ax.figure.draw_without_rendering()
    return ax


def apart(texts):
    """Whether no two of them overlap, once all is laid out."""
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return not any(first.overlaps(second) for i, first in enumerate(boxes) for second in boxes[:i])
