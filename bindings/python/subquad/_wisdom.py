"""What FFTW has learnt about the machine, to keep from one process to the next."""

from __future__ import annotations  # signatures show short names

from ._constants import Status
from ._errors import error
from ._library import raw


def export_wisdom() -> str:
    """What FFTW has learnt about this machine, as text for `import_wisdom`.

    The library plans by estimate, which measures nothing; wisdom from elsewhere makes the transforms of `conv_basis_fit` faster, and
    their last bits may differ.

    Raises `SubquadError`: ERR_MEMORY.

    >>> import subquad
    >>> subquad.import_wisdom(subquad.export_wisdom())
    """
    text: str = raw.subquad_wisdom_export()
    return text


def import_wisdom(text: str) -> None:
    """Add wisdom that `export_wisdom` returned, in this process or another. FFTW shares it with all its users in the process.

    Raises `SubquadError`: ERR_VALUE when the text is not such wisdom, ERR_TYPE when it is no text.

    >>> import subquad
    >>> try:
    ...     subquad.import_wisdom("not wisdom")
    ... except ValueError as failure:
    ...     print(failure.name)
    ERR_VALUE
    """
    if not isinstance(text, str):
        raise error(Status.ERR_TYPE, f"text is of type {type(text).__name__}, not a text")
    if not text.isascii() or "\0" in text:
        raise error(Status.ERR_VALUE, f"text is not wisdom of FFTW: it starts with {text[:20]!r}")
    raw.subquad_wisdom_import(text)
