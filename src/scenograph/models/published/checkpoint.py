"""Reading untrusted torch files: weights and plain values only, never code."""

from __future__ import annotations

import argparse
import codecs
import pickle
import re
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from scenograph.errors import UserError, expecting, unreadable, validate
from scenograph.models.base import Model, ModelConfig
from scenograph.scenes.vocabulary import Vocabulary

COCO_CATEGORIES = 184
PICKLE_STARTS = (b"PK", b"\x80")
"""First bytes of a torch file: those of a zip archive, or of a pickle."""
OTHER_STARTS = {
    b"\x1f\x8b": "is compressed by gzip; unpack it with: gunzip",
    b"BZh": "is compressed by bzip2; unpack it with: bunzip2",
    b"\xfd7zXZ": "is compressed by xz; unpack it with: unxz",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd; unpack it with: unzstd",
    b"\x89HDF": "is an HDF5 file, as Keras writes them, not a torch checkpoint",
    b"\x93NUMPY": "is a NumPy array, not a torch checkpoint",
    b"version https://git-lfs": "is a Git LFS pointer, not the checkpoint it stands for; fetch that with: git lfs pull",
    b"<": "is a web page, not a torch checkpoint; download the file that it links to",
}
"""First bytes of files that are taken for torch files, and what to say of them."""
Config = TypeVar("Config", bound=ModelConfig)
Imported = TypeVar("Imported", bound=Model)
Rest = ParamSpec("Rest")
PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
Rule = tuple[str, str | Callable[[re.Match[str]], str]]

LAYOUT_NORM_NAMES: tuple[Rule, ...] = (
    (r"\.b([12])\.", r".norm\1."),
    (r"\.weight_proj\.", ".gain."),
    (r"\.bias_proj\.", ".shift."),
    (r"\.batch_norm2d\.", ".batch_norm."),
    (r"\.c_sc\.", ".shortcut."),
    (r"\.weight_orig$", ".weight"),
)
"""What LostGAN and LAMA call the parts of a residual block, and what we do."""


def _plain_dictionary(factory: object = None) -> dict[object, object]:
    """Stands for ``defaultdict``, which torch's safe reader will build but not fill."""
    return {}


_SCALAR: Any = np.float64(0).__reduce__()[0]
"""numpy's own constructor of numbers, wherever this version of numpy keeps it."""


def _path(*parts: str) -> str:
    """Stands for a path, of which no system but its own can make one."""
    return "/".join(parts)


_ARRAY: Any = np.empty(0).__reduce__()[0]
"""numpy's own constructor of arrays."""

_HARMLESS: list[Any] = [
    argparse.Namespace,
    *((_path, f"{module}.{name}") for module in ("pathlib", "pathlib._local") for name in PATHS),
    (_ARRAY, "numpy.core.multiarray._reconstruct"),
    (_ARRAY, "numpy._core.multiarray._reconstruct"),
    np.ndarray,
    (_plain_dictionary, "collections.defaultdict"),
    (list, "__builtin__.list"),
    (list, "builtins.list"),
    (codecs.encode, "_codecs.encode"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(kind)) for kind in np.typecodes["All"]},
]
"""What training scripts leave in their checkpoints beside tensors: options, paths, loss histories, numpy's numbers."""


WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+|(?<=\.)_orig_mod\.")
"""What ``DataParallel`` and ``torch.compile`` put before names, the latter also within a model."""


def is_safetensors(path: Path) -> bool:
    """Whether a file is of the safetensors format, which holds weights alone: the length of its header, the header."""
    return _start(path)[7:9] == b"\0{"


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(32)
    except OSError as error:
        raise unreadable(path, error) from error


def read_training_state(path: Path) -> dict[str, Any]:
    """As :func:`read_checkpoint`, for systems whose files hold names and settings beside the weights."""
    if is_safetensors(path):
        raise UserError(
            f"{path}: a safetensors file holds weights alone; this system's names and settings are in the .pt file "
            "that training saved, so give that"
        )
    return read_checkpoint(path)


