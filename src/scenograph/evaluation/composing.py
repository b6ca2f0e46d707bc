"""Compose a picture in rounds: draft a layout, render, check every object and relation, repair what is wrong, repeat.

>>> pipe = Pipeline.from_pretrained(layout="mise-layout-picture-book", image="collage")
>>> checker = ClassifierChecker(AutoModel.from_pretrained("object-classifier-picture-book"))
>>> compose("a sheep and a cow on grass", pipe, checker).picture
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scenograph.errors import UserError, counted
from scenograph.evaluation.checking import Checker, Findings, count_right
from scenograph.evaluation.repairs import Plan, Repairs, Tried
from scenograph.files import make_folder, would_replace, write_atomically
from scenograph.pipelines.given import SceneLike
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pipelines.provenance import RecordedImage, Request, png_bytes
from scenograph.scenes.fields import LARGEST_OBJECT_SEED
from scenograph.scenes.scene import Scene

ROUNDS = 3
MOST_ROUNDS = 1000

Progress = Callable[[int], None]
"""Told the number of rounds that are done."""


@dataclass(frozen=True)
class Round(Tried):
    """A round with its picture, which ``scenograph generate`` makes again from its record."""

    picture: RecordedImage

    def __str__(self) -> str:
        """What is right, in words."""
        (objects, of), (relations, all_relations) = map(count_right, (self.findings.objects, self.findings.relations))
        right = [f"{objects} of {counted(of, 'object')}"] if of else []
        right += [f"{relations} of {counted(all_relations, 'relation')}"] if all_relations else []
        return f"{' and '.join(right)} right" if right else "nothing could be told"


@dataclass(frozen=True)
class Composition:
    """What came of a scene: every round, and which one is kept."""

    asked: Scene
    rounds: list[Round]
    best: int
    """The number, from 0, of the round that is kept: the best, of equally good ones the first."""
    checker: str

    @property
    def picture(self) -> RecordedImage:
        """That of the round that is kept."""
        return self.rounds[self.best].picture

    @property
    def scene(self) -> Scene:
        """What that picture shows, complete."""
        return self.rounds[self.best].plan.scene

    @property
    def findings(self) -> Findings:
        """What the checker found in it."""
        return self.rounds[self.best].findings

    def __repr__(self) -> str:
        made = counted(len(self.rounds), "round")
        return f"<Composition: {made}, round {self.best + 1} kept: {self.rounds[self.best]}>"

    def _repr_png_(self) -> bytes:
        """The picture, as notebooks show it."""
        return png_bytes(self.picture, self.picture.record, self.picture.shown)

    def save(
        self, folder: str | Path, stem: str = "composed", overwrite: bool = False, request: str = ""
    ) -> list[Path]:
        """Write the picture that is kept, that of each round, and the report as a page and as Markdown.

        Args:
            folder: Made if it is missing.
            stem: How the names begin: ``<stem>.png``, ``<stem>-round1.png``, ``<stem>.html``, ``<stem>.md``.
            overwrite: Replace other files of these names.
            request: A text that the pictures hold, which says what they were composed for. Whoever finds it in the
                picture that is kept, which is written last, knows that all is there.

        Returns:
            The paths, the picture first.

        Raises:
            UserError: If a file would be replaced, or cannot be written.
        """
        from scenograph.evaluation.composing_report import as_html, as_markdown  # which shows compositions

        kept = []
        for number, one in enumerate(self.rounds, start=1):
            picture = png_bytes(one.picture, one.picture.record, one.picture.shown, request)
            kept.append((f"{stem}-round{number}.png", picture))
        kept.insert(0, (f"{stem}.png", kept[self.best][1]))
        kept += [(f"{stem}.html", as_html(self, stem).encode()), (f"{stem}.md", as_markdown(self, stem).encode())]
        files = [(make_folder(Path(folder)) / name, content) for name, content in kept]
        for path, content in files:
            if not overwrite and path.exists() and path.read_bytes() != content:
                raise would_replace(path)
        if overwrite:  # further rounds of a composition that had more
            for path in Path(folder).glob(f"{glob.escape(stem)}-round*.png"):
                if path not in dict(files):
                    path.unlink()
        return [write_atomically(path, content) for path, content in reversed(files)][::-1]


def compose(
    scene: SceneLike,
    pipeline: Pipeline,
    checker: Checker,
    rounds: int = ROUNDS,
    seed: int = 0,
    progress: Progress = lambda done: None,
    **options: Any,
) -> Composition:
    """Compose a picture of one scene.

    The first round is the picture that the pipeline makes of the scene and seed. Each further round repairs
    what the checker found wrong in the best one so far. It ends when nothing is wrong, or after ``rounds``; the best
    round is kept, so more rounds are never worse for the checker. The same arguments give the same picture.

    Args:
        scene: As a call of the pipeline takes it. Boxes and seeds of objects that it has are kept.
        pipeline: What renders; that without named models chooses them by the names in the scene.
        checker: What looks at the pictures.
        rounds: Pictures rendered at most, from 1; :class:`ProbesChecker` renders more to check each.
        seed: From which all seeds follow.
        progress: Told after each round.
        **options: Of :class:`~scenograph.pipelines.options.GenerateOptions`.

    Raises:
        UserError: As a call of the pipeline, for several scenes at once, and for a wrong number of rounds or seed.
    """
    if isinstance(rounds, bool) or not isinstance(rounds, int) or not 1 <= rounds <= MOST_ROUNDS:
        raise UserError(f"rounds {rounds}: give a whole number from 1 to {MOST_ROUNDS}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_OBJECT_SEED:
        raise UserError(f"seed {seed}: give a whole number from 0 to {LARGEST_OBJECT_SEED}")
    pipe = pipeline.choose(scene)
    chosen = pipe.options.changed(**options)
    read = pipe.read(scene, chosen.refine, chosen.keep_contradictions)
    if len(read) > 1:
        raise UserError(f"{len(read)} scenes: compose one at a time")
    repairs = Repairs(pipe, read[0], seed, options)
    found = [_rendered(pipe, repairs.first(), [], checker, options)]
    best = 0
    progress(1)
    while len(found) < rounds and not found[best].findings.all_right:
        plan = repairs.next(found, best)
        painted_on = {"start": found[best].picture, "repaint": plan.repaint, "strength": 1.0} if plan.repaint else {}
        found.append(_rendered(pipe, plan, found, checker, options | plan.options | painted_on))
        if found[-1].findings.score > found[best].findings.score:
            best = len(found) - 1
        progress(len(found))
    return Composition(read[0], found, best, checker.name)


def _rendered(pipe: Pipeline, plan: Plan, before: Sequence[Round], checker: Checker, options: dict[str, Any]) -> Round:
    """A round: its picture, with the record that makes it again, and what the checker finds in it."""
    encoding = pipe.encode_pairs([plan.scene], [plan.seed], **options)
    (image,), (shown,) = pipe.render(encoding), encoding.scenes
    chosen = pipe.options.changed(**options)
    request = Request([plan.scene], [plan.seed], pipe.names, chosen, digests=pipe.digests(chosen))
    picture = RecordedImage.of(image, request.record(0, plan.seed), shown)
    picture.filename = f"round {len(before) + 1}"  # as records name a picture that others start from
    plan = replace(plan, scene=_boxed(plan.scene, shown))
    return Round(plan, checker.check(image, plan.scene, plan.seed), picture)


def _boxed(scene: Scene, shown: Scene) -> Scene:
    """The scene with the boxes that its picture shows, where the renderer places objects itself."""
    boxed = zip(scene.objects, shown.objects, strict=True)
    return replace(scene, objects=tuple(replace(one, box=one.box or other.box) for one, other in boxed))
