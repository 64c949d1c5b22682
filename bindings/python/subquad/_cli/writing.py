"""Files that appear whole or not at all: written beside their places, and renamed in the end."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .._extras import needed
from .failures import CommandError, Exit, blaming
from .signals import leftovers, undisturbed


def target(argument: str, path: Path, endings: Sequence[str], taken: Sequence[Path]) -> Path:
    """Where a file goes, past symbolic links, once it is sure that one may: no input or other output, no folder, no device.

    endings: what the name may end in; none means anything. taken: the inputs and the other outputs.
    """
    if endings and path.suffix.lower() not in endings:
        raise CommandError(f"argument {argument}: {path} does not end in {' or '.join(endings)}", Exit.USAGE)
    place = Path(os.path.realpath(path))
    if any(place == Path(os.path.realpath(other)) or _same_file(place, other) for other in taken):
        raise CommandError(f"argument {argument}: {path} is an input or another output too", Exit.USAGE)
    if place.exists() and not place.is_file():
        raise CommandError(f"argument {argument}: {path} exists and is not a file", Exit.USAGE)
    return place


def _same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


class Output:
    """A file that is written beside its place."""

    def __init__(self, place: Path, number: int) -> None:
        self.kind = place.suffix.lower()
        self._place = place
        self._beside = place.with_name(f".subquad-{os.getpid()}-{number}.part")
        self._file: BinaryIO | None = None
        self._market: Any = needed("scipy.io", "cli") if self.kind == ".mtx" else None

    def open(self) -> None:
        with blaming(self._place, "written"), undisturbed:
            self._file = self._beside.open("xb")
            leftovers.add(self._beside)

    def finish(self) -> None:
        """Have all of it in the system's hands, with the permissions of the file that it takes the place of."""
        with self._writing() as file:
            file.close()
            if self._place.exists():
                self._beside.chmod(self._place.stat().st_mode & 0o7777)

    def rename(self) -> None:
        with blaming(self._place, "written"):
            self._beside.replace(self._place)

    def remove(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # of bytes that could not be written, and are not wanted
                self._file.close()
            self._beside.unlink(missing_ok=True)
            leftovers.discard(self._beside)

    def npy(self, array: npt.NDArray[Any]) -> None:
        """A C-contiguous array."""
        with self._writing() as file:
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
            file.write(array.reshape(-1).view(np.uint8).data)

    def npz(self, arrays: Mapping[str, Any]) -> None:
        """Arrays by name, uncompressed."""
        with self._writing() as file:
            np.savez(file, **arrays)

    def mtx(self, matrix: Any) -> None:
        """A dense or sparse matrix."""
        with self._writing() as file:
            self._market.mmwrite(_Stream(file), matrix, symmetry="general")

    def json(self, document: Mapping[str, Any]) -> None:
        with self._writing() as file:
            file.write((json.dumps(dict(document), indent=2) + "\n").encode())

    @contextmanager
    def _writing(self) -> Iterator[BinaryIO]:
        assert self._file is not None
        with blaming(self._place, "written"):
            yield self._file


@contextmanager
def replacing(places: Mapping[str, Path]) -> Iterator[dict[str, Output]]:
    """Files to write, by name. They take their places when the block ends, and are removed when it fails.

    They are opened before anything is computed: a folder that nobody may write to is better known at once.
    """
    files = {name: Output(place, number) for number, (name, place) in enumerate(places.items())}
    try:
        for file in files.values():
            file.open()
        yield files
        for file in files.values():
            file.finish()
        with undisturbed:
            for file in files.values():
                file.rename()
    finally:
        with undisturbed:
            for file in files.values():
                file.remove()


class _Stream:
    """What SciPy's compiled writer writes to: a method in Python, where it lets the thread have its turn that ends the process."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, content: bytes) -> int:
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()
