"""Writes what TensorFlow 2 saves, for tests of its reader; from the format's description, not by TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

NUMBERS = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
RESTART = 16
"""Every so many keys one is written whole."""


def varint(number: int) -> bytes:
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    content, before, restarts = b"", b"", []
    for count, (key, value) in enumerate(entries):
        shared = 0
        if count % RESTART:
            shared = next(
                (i for i, (a, b) in enumerate(zip(key, before, strict=False)) if a != b), min(len(key), len(before))
            )
        else:
            restarts.append(len(content))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return content + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def write_bundle(prefix: Path, variables: Mapping[str, np.ndarray], per_block: int = 40) -> None:
    """``prefix.index`` and ``prefix.data-00000-of-00001``."""
    data, entries = b"", [(b"", field(1, 1) + field(3, field(1, 1)))]
    for name in sorted(variables):
        array = variables[name]
        shape = b"".join(field(2, field(1, side)) for side in array.shape)
        entry = field(1, NUMBERS[array.dtype.name]) + field(2, shape)
        entry += field(4, len(data)) if data else b""
        entry += field(5, array.nbytes) + varint(6 << 3 | 5) + b"\0\0\0\0"
        entries.append((f"{name}/.ATTRIBUTES/VARIABLE_VALUE".encode(), entry))
        data += array.tobytes()
    entries.append((b"zz/.OPTIMIZER_SLOT/m", field(1, 1)))
    table, handles = b"", []
    for start in range(0, len(entries), per_block):
        part = entries[start : start + per_block]
        content = block(part)
        handles.append((part[-1][0], varint(len(table)) + varint(len(content))))
        table += content + b"\0" + b"\0\0\0\0"
    index = block(handles)
    meta = block([])
    where = varint(len(table)) + varint(len(meta))
    table += meta + b"\0" * 5
    where += varint(len(table)) + varint(len(index))
    table += index + b"\0" * 5 + where.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table)
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(data)