def importer(read: Callable[Concatenate[Path, Rest], Imported]) -> Callable[Concatenate[Path, Rest], Imported]:
    """Decorator of functions that import a file: any exception becomes a ``UserError`` of one line."""

    @wraps(read)
    def carefully(path: Path, /, *rest: Rest.args, **named: Rest.kwargs) -> Imported:
        with expecting(f"{path}: not of the form that its system saves"):
            return read(path, *rest, **named)

    return carefully


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The dictionary in a ``.pt`` file or a safetensors file, read without executing anything, tensors on the CPU.

    Raises ``UserError`` if the file cannot be read, is cut short, or would run code.
    """
    if is_safetensors(path):
        with expecting(f"{path}: not a safetensors file, or cut short"):
            return dict(load_file(path))
    start = _start(path)
    for other, what in OTHER_STARTS.items():
        if start.startswith(other):
            raise UserError(f"{path} {what}")
    if not start.startswith(PICKLE_STARTS):
        raise UserError(f"{path}: not a torch checkpoint, or cut short; download it again")
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if named := re.search(r"(?:GLOBAL|[Cc]lass|function) '?<?(?:class '|function )?([\w.]+)", str(error)):
            raise UserError(
                f"{path}: refused: the file asks to run code, for it holds a {named[1]}, which is neither weights nor "
                "a plain value; save the weights without it, as model.state_dict()"
            ) from error
        raise UserError(f"{path}: not a torch checkpoint, or cut short; download it again") from error
    except Exception as error:
        # A torn file can fail anywhere inside torch's readers, with whatever exception that reader raises.
        raise UserError(f"{path}: not a torch checkpoint, or cut short; download it again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a dictionary of weights, found {type(value).__name__}")
    return value


def tensors(value: object, where: str) -> dict[str, Tensor]:
    """A state dictionary, freed of the prefixes of :data:`WRAPPERS` and of old spectral norms."""
    if not isinstance(value, dict) or not value or not all(isinstance(item, Tensor) for item in value.values()):
        raise UserError(f"{where}: expected weights by name")
    state = {WRAPPERS.sub("", str(key)): item for key, item in value.items()}
    if len(state) < len(value):
        raise UserError(f"{where}: holds the same weights with and without module. or _orig_mod. before their names")
    for name in [key.removesuffix("_orig") for key in state if key.endswith(".weight_orig")]:
        if f"{name}_v" not in state and f"{name}_u" in state:
            state[f"{name}_v"] = _second_vector(state[f"{name}_orig"], state[f"{name}_u"], state.pop(name, None))
    return state


def _second_vector(weight: Tensor, u: Tensor, normalized: Tensor | None) -> Tensor:
    """The v of a spectral norm u W v that torch saved without it, as it did before 1.0.

    It saved the normalized weight instead, from which the norm follows. Without that, v is W^T u at unit length, as
    after one power iteration.
    """
    along = weight.flatten(1).T @ u  # (out, ...) -> (out, rest); (rest, out) @ (out,)
    norm = along.norm() if normalized is None else weight.norm() / normalized.norm()
    return along * norm / along.square().sum()


def rename(state: dict[str, Tensor], rules: Iterable[Rule]) -> dict[str, Tensor]:
    """Weights under the names that a sequence of substitutions (pattern, replacement) gives them."""
    renamed = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed


def refuse_vocabulary(given: Vocabulary | None, path: Path) -> None:
    """Raise ``UserError`` if names are given for a file of a system whose files hold their own."""
    if given is not None:
        raise UserError(f"{path}: checkpoints of this system hold their vocabulary; leave --vocabulary out")


def generator_state(path: Path, marker: str, what: str) -> dict[str, Tensor]:
    """The weights in a file of LostGAN or LAMA, which holds nothing else; ``marker`` is one that only ``what`` has."""
    state = tensors(read_checkpoint(path), str(path))
    for key in (marker, "label_embedding.weight", "fc.weight_orig"):
        if key not in state:
            raise UserError(f"{path}: not {what}: it holds no weights {key!r}")
    return state


def published_config(kind: type[Config], settings: dict[str, Any], where: str) -> Config:
    """A model's settings as read off its weights; ``UserError`` if no model of this kind has them."""
    return validate(kind, settings, f"{where}: its weights do not fit the system")


def named_categories(count: int, given: Vocabulary | None, where: str) -> Vocabulary:
    """``__image__`` and the given names of a checkpoint's categories, which files of LostGAN and LAMA do not hold."""
    if given is None:
        raise UserError(
            f"{where}: holds {count} categories without their names; give --vocabulary "
            + ("coco-stuff" if count == COCO_CATEGORIES else "FILE, the vocab.json of the data it was trained on")
        )
    vocabulary = given.with_image_object()
    if len(vocabulary.categories) != count:
        found = len(vocabulary.categories)
        raise UserError(f"{where}: holds {count} categories, __image__ included; the given vocabulary has {found}")
    return vocabulary
