"""Vocabularies that ship with the package, and the published index tables that go with them."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from scenograph.data.clevr import VOCABULARY as CLEVR
from scenograph.data.pack import read_vocabulary
from scenograph.errors import UserError, suggest
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.vocabulary import IMAGE_CATEGORY, IN_IMAGE_PREDICATE, Vocabulary

NAMES = ("clevr", "coco-stuff")
LABEL_MAPS = ("ade20k", "cityscapes")
"""Data sets whose classes have names here: ADE20K's 150 of scene parsing (Zhou et al. 2017), Cityscapes' 35 (Cordts et
al. 2016)."""


def shipped_vocabulary(name: str) -> Vocabulary:
    """``clevr``, or ``coco-stuff``: the 80 things, 91 stuffs and ``other`` of COCO with sg2im's six predicates."""
    if name == "clevr":
        return CLEVR
    if name == "coco-stuff":
        return Vocabulary(tuple(_table("coco-stuff")["categories"]), SG2IM_PREDICATES)
    raise UserError(f"no vocabulary {name!r} {suggest(name, NAMES)}")


def coco_ids() -> dict[str, int]:
    """COCO-Stuff's category ids (1 to 183, with gaps) by name: the indices of sg2im's and LAMA's checkpoints."""
    table = _table("coco-stuff")
    return dict(zip(table["categories"], table["coco_ids"], strict=True))


def coco_vocabulary_by_id() -> Vocabulary:
    """COCO-Stuff's categories indexed by their ids, with ``NONE`` in the gaps and ``__image__`` at 0: 184 in all."""
    names = {index: name for name, index in coco_ids().items()}
    categories = (IMAGE_CATEGORY, *(names.get(index, "NONE") for index in range(1, max(names) + 1)))
    return Vocabulary(categories, (IN_IMAGE_PREDICATE, *SG2IM_PREDICATES))


def vocabulary_of(source: str) -> Vocabulary:
    """The vocabulary that a value of ``--vocabulary`` names.

    Args:
        source: ``coco-stuff`` (by COCO's ids), one of :data:`LABEL_MAPS`, a pack's folder, or a JSON file.

    Raises:
        UserError: It is none of these.
    """
    path = Path(source)
    if source == "coco-stuff":
        return coco_vocabulary_by_id()
    if source in LABEL_MAPS:
        return Vocabulary(tuple(_table(source)), SG2IM_PREDICATES)
    if path.is_dir():
        return read_vocabulary(path)
    try:
        return Vocabulary.load(path)
    except UserError as error:
        raise UserError(
            f"vocabulary {source}: neither coco-stuff, ade20k, cityscapes, a pack, nor a readable JSON file ({error})"
        ) from error


def class_names(source: str) -> list[str]:
    """The name of each number in label maps, by a ``source`` of :func:`vocabulary_of`, whose errors it raises."""
    if source == "ade20k":  # whose maps number the classes from 1
        return ["unlabeled", *_table(source)]
    return [name for name in vocabulary_of(source).categories if name != IMAGE_CATEGORY]


def coco_validation_ids() -> frozenset[int]:
    """The 1,024 pictures of val2017 that validate in Canonical Sg2Im (Herzig et al. 2020); the others test."""
    return frozenset(_table("coco-wsgc-validation"))


@cache
def _table(name: str) -> Any:
    return json.loads((files("scenograph") / "data" / "tables" / f"{name}.json").read_text(encoding="utf-8"))
