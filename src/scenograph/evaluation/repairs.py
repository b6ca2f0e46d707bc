"""Repairs of a scene whose picture does not show what was asked: what the next round renders, and why.

Each is a small step that is chosen by what is wrong: an object gets other looks, or a larger box, or is painted again
where it is; objects whose relation does not show are placed again; a picture gets another seed, and heeds the layout
more, where nothing smaller helps. Which of these a renderer can do, it says itself. Boxes and seeds that were given
stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from scenograph.evaluation.checking import Findings
from scenograph.pipelines.latents import looks_seed
from scenograph.pipelines.pipeline import Pipeline
from scenograph.scenes.fields import BOX_DECIMALS, Box
from scenograph.scenes.geometry import CONTACTS, is_region
from scenograph.scenes.scene import Scene
from scenograph.scenes.scoring import coverage
from scenograph.scenes.settling import MARGIN, broken, with_box
from scenograph.scenes.text import labels_in_words, numbered

SMALL = 0.2
"""Longer side, as a fraction of the canvas, below which an object that is wrong becomes larger."""
HIDDEN = 0.25
"""Share of an object that another covers from which it comes out, as far as there is room."""
LARGER = (1.0, 1.25, 1.5)
"""By what a box grows at most in one round."""
ASIDE = (0.0, -0.05, 0.05, -0.1, 0.1, -0.2, 0.2)
"""How far a box goes to the side meanwhile, as fractions of the canvas."""

BAND = 0.2
"""Height of a region, as a fraction of the canvas, at which it is well seen."""


@dataclass(frozen=True)
class Plan:
    """What a round renders."""

    scene: Scene
    """Complete. When it was rendered, every object has a box."""
    seed: int
    changes: tuple[str, ...] = ()
    """What is new since the best round before, and why, in words."""
    repaint: tuple[int, ...] = ()
    """Objects that are painted again in the picture of the best round before, which otherwise stays as it is."""
    options: dict[str, Any] = field(default_factory=dict)
    """Those of generation that differ from what was asked for."""


@dataclass(frozen=True)
class Tried:
    """A round that was rendered and checked."""

    plan: Plan
    findings: Findings


class Repairs:
    """Plans rounds for one scene.

    Args:
        pipe: Renders them.
        asked: The scene as it was asked for, without what was completed.
        seed: Of the first picture; all others follow from it.
        options: Of generation.
    """

    def __init__(self, pipe: Pipeline, asked: Scene, seed: int, options: dict[str, Any]) -> None:
        self.pipe, self.asked, self.seed, self.options = pipe, asked, seed, options
        self.movable = [thing.box is None for thing in asked.objects]
        self.names = numbered(labels_in_words(asked))
        self._chosen = pipe.options.changed(**options)

    def first(self) -> Plan:
        """What the first round renders: the picture that the pipeline makes of the scene as it was asked for."""
        return Plan(self._draft(self.seed), self.seed)

    def _draft(self, seed: int) -> Scene:
        """The best of several drafts of a layout, with the looks of the picture of this seed."""
        (scene,) = self.pipe.complete([self.asked], [seed], **self.options)
        return self.pipe.renderer.with_looks([scene], [seed])[0]

    def _settled(self, scene: Scene, seed: int) -> Scene:
        """The scene with boxes that suit the looks of its objects."""
        return self.pipe.renderer.settle([scene], [seed], [self.movable])[0]

    def next(self, tried: Sequence[Tried], best: int) -> Plan:
        """What to render after some rounds, the best of which so far is repaired.

        Where that did not help, another draft is tried before the next repair.
        """
        start, number = tried[best], len(tried)
        if (number - 1 - best) % 2:
            seed = looks_seed(self.seed, f"the draft in round {number}")
            return Plan(self._draft(seed), seed, ("another draft, as the repairs did not help",))
        plan, kept = self._recalled(start, tried)
        wrong = [one for one in start.findings.wrong if one not in kept]
        if (repainted := self._painted_again(plan, start.findings, wrong, tried)) is not None:
            return repainted
        stuck = [one for one in wrong if not self._has_looks(plan.scene, one) and self._times_wrong(one, tried) > 1]
        plan = self._placed_again(plan, start.findings, stuck, number)
        for one in wrong:
            if one not in stuck:
                plan = self._mended(plan, one, start.findings.objects[one].seen, self._times_wrong(one, tried), number)
        same = [one for one in wrong if plan.scene.objects[one].box == start.plan.scene.objects[one].box]
        fixed = [one for one in same if not self._has_looks(plan.scene, one)]
        if fixed or not plan.changes:
            why = f": {', '.join(self.names[one] for one in fixed)} cannot be redrawn alone" if fixed else ""
            seed = looks_seed(self.seed, f"the picture in round {number}")
            plan = replace(plan, seed=seed, changes=(*plan.changes, f"another seed of the picture{why}"))
        plan = self._with_stronger_control(plan, wrong, tried)
        return replace(plan, scene=self._settled(plan.scene, plan.seed))

    def _times_wrong(self, number: int, tried: Sequence[Tried]) -> int:
        return sum(number in one.findings.wrong for one in tried)

    def _has_looks(self, scene: Scene, number: int) -> bool:
        """Whether an object can be redrawn alone."""
        return scene.objects[number].seed is not None and self.asked.objects[number].seed is None

    def _painted_again(
        self, plan: Plan, findings: Findings, wrong: Sequence[int], tried: Sequence[Tried]
    ) -> Plan | None:
        """Objects that cannot be redrawn alone, painted again where they are; None if the renderer can do so with none.

        Those that can be moved are painted again once, before that is tried.
        """
        once = [one for one in wrong if self._times_wrong(one, tried) == 1 or not self.movable[one]]
        wanted = [one for one in once if not self._has_looks(plan.scene, one)]
        numbers = self.pipe.renderer.repaintable(plan.scene, wanted, self._chosen) if wanted else []
        if not numbers:
            return None
        seen = [f"{self.names[one]}: painted again{_before(findings.objects[one].seen)}" for one in numbers]
        seed = looks_seed(self.seed, f"the picture in round {len(tried)}")
        plan = Plan(plan.scene, seed, (*plan.changes, *seen), tuple(numbers))
        return self._with_stronger_control(plan, numbers, tried)

    def _with_stronger_control(self, plan: Plan, wrong: Sequence[int], tried: Sequence[Tried]) -> Plan:
        """The scene decides the picture more, the oftener objects that cannot be redrawn alone were wrong."""
        times = [self._times_wrong(one, tried) for one in wrong if not self._has_looks(plan.scene, one)]
        chosen = self._chosen.changed(repaint=plan.repaint or None)
        options = self.pipe.renderer.stronger(chosen, max(times)) if times else {}
        if not options:
            return plan
        told = (f"{name} {', '.join(one) if isinstance(one, tuple) else one}" for name, one in options.items())
        return replace(plan, options=options, changes=(*plan.changes, f"stronger control: {'; '.join(told)}"))

    def _recalled(self, start: Tried, tried: Sequence[Tried]) -> tuple[Plan, list[int]]:
        """The plan of a round with objects as they were when they were right, and the numbers of these."""
        scene, changes, kept = start.plan.scene, [], []
        for number in start.findings.wrong:
            right = [n for n, one in enumerate(tried) if one.findings.objects[number].right]
            if not right or not self._has_looks(scene, number):
                continue
            like = _with_object_of(scene, tried[right[0]].plan.scene, number)
            if not broken(like) - broken(scene):
                scene = like
                changes.append(f"{self.names[number]}: as in round {right[0] + 1}, where it was right")
                kept.append(number)
        return Plan(scene, start.plan.seed, tuple(changes)), kept

    def _placed_again(self, plan: Plan, findings: Findings, stuck: Sequence[int], number: int) -> Plan:
        """Places objects again: right ones whose relation does not show, and those that are stuck."""
        if self.pipe.layout is None:
            return plan
        ends = {one for one in stuck if self.movable[one]}
        for relation, verdict in zip(plan.scene.relations, findings.relations, strict=True):
            both = {relation.subject, relation.object}
            if verdict.right is False and all(findings.objects[one].right is not False for one in both):
                ends |= {one for one in both if self.movable[one]}
        if not ends:
            return plan
        objects = list(plan.scene.objects)
        for one in ends:
            objects[one] = replace(objects[one], box=None, mask=None)
        seed = looks_seed(self.seed, f"the layout in round {number}")
        (placed,) = self.pipe.complete([replace(plan.scene, objects=tuple(objects))], [seed], **self.options)
        why = "as nothing else helped" if ends <= {*stuck} else "as a relation does not show"
        told = f"{', '.join(self.names[one] for one in sorted(ends))}: placed again, {why}"
        return replace(plan, scene=placed, changes=(*plan.changes, told))

    def _mended(self, plan: Plan, number: int, seen: str, times: int, round_number: int) -> Plan:
        """A wrong object with other looks, and a larger or freer box if it is small or hidden, or was wrong before."""
        scene, done = plan.scene, []
        if self.movable[number]:
            roomy = with_more_room(scene, number) if times > 1 or is_cramped(scene, number) else None
            seen_more = with_region_seen(scene, number)
            if roomy is not None or seen_more is not None:
                scene = roomy or seen_more or scene
                done.append("a larger or freer box" if roomy else "a box that no nearer region hides")
        if self._has_looks(scene, number):
            seed = looks_seed(self.seed, f"{number} in round {round_number}")
            scene = scene.replace_object(number, seed=seed)
            done.append("other looks")
        if not done:
            return plan
        told = f"{self.names[number]}: {' and '.join(done)}{_before(seen)}"
        return replace(plan, scene=scene, changes=(*plan.changes, told))


def _before(seen: str) -> str:
    """What the checker saw in the round that is repaired, so that nobody takes it for what the new one shows."""
    return f" (before: {seen or 'not right'})"


def is_cramped(scene: Scene, number: int) -> bool:
    """Whether an object is small, or largely hidden by another."""
    x0, y0, x1, y1 = _box(scene, number)
    return max(x1 - x0, y1 - y0) < SMALL or bool(_covered(scene)[number] > HIDDEN)


def with_more_room(scene: Scene, number: int) -> Scene | None:
    """The scene with a larger box for a thing, or one that is less hidden, on the same foot; None if there is no room.

    No relation that held breaks, and things do not cover each other more than before, in sum. What is asked for as
    small does not grow, and what touches another thing stays with it.
    """
    box, before, wrong = _box(scene, number), _covered(scene), broken(scene)
    if is_region(np.array(box)) or _touches(scene, number):
        return None
    scales = LARGER[:1] if "small" in scene.objects[number].attributes else LARGER
    found: Scene | None = None
    best = bool(before[number] > HIDDEN), -1.0, float(before.sum()), 0.0
    for scale, aside in product(scales, ASIDE):
        larger = _scaled(box, scale, aside)
        if larger is None or is_region(np.array(larger)):
            continue
        moved = with_box(scene, number, larger)
        after = _covered(moved)
        key = bool(after[number] > HIDDEN), -scale, float(after.sum()), abs(aside)
        if key < best and after.sum() <= before.sum() + 1e-6 and not broken(moved) - wrong:
            best, found = key, moved
    return found


def with_region_seen(scene: Scene, number: int) -> Scene | None:
    """The scene with the box of a region that ends where nearer regions begin, and is high enough to be seen.

    None if it is no region, no other hides much of it, or a relation that held would break. Regions that begin lower in
    the picture are nearer.
    """
    box = x0, y0, x1, y1 = _box(scene, number)
    boxes = np.array([thing.box for thing in scene.objects])
    near = is_region(boxes) & (boxes[:, 1] > y0) & (np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0) > 0)
    if not is_region(np.array(box)) or not near.any():
        return None
    edge = min(float(boxes[near, 1].min()) + 2 * MARGIN, y1)
    if edge - y0 > (1 - HIDDEN) * (y1 - y0):
        return None
    for top in (min(y0, max(edge - BAND, 0.0)), y0):
        moved = with_box(scene, number, (x0, round(top, BOX_DECIMALS), x1, round(edge, BOX_DECIMALS)))
        if not broken(moved) - broken(scene):
            return moved
    return None


def _scaled(box: Box, scale: float, aside: float) -> Box | None:
    """A box that grew on its foot and went aside, pushed onto the canvas; None if it does not fit on it."""
    x0, y0, x1, y1 = box
    width, height = scale * (x1 - x0), scale * (y1 - y0)
    if width > 1 or height > y1:
        return None
    left = min(max((x0 + x1 - width) / 2 + aside, 0.0), 1.0 - width)
    return (
        round(left, BOX_DECIMALS),
        round(y1 - height, BOX_DECIMALS),
        round(left + width, BOX_DECIMALS),
        y1,
    )


def _box(scene: Scene, number: int) -> Box:
    box = scene.objects[number].box
    assert box is not None, "every object has a box"
    return box


def _touches(scene: Scene, number: int) -> bool:
    """Whether a relation has an object touch another thing, not a region."""
    touching = CONTACTS.keys() - {"next to"}
    ends = [{one.subject, one.object} for one in scene.relations if one.predicate in touching]
    others = {other for pair in ends if number in pair for other in pair - {number}}
    return any(not is_region(np.array(_box(scene, other))) for other in others)


def _covered(scene: Scene) -> np.ndarray:
    """The share of each object that another covers which it does not touch, (O,)."""
    boxes = np.array([thing.box for thing in scene.objects])
    touching = [(one.subject, one.object) for one in scene.relations if one.predicate in CONTACTS]
    return coverage(boxes, np.zeros(len(boxes), dtype=int), np.array(touching, dtype=int).reshape(-1, 2))


def _with_object_of(scene: Scene, other: Scene, number: int) -> Scene:
    """A scene with an object of another one in the place of its own."""
    objects = list(scene.objects)
    objects[number] = other.objects[number]
    return replace(scene, objects=tuple(objects))
