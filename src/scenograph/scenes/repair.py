"""Relations that contradict each other, with what to leave out so that the others can hold."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scenograph.scenes.canonical import contradictions
from scenograph.scenes.scene import Scene
from scenograph.scenes.solver import contradiction


@dataclass(frozen=True)
class Repair:
    """A minimal set of relations that contradict each other, by number, and one of them to leave out."""

    relations: list[int]
    left_out: int


def repairs(scene: Scene, most: int = 8) -> list[Repair]:
    """What contradicts in a scene graph, whatever its boxes; without all that is left out, the others can hold.

    Of each minimal contradiction the relation is left out that others outvote
    (:func:`~scenograph.scenes.canonical.outvoted`), or else the one that was stated last.

    Args:
        scene: Its boxes do not matter.
        most: Contradictions to look for. If there are more, those found do not repair all.
    """
    outvoted = set(contradictions(scene.relations)[0])
    numbers = list(range(len(scene.relations)))
    graph = replace(scene, objects=tuple(replace(thing, box=None, mask=None) for thing in scene.objects))
    found: list[Repair] = []
    while len(found) < most:
        held = replace(graph, relations=tuple(scene.relations[number] for number in numbers))
        if not (together := [numbers[place] for place in contradiction(held)]):
            break
        found.append(Repair(together, max(together, key=lambda number: (number in outvoted, number))))
        numbers.remove(found[-1].left_out)
    return found
