"""Reports: what a call did, and what the library and the machine are."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ._constants import ReportKey
from ._handle import Handle
from ._library import raw

#: What a report on method "auto" says of each head, in the order of its table.
_OF_HEADS = [
    key.name.lower()
    for key in (
        ReportKey.PARTS,
        ReportKey.ERROR,
        ReportKey.ERROR_LOW,
        ReportKey.ERROR_HIGH,
        ReportKey.ERROR_BACKWARD,
        ReportKey.WINDOW,
        ReportKey.HEAVY_COLUMNS,
        ReportKey.SELECTED_KEYS,
        ReportKey.CONV_BASES,
        ReportKey.PAIRS_EXACT,
        ReportKey.PAIRS_LOW,
        ReportKey.PAIRS_SCREENED,
        ReportKey.MISSED_MASS,
        ReportKey.HEAD_SECONDS_PLAN,
        ReportKey.HEAD_SECONDS_APPLY,
        ReportKey.FALLBACK,
    )
]


class Report(Mapping[str, Any]):
    """What a call did, by key (see `subquad.h`, section 7): a number or text, or a list of them; keys without a value are absent.

    Seconds are wall-clock, sizes in bytes. `print` shows a line for each key and, of several heads, for each head.

    >>> import numpy as np
    >>> import subquad
    >>> q = np.zeros((3, 2))
    >>> o, report = subquad.attention(q, q, q, causal=True, return_report=True)
    >>> report["method"], report["pairs"], "tol" in report
    ('exact', 6, False)
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._values: dict[str, Any] = json.loads(text)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def heads(self) -> list[dict[str, Any]]:
        """What there is to say of each head that method "auto" planned, in order of batch and head; empty for other methods."""
        columns = {key: value if isinstance(value := self[key], list) else [value] for key in _OF_HEADS if key in self}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def __str__(self) -> str:
        heads = self.heads if len(self.heads) > 1 else []
        listed = {key: value for key, value in self.items() if not heads or key not in heads[0]}
        width = max(map(len, listed), default=0)
        return "\n".join([*(f"{key:{width}}  {_text(value)}" for key, value in listed.items()), *_table(heads)])

    def __repr__(self) -> str:
        return f"Report({self._text!r})"

    def json(self) -> str:
        """The report as one JSON object.

        >>> import json
        >>> import subquad
        >>> json.loads(subquad.info().json()) == dict(subquad.info())
        True
        """
        return self._text


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of columns as wide as what they hold, numbered from 0, the keys first."""
    if not rows:
        return []
    lines = [["head", *rows[0]]]
    lines += [
        [str(i), *(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values())]
        for i, row in enumerate(rows)
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def new_report() -> Handle:
    """An empty report of the library's, for a call to fill."""
    return Handle(raw.subquad_report_create, raw.subquad_report_destroy)


def read_report(pointer: Any) -> Report:
    """A copy of a report that a call filled."""
    return Report(raw.subquad_report_json(pointer))


def info() -> Report:
    """The library and the machine: version, SIMD target in use and those on offer, default threads, BLAS, FFTW, Armadillo.

    A key `blas_warning` is present when the BLAS library fell back to kernels far slower than this processor.

    Raises `SubquadError`: ERR_UNKNOWN or ERR_VALUE when `SUBQUAD_SIMD_TARGET` or `SUBQUAD_NUM_THREADS` in the environment is
    wrong; ERR_MEMORY.

    >>> import subquad
    >>> subquad.info()["version"] == subquad.__version__
    True
    """
    with new_report() as report:
        raw.subquad_info(None, report)
        return read_report(report)
