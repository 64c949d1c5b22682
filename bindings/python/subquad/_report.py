"""Reports: what a call did, and what the library and the machine are."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ._handle import Handle
from ._library import raw


class Report(Mapping[str, Any]):
    """What a call did, by key (see `subquad.h`, section 7): a number or text, or a list of them; keys without a value are absent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._values: dict[str, Any] = json.loads(text)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __str__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{key:{width}}  {_text(value)}" for key, value in self.items())

    def __repr__(self) -> str:
        return f"Report({self._text!r})"

    def json(self) -> str:
        """The report as one JSON object."""
        return self._text


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


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
