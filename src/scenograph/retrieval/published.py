"""The files of the released PasteGAN that say which crops there are and which suit an object: read and written.

``mem_bank.json`` lists, per category, the picture's row, the object's number in it, and in some files the crop's id.
``top10_crop_ids_L2.pickle`` lists the ten nearest crops of every object, itself first: by the object's id for Visual
Genome (``{"12": [[ids]]}``), by its number for COCO (``[[ids], ...]``). The code that made them was not released;
:class:`~scenograph.retrieval.selector.CropSelector` with ``PUBLISHED`` does what the paper says it does.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from scenograph.data.pickles import load_plain_pickle
from scenograph.errors import UserError, expecting
from scenograph.files import read_json, write_atomically
from scenograph.retrieval.memory import CropMemory
from scenograph.retrieval.selector import TOP

Form = Literal["vg", "coco"]
Bank = dict[str, list[tuple[int, ...]]]
"""Category to (picture's row, object's number), or (row, number, crop's id)."""
DRAWN = 3
"""Training takes one of so many first crops."""


@dataclass(frozen=True)
class NearestCrops:
    """The crops that suit each object, nearest first, as the released files list them."""

    ids: dict[int, list[int]]
    """Crops by object."""

    def original(self, thing: int) -> int:
        """The crop that is taken for the object's own: the first."""
        return self.ids[thing][0]

    def selected(self, thing: int, rng: np.random.Generator | None, own: bool = False) -> int:
        """The crop that is painted from.

        Args:
            thing: The object.
            rng: For training, which takes one of three crops; None for evaluation, which takes the first.
            own: Count the object's own crop, as the released code does: then a third of the training draws, and all
                in evaluation, are the crop that is to be painted.
        """
        allowed = [one for one in self.ids[thing] if own or one != thing] or self.ids[thing]
        return allowed[0] if rng is None else allowed[int(rng.integers(min(DRAWN, len(allowed))))]


def read_nearest(path: Path) -> NearestCrops:
    """A ``top10_crop_ids`` file, of either form. Raises ``UserError`` if it is none."""
    content = load_plain_pickle(path)
    with expecting(f"{path}: expected the nearest crops of every object, as in top10_crop_ids_L2.pickle"):
        rows = content.items() if isinstance(content, Mapping) else enumerate(content)
        return NearestCrops({int(thing): _flat(found) for thing, found in rows})


def write_nearest(path: Path, nearest: NearestCrops, form: Form) -> None:
    """Write a ``top10_crop_ids`` file. For ``coco``, objects must be numbered from 0 without gaps."""
    content: object = {str(thing): [found] for thing, found in nearest.ids.items()}
    if form == "coco":
        if sorted(nearest.ids) != list(range(len(nearest.ids))):
            raise UserError(f"{path}: the form of COCO is a list: it needs objects numbered from 0 without gaps")
        content = [nearest.ids[number] for number in range(len(nearest.ids))]
    write_atomically(path, pickle.dumps(content, protocol=2))


def read_bank(path: Path) -> Bank:
    """A ``mem_bank.json`` file. Raises ``UserError`` if it is none."""
    content = read_json(path)
    with expecting(f"{path}: expected lists of [picture row, object number] by category, as in mem_bank.json"):
        bank = {str(name): [tuple(int(number) for number in row) for row in rows] for name, rows in content.items()}
    for name, rows in bank.items():
        for row in rows:
            if len(row) not in (2, 3):
                raise UserError(f"{path}, {name}: expected [picture row, object number(, crop id)], found {list(row)}")
    return bank


def write_bank(path: Path, bank: Bank) -> None:
    """Write a ``mem_bank.json`` file."""
    write_atomically(path, json.dumps(bank).encode())


def export(memory: CropMemory, folder: Path, form: Form = "vg", top: int = TOP) -> int:
    """Write both files for the crops of a memory, numbered in the order of their ids; returns how many there are.

    ``crop_ids.json`` says which number is which of the memory's ids.
    """
    names = sorted(memory.column("id"))
    number = {name: place for place, name in enumerate(names)}
    pictures = {name: place for place, name in enumerate(sorted({name.rpartition("/")[0] for name in names}))}
    bank: Bank = {}
    nearest: dict[int, list[int]] = {}
    for category in sorted(memory.counts):
        rows = memory.rows(category)
        numbers = np.array([number[name] for name in rows.ids])
        bank[category] = [_bank_row(str(name), pictures, number) for name in rows.ids]
        key = next(iter(rows.vectors))
        for row, thing in enumerate(numbers):
            distances = rows.distances(key, rows.vectors[key][row])
            distances[row] = -1.0  # itself first, also where another is the same
            nearest[int(thing)] = numbers[np.argsort(distances, kind="stable")[:top]].tolist()
    write_bank(folder / "mem_bank.json", bank)
    write_nearest(folder / f"top{top}_crop_ids_L2.pickle", NearestCrops(dict(sorted(nearest.items()))), form)
    write_atomically(folder / "crop_ids.json", json.dumps(names).encode())
    return len(names)


def _bank_row(name: str, pictures: Mapping[str, int], number: Mapping[str, int]) -> tuple[int, ...]:
    picture, _, thing = name.rpartition("/")
    return pictures[picture], int(thing) if thing.isdecimal() else 0, number[name]


def _flat(found: object) -> list[int]:
    """Ids in a list, or in a list of one."""
    rows = list(found)  # type: ignore[call-overload]
    return [int(one) for one in (rows[0] if rows and isinstance(rows[0], list | tuple | np.ndarray) else rows)]
