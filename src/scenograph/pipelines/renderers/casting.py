"""Which drawing shows each object of a scene: one that lives where it is, and fits what it rides, holds or sits in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scenograph.data.picture_book.atlas import Entry
from scenograph.data.picture_book.colours import COLOURS
from scenograph.data.picture_book.layers import LIVES_ON, habitats_of
from scenograph.data.picture_book.pairs import Pair, pairs_for
from scenograph.scenes.fields import choice_of
from scenograph.scenes.scene import Relation, Scene, SceneObject

PLACED = frozenset({"on", "standing on", "parked on", "in", "flying in"})
"""Predicates of a thing and the region that it is in."""


@dataclass(frozen=True)
class Seat:
    """Where a guest is on its host."""

    host: int
    """The number of the object."""
    pair: Pair


@dataclass(frozen=True)
class Cast:
    """How the objects of a scene are shown."""

    entries: list[Entry | None]
    """A drawing of each; None for regions."""
    seats: dict[int, Seat]
    """By the number of the guest; hosts that are guests themselves come first."""

    @property
    def turned(self) -> set[int]:
        """The hosts that lie on their sides."""
        return {seat.host for seat in self.seats.values() if seat.pair.turned}

    def order(self, relations: Sequence[Relation]) -> list[tuple[int, str, int]]:
        """The relations between things; those of a guest with its host say which is before the other."""
        things = {number for number, entry in enumerate(self.entries) if entry is not None}
        seated = {frozenset((guest, seat.host)) for guest, seat in self.seats.items()}
        return [
            (one.subject, one.predicate, one.object)
            for one in relations
            if {one.subject, one.object} <= things and frozenset((one.subject, one.object)) not in seated
        ] + [(guest, "in front of" if seat.pair.nearer else "behind", seat.host) for guest, seat in self.seats.items()]


def cast(scene: Scene, seed: int, entries: Mapping[str, Sequence[Entry]]) -> Cast:
    """Choose a drawing of each object. Things of one category mostly look alike; an object's own seed decides its look.

    Args:
        scene: Its boxes do not matter.
        seed: Of the picture.
        entries: What there is to draw with, by category.
    """
    candidates = [_suited(number, scene, entries) for number in range(len(scene.objects))]
    wanted = _wanted_pairs(scene, candidates)
    made = Cast([None] * len(candidates), {})

    def choose(number: int) -> None:
        if made.entries[number] is not None or not candidates[number]:
            return
        found = candidates[number]
        if number in wanted:
            host, pairs = wanted[number]
            choose(host)
            fitting = [(pair, kept) for pair in pairs if (kept := _guests(pair, found, made.entries[host]))]
            if fitting:
                pair, found = fitting[0]
                made.seats[number] = Seat(host, pair)
        for guest, (host, pairs) in wanted.items():
            if host == number:
                found = _hosts(pairs, found, candidates[guest]) or found
        thing = scene.objects[number]
        looks = choice_of(thing.seed, seed, number)
        rng = np.random.default_rng([looks] if isinstance(looks, int) else [looks[0], len(thing.category)])
        made.entries[number] = found[int(rng.integers(len(found)))]

    for number in range(len(candidates)):
        choose(number)
    return made


def colour_of(thing: SceneObject) -> str | None:
    """The colour that is asked for."""
    return next((name for name in thing.attributes if name in COLOURS), None)


def _suited(number: int, scene: Scene, entries: Mapping[str, Sequence[Entry]]) -> list[Entry]:
    """The drawings of an object that live where the scene says that it is, in a colour that can be changed if asked."""
    thing = scene.objects[number]
    found = list(entries.get(thing.category, ()))
    if colour_of(thing) is not None:
        found = [entry for entry in found if entry.drawing.recolour] or found
    regions = [one.category for one in scene.objects if not entries.get(one.category)]
    there = [
        scene.objects[one.object].category
        for one in scene.relations
        if one.subject == number and one.predicate in PLACED and not entries.get(scene.objects[one.object].category)
    ]
    habitats = {habitat for name in there or regions for habitat in habitats_of(name)}
    misfits = [_misfit(entry.drawing.habitat, habitats) for entry in found]
    return [entry for entry, misfit in zip(found, misfits, strict=True) if misfit == min(misfits)]


def _misfit(habitat: str, there: Iterable[str]) -> int:
    """How badly a drawing of this habitat fits a place; 0 is well."""
    if habitat in there:
        return 0
    if any(name in there for name in LIVES_ON.get(habitat, ())):
        return 1
    return 3 if habitat == "snow" else 2  # skiers are seen in the snow only


def _guests(pair: Pair, found: Sequence[Entry], host: Entry | None = None) -> list[Entry]:
    """The drawings that may be the guest of a pair, of this host if it is known."""
    if host is not None and not pair.takes_host(host.drawing):
        return []
    return [entry for entry in found if pair.takes_guest(entry.drawing)]


def _hosts(pairs: Sequence[Pair], found: Sequence[Entry], guests: Sequence[Entry]) -> list[Entry]:
    """The drawings that may be the host of one of these guests in one of the pairs."""
    fitting = [pair for pair in pairs if _guests(pair, guests)]
    return [entry for entry in found if any(pair.takes_host(entry.drawing) for pair in fitting)]


def _wanted_pairs(scene: Scene, candidates: Sequence[Sequence[Entry]]) -> dict[int, tuple[int, Sequence[Pair]]]:
    """By the guest, its host and the pairs that their relation may be. Nothing is its own host's host."""
    wanted: dict[int, tuple[int, Sequence[Pair]]] = {}
    for one in scene.relations:
        guest, host = (one.object, one.subject) if one.predicate == "holding" else (one.subject, one.object)
        if guest in wanted or not candidates[guest] or not candidates[host]:
            continue
        above = host
        while above in wanted and above != guest:
            above = wanted[above][0]
        pairs = pairs_for(scene.objects[guest].category, one.predicate, scene.objects[host].category)
        if above != guest and pairs:
            wanted[guest] = (host, pairs)
    return wanted
