"""Does repairing help more than drawing lots? ``scenograph compose`` against the best of as many pictures.

    python benchmarks/compose.py --pack packs/picture-book --judge runs/judge/model [--strip strip.png]

Scenes of 8 to 12 objects of the split ``test``, given as graphs. After each round: the share of objects and relations
that are right in the best picture so far, by the checker whose verdicts it was repaired or chosen by, and by a judge, a
classifier that neither saw. The other way takes the best of as many pictures that ``scenograph generate`` renders, each
of another seed. Both end when the checker finds nothing wrong; what they rendered is counted. Seconds are of the
processor.

--strip draws the rounds of the scene that gained most, with the checker's verdicts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from scenograph import Pipeline, Scene, SceneObject
from scenograph.data.picture_book.textures import TEXTURES
from scenograph.evaluation.checking import Checker, ClassifierChecker, Findings, count_right
from scenograph.evaluation.composing import Composition, Round, compose
from scenograph.evaluation.composing_report import draw_verdicts
from scenograph.evaluation.repairs import Plan
from scenograph.evaluation.split import Split
from scenograph.evaluation.tools import Tools
from scenograph.scenes.drawing import contact_sheet

OBJECTS = range(8, 13)
ENGINES = ("collage", "mise-layers-picture-book-128")
OTHER_SEEDS = 1000
"""From one seed of a scene to the next, in the other way."""


def main() -> None:
    """Print a table for each engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--judge", help="a classifier that nothing was repaired by")
    parser.add_argument("--image", action="append", help=f"an engine; repeatable (default: {', '.join(ENGINES)})")
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--strip", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    scenes = list(islice(large_scenes(options.pack), options.scenes))
    checkers = [
        ClassifierChecker(Tools(classifier_name=name).load_classifier(_names(scenes)))
        for name in (None, options.judge)[: 1 + bool(options.judge)]
    ]
    print(f"{len(scenes)} scenes, {sum(len(scene.objects) for scene in scenes)} objects, "
          f"{sum(len(scene.relations) for scene in scenes)} relations")  # fmt: skip
    print("| engine | | pictures | s per scene |" + " objects | things | relations |" * len(checkers))
    print("|---" * (4 + 3 * len(checkers)) + "|")
    for image in options.image or ENGINES:
        pipe = Pipeline.from_pretrained(layout="mise-layout-picture-book", image=image)
        both = [both_ways(scene, pipe, checkers[0], options.rounds, seed) for seed, scene in enumerate(scenes)]
        made = [one.made for one in both]
        report(image, "repaired", [one.rounds for one in made], [one.seconds for one in both], checkers, options.rounds)
        plain, spent = [one.plain for one in both], [one.seconds_plain for one in both]
        report(image, "best of", plain, spent, checkers, options.rounds)
        if options.strip is not None:
            draw_strip(max(made, key=gain), options.strip.with_stem(f"{options.strip.stem}-{Path(image).name}"))


def large_scenes(pack: Path) -> Iterator[Scene]:
    """Graphs of a pack with as many objects as are wanted and a relation."""
    return (one for one in Split.of(pack, "test").scenes() if len(one.objects) in OBJECTS and one.relations)


def _names(scenes: Sequence[Scene]) -> list[str]:
    return list(dict.fromkeys(thing.category for scene in scenes for thing in scene.objects))


@dataclass(frozen=True)
class Both:
    """A scene in both ways."""

    made: Composition
    plain: list[Round]
    seconds: float
    seconds_plain: float


def both_ways(scene: Scene, pipe: Pipeline, checker: Checker, most: int, seed: int) -> Both:
    """Rounds of repairs; and pictures of several seeds, until one has nothing wrong."""
    began = time.process_time()
    made = compose(scene, pipe, checker, most, seed)
    between = time.process_time()
    plain: list[Round] = []
    while len(plain) < most and not (plain and plain[-1].findings.all_right):
        other = seed + OTHER_SEEDS * len(plain)
        drawn = pipe(scene, seeds=[other])
        plan = Plan(drawn.scenes[0], other)
        plain.append(Round(plan, checker.check(drawn.images[0], plan.scene, other), drawn.images[0]))
    return Both(made, plain, between - began, time.process_time() - between)


def best_after(rounds: Sequence[Round], number: int) -> Round:
    """The best of the first rounds by the checker."""
    return max(rounds[:number], key=lambda one: one.findings.score)


def report(
    image: str,
    way: str,
    made: Sequence[Sequence[Round]],
    seconds: Sequence[float],
    checkers: Sequence[Checker],
    most: int,
) -> None:
    """A row for each number of pictures."""
    for number in range(1, most + 1):
        best = [best_after(rounds, number) for rounds in made]
        pictures = np.mean([len(rounds[:number]) for rounds in made])
        cells = [image, f"{way} {number}", f"{pictures:.2f}", f"{np.mean(seconds):.2f}" if number == most else ""]
        for place, checker in enumerate(checkers):
            found = [one.findings if place == 0 else judged(one, checker) for one in best]
            things = [
                [
                    verdict
                    for thing, verdict in zip(one.plan.scene.objects, seen.objects, strict=True)
                    if is_thing(thing)
                ]
                for one, seen in zip(best, found, strict=True)
            ]
            cells += [share([seen.objects for seen in found]), share(things), share([seen.relations for seen in found])]
        print(f"| {' | '.join(cells)} |", flush=True)


def is_thing(thing: SceneObject) -> bool:
    """Whether an object is none of the regions of the backdrop."""
    return thing.category not in TEXTURES


def judged(one: Round, checker: Checker) -> Findings:
    """What another checker finds in a round's picture."""
    return checker.check(one.picture, one.plan.scene, one.plan.seed)


def share(verdicts: Sequence[Sequence[object]]) -> str:
    """The share that is right of all, in per cent, with its standard error by bootstrap over scenes."""
    counts = np.array([count_right(each) for each in verdicts], dtype=float)  # type: ignore[arg-type]
    rows = np.random.default_rng(0).integers(len(counts), size=(1000, len(counts)))
    right, told = counts[rows].sum(axis=1).T
    whole = counts.sum(axis=0)
    return f"{100 * whole[0] / whole[1]:.1f} ± {100 * (right / told).std():.1f}"


def gain(made: Composition) -> tuple[bool, float]:
    """How much better the picture that is kept is than the first one; compositions of all rounds first."""
    return made.best == len(made.rounds) - 1 > 1, made.findings.score[0] - made.rounds[0].findings.score[0]


def draw_strip(made: Composition, path: Path) -> None:
    """The rounds of a composition side by side, with verdicts, and below what was changed."""
    shown = [draw_verdicts(one.picture, one.plan.scene, one.findings.objects, 384) for one in made.rounds]
    captions = [f"round {number}: {one}" for number, one in enumerate(made.rounds, start=1)]
    contact_sheet(shown, len(shown), 8, captions).save(path)
    for number, one in enumerate(made.rounds, start=1):
        print(f"round {number}: {'; '.join(one.plan.changes)}")


if __name__ == "__main__":
    main()
