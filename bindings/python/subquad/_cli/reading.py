"""Arrays and matrices from files. Nothing is unpickled."""

from __future__ import annotations

import lzma
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .._extras import needed
from .failures import CommandError, Exit, blaming

#: What a file that is none of those that are read, or a damaged one, makes NumPy and SciPy raise.
_DAMAGED = (
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    KeyError,
    OverflowError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file; errors inside say that it cannot be read, and why."""
    with blaming(path, "read"), path.open("rb") as file:
        try:
            yield file
        except _DAMAGED as cause:
            raise CommandError(f"{path} cannot be read as a {path.suffix} file: {_one_line(cause)}") from cause


def _one_line(cause: Exception) -> str:
    return " ".join(str(cause).split()) or type(cause).__name__


def endings_among(paths: Sequence[Path], endings: Sequence[str]) -> None:
    """Refuse files of other kinds."""
    for path in paths:
        if path.suffix.lower() not in endings:
            raise CommandError(f"argument FILE: {path} does not end in {' or '.join(endings)}", Exit.USAGE)


def read_npy(path: Path) -> npt.NDArray[Any]:
    """The array of a .npy file, mapped into memory: what is not needed is not read, and nothing is copied."""
    with _opened(path):
        return np.lib.format.open_memmap(path, mode="r")


@contextmanager
def _archive(path: Path) -> Iterator[Any]:
    """The arrays of a .npz file, by name."""
    with _opened(path) as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is not a zip archive of arrays")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            yield archive


def _members(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Arrays of a .npz file that must be there."""
    with _archive(path) as archive:
        missing = [name for name in names if name not in archive]
        if missing:
            raise CommandError(f"{path} has no array {missing[0]}; it has {', '.join(archive) or 'none'}")
        return {name: archive[name] for name in names}


def attention_files(paths: Sequence[Path]) -> dict[str, Path]:
    """The file of each of q, k and v: three .npy files, or one .npz file."""
    names = ("q", "k", "v")
    if len(paths) == 1:
        endings_among(paths, [".npz"])
        return dict.fromkeys(names, paths[0])
    if len(paths) != len(names):
        raise CommandError(f"argument FILE: {len(paths)} files, not three .npy files (Q K V) or one .npz file", Exit.USAGE)
    endings_among(paths, [".npy"])
    return dict(zip(names, paths, strict=True))


def read_attention(files: Mapping[str, Path]) -> dict[str, Any]:
    """q, k and v."""
    if files["q"].suffix.lower() == ".npz":
        return _members(files["q"], list(files))
    return {name: read_npy(path) for name, path in files.items()}


def read_matrix(path: Path) -> Any:
    """A matrix: dense from .npy or from x in .npz, sparse from .npz as SciPy saves it or from .mtx, which may be either."""
    kind = path.suffix.lower()
    if kind == ".npy":
        return read_npy(path)
    matrix = _read_npz_matrix(path) if kind == ".npz" else _read_mtx(path)
    return matrix if isinstance(matrix, np.ndarray) else _compressed(matrix)


def _read_npz_matrix(path: Path) -> Any:
    with _archive(path) as archive:
        saved_by_scipy = "format" in archive
    if not saved_by_scipy:
        return _members(path, ["x"])["x"]
    sparse = needed("scipy.sparse", "cli")
    with _opened(path) as file:
        matrix = sparse.load_npz(file)
        if matrix.format in ("csc", "csr", "bsr"):
            matrix.check_format(full_check=True)  # what follows trusts the indices
        return matrix


def _read_mtx(path: Path) -> Any:
    reader = needed("scipy.io", "cli")
    with _opened(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of sparse matrices that become arrays: both are read alike
        try:
            matrix = reader.mmread(_Stream(file))
        except OverflowError as cause:
            raise ValueError(_one_line(cause)) from cause
    # Whole numbers and patterns are matrices too; their values say nothing about a precision.
    return matrix.astype(np.float64) if matrix.dtype.kind in "iub" else matrix


def _compressed(matrix: Any) -> Any:
    """A sparse matrix in a format that the library reads, with sorted indices and no entry twice."""
    compressed = matrix if matrix.format in ("csc", "csr") else matrix.tocsc()
    compressed.sum_duplicates()
    return compressed


class _Stream:
    """What SciPy's compiled reader reads from: a method in Python, where it lets the thread have its turn that ends the process."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)
