"""Reading TensorFlow 2's checkpoints without TensorFlow: ``NAME.index`` and ``NAME.data-00000-of-00001``.

The index is a sorted table of LevelDB's form (blocks of keys that share prefixes, an index of blocks, a footer) that
maps every variable's path to a small protocol buffer: its type, shape and place in the data files, which hold nothing
but the numbers. Nothing in either can run code.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scenograph.errors import expecting, unreadable

FOOTER, MAGIC = 48, 0xDB4775248B80FB57
TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "|u1", 5: "<i2", 6: "|i1", 9: "<i8", 10: "|b1", 19: "<f2"}
"""NumPy's types by TensorFlow's numbers; of others, such as strings, no model is made."""
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
"""What follows the path of a variable; other keys are slots of optimizers, and the graph of Python objects."""


class _Entry(NamedTuple):
    """Where a variable is."""

    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_bundle(path: Path) -> dict[str, np.ndarray]:
    """The variables of a checkpoint, by their paths.

    Args:
        path: ``NAME.index``, or ``NAME``.

    Raises:
        UserError: A file is missing, damaged or of another form; the message names it.
    """
    index = path if path.suffix == ".index" else path.with_name(f"{path.name}.index")
    with expecting(f"{index}: not the index of a TensorFlow 2 checkpoint, or cut short"):
        entries = dict(_table(_content(index)))
        shards = _fields(entries.pop(b"", b"")).get(1, [1])[0]
        found = {key.decode(): _entry(value) for key, value in entries.items() if key.endswith(SUFFIX.encode())}
    contents: dict[int, bytes] = {}
    variables = {}
    for name, entry in found.items():
        if entry.kind not in TYPES:
            continue
        data = index.with_name(f"{index.stem}.data-{entry.shard:05d}-of-{shards:05d}")
        if entry.shard not in contents:
            contents[entry.shard] = _content(data)
        part = contents[entry.shard][entry.offset : entry.offset + entry.size]
        with expecting(f"{data}: cut short, or of another checkpoint: {name} is not where {index.name} says"):
            variables[name.removesuffix(SUFFIX)] = np.frombuffer(part, TYPES[entry.kind]).reshape(entry.shape)
    return variables


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a sorted table."""
    footer = content[-FOOTER:]
    if len(footer) < FOOTER or struct.unpack("<Q", footer[-8:])[0] != MAGIC:
        raise ValueError("no footer")
    position = 0
    numbers = []
    for _ in range(4):  # where the blocks of meta-information and of the index are, and how long
        number, position = _varint(footer, position)
        numbers.append(number)
    for _, handle in _block(content, *numbers[2:]):
        offset, position = _varint(handle, 0)
        yield from _block(content, offset, _varint(handle, position)[0])


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of one block, whose keys leave out what they share with the one before."""
    block = content[offset : offset + size]
    if content[offset + size] != 0:
        raise ValueError("a compressed block, which TensorFlow does not write")
    end = len(block) - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    position, key = 0, b""
    while position < end:
        shared, position = _varint(block, position)
        own, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + own]
        yield key, block[position + own : position + own + length]
        position += own + length


def _entry(message: bytes) -> _Entry:
    """A ``BundleEntryProto``."""
    fields = _fields(message)
    sizes = [_fields(size) for size in _fields(fields.get(2, [b""])[0]).get(2, [])]
    shape = tuple(size.get(1, [0])[0] for size in sizes)
    kind, shard, offset, size = (fields.get(number, [0])[0] for number in (1, 3, 4, 5))
    return _Entry(kind, shape, shard, offset, size)


def _fields(message: bytes) -> dict[int, list[Any]]:
    """The fields of a protocol buffer by number: integers, and bytes of nested messages."""
    fields: dict[int, list[Any]] = {}
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == 0:
            value, position = _varint(message, position)
        elif wire == 2:
            length, position = _varint(message, position)
            value, position = message[position : position + length], position + length
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
            value, position = message[position : position + length], position + length
        else:
            raise ValueError(f"wire type {wire}")
        fields.setdefault(number, []).append(value)
    return fields


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    number = shift = 0
    while True:
        byte = content[position]
        number |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return number, position
