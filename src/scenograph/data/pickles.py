"""Published data that exists only as Python pickles, read without running any code in them.

A pickle may name any function to call. This reader knows numpy's own constructors and nothing else, so a file
that needs more is refused.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from scenograph.errors import UserError, reason, unreadable
from scenograph.files import DAMAGED_ZIP

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


def load_plain_pickle(path: Path) -> Any:
    """The value of a pickle that holds only built-in values and numpy arrays. Raises ``UserError`` otherwise."""
    try:
        with path.open("rb") as stream:
            return _load(stream, str(path))
    except OSError as error:
        raise unreadable(path, error) from error


def read_object_arrays(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """(name, array) of every member of an npz, arrays of objects included."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as stream:
                    yield member.removesuffix(".npy"), _read_npy(stream, f"{path}, {member}")
    except (OSError, *DAMAGED_ZIP) as error:
        raise unreadable(path, error, "damaged or cut short") from error


def _read_npy(stream: IO[bytes], where: str) -> np.ndarray:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except ValueError as error:
        raise UserError(f"{where}: not a numpy file: {error}") from error
    array = np.asarray(_load(stream, where)) if dtype.hasobject else np.frombuffer(stream.read(), dtype=dtype)
    if array.size != np.prod(shape, dtype=int):
        raise UserError(f"{where}: {array.size} values where the header promises {shape}")
    return array.reshape(shape, order="F" if fortran else "C")


def _load(stream: IO[bytes], where: str) -> Any:
    try:
        return _Reader(stream, encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise UserError(f"{where}: {reason(error)}") from error
    except Exception as error:  # damaged pickles raise almost anything
        raise UserError(f"{where}: damaged pickle ({type(error).__name__})") from error


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"the file asks to run {module}.{name}; refused, it may be hostile")
        return super().find_class(module, name)
