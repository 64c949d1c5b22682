"""The raw module, with its errors connected and its library checked against the constants that this package knows."""

from . import _subquad as raw
from ._constants import CONSTANTS, VERSION
from ._errors import SubquadError, library_error

raw.set_error_factory(library_error)

__all__ = ["differences", "raw"]


def _loaded(name: str) -> int | None:
    try:
        value: int = raw.subquad_constant(name)
    except SubquadError:
        return None
    return value


def differences(expected: dict[str, int]) -> list[str]:
    """One line for each constant that the loaded library does not share."""
    return [
        f"{name} is {value} here, {_loaded(name)} in the library" for name, value in expected.items() if _loaded(name) != value
    ]


# The package holds its own library, but the loader looks into LD_LIBRARY_PATH first.
if _found := differences(CONSTANTS):
    raise ImportError(
        f"subquad {VERSION} loaded a library libsubquad of version {raw.subquad_version_string()} that does not fit: "
        + "; ".join(_found)
    )
