"""The time of one layout and one picture by shipped models, on one thread, with what is constant computed once.

    python benchmarks/mise.py [--repeats 8]

Mise's flows ask their network dozens of times about the same scene. What is the same each time (names, relations, who
attends to whom, the painted map) is computed once; the column before has the same flow through ``velocity``, which
computes it each time. Both are of one run, and their results are compared. Times are of the processor, the least of
some, as the machine may have other work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from scenograph.models.base import noise, noise_per_object
from scenograph.models.mise import Mise
from scenograph.models.mise_layout import MiseLayout
from scenograph.models.registry import AutoModel
from scenograph.pipelines.latents import seeded_generators
from scenograph.pipelines.placing import batch_for, place_objects
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scene import Scene
from scenograph.scenes.scoring import layout_costs

SCENES = [
    {
        "objects": ["sky-other", "grass", "tree", "sheep", "cow", "house"],
        "relationships": [
            [0, "above", 1],
            [2, "behind", 3],
            [3, "standing on", 1],
            [4, "right of", 3],
            [5, "left of", 2],
        ],
    },
    {"objects": ["sheep", "grass", "tree"], "relationships": [[0, "standing on", 1], [2, "behind", 0]]},
    {
        "objects": ["tree", "cow", "grass", "house", "sky-other"],
        "relationships": [[1, "right of", 0], [3, "left of", 1], [4, "above", 2], [1, "standing on", 2]],
    },
]
"""The first is the one that is timed."""
CANDIDATES = (1, 2, 4, 8)


def main() -> None:
    """Print a line for each layout and picture, and what candidates cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=8)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    layout = cast(MiseLayout, AutoModel.from_pretrained("mise-layout-picture-book").for_inference())
    scenes = [Scene.from_dict(scene) for scene in SCENES]
    print("| | each time, ms | once, ms | ratio | largest difference |\n|---|---|---|---|---|")
    with torch.inference_mode():
        for count in CANDIDATES:
            batch = batch_for(layout, scenes[:1]).repeated(count)
            report(
                f"layout of {len(scenes[0].objects)} objects, candidates: {count}",
                partial(heun, layout, batch),
                partial(placed, layout, batch),
                repeats,
            )
        image = cast(Mise, AutoModel.from_pretrained("mise-rendered-64").for_inference())
        condition = torch.randn((1, image.config.layout_channels, *image.config.image_size))
        for steps in (8, 2):
            report(
                f"picture of 64 px, steps: {steps}",
                partial(euler, image, condition, steps),
                partial(drawn, image, condition, steps),
                repeats,
            )
    milliseconds, _ = least(lambda seed: place_objects(layout, scenes[:1], [seed]), repeats)
    print(f"\nplacing, with reading, scoring and settling: {milliseconds:.0f} ms")
    print_costs(layout, scenes)


def seeds_of(batch: SceneBatch, seed: int) -> list[torch.Generator]:
    """One generator for all candidates of a scene, as :meth:`MiseLayout.candidates` has it."""
    return seeded_generators([seed], "layout") * batch.num_images


def placed(model: MiseLayout, batch: SceneBatch, seed: int) -> Tensor:
    """A layout."""
    return model.place(batch, seeds_of(batch, seed)).boxes


def drawn(model: Mise, condition: Tensor, steps: int, seed: int) -> Tensor:
    """Pictures."""
    return model.render(condition, seeded_generators([seed], "picture"), steps)


def heun(model: MiseLayout, batch: SceneBatch, seed: int) -> Tensor:
    """A layout by asking for the velocity of a batch of which nothing is known."""
    known = batch.known_boxes
    x = noise_per_object(4, batch, seeds_of(batch, seed))
    for now, later in pairwise(torch.linspace(0, 1, model.config.steps + 1).tolist()):
        slope = model.velocity(x, torch.full((batch.num_images,), now), known, batch)
        if later < 1:
            ahead = x + (later - now) * slope
            slope = (slope + model.velocity(ahead, torch.full((batch.num_images,), later), known, batch)) / 2
        x = x + (later - now) * slope
    return model.destandardize(x)


def euler(model: Mise, condition: Tensor, steps: int, seed: int) -> Tensor:
    """Pictures by asking for the velocity."""
    x = noise((3, *condition.shape[2:]), len(condition), seeded_generators([seed], "picture"), condition.device)
    for now, later in pairwise(torch.linspace(0, 1, steps + 1).tolist()):
        x = x + (later - now) * model.velocity(x, torch.full((len(x),), now), condition)
    return x.clamp(-1, 1)


def report(name: str, before: Callable[[int], Tensor], after: Callable[[int], Tensor], repeats: int) -> None:
    """Time both by turns, and print their ratio and how far apart their results are."""
    slow, fast, apart = [], [], 0.0
    for seed in range(repeats):
        (old, expected), (new, found) = least(before, 1, seed), least(after, 1, seed)
        slow.append(old)
        fast.append(new)
        apart = max(apart, float((found - expected).abs().max()))
    ratio = min(slow) / min(fast)
    print(f"| {name} | {min(slow):.0f} | {min(fast):.0f} | {ratio:.2f} | {apart:.1e} |", flush=True)


def least(work: Callable[[int], Any], repeats: int, seed: int = 0) -> tuple[float, Any]:
    """The least processor time of a piece of work, in milliseconds, over some seeds, and its last result."""
    spent, result = [], None
    for number in range(seed, seed + repeats):
        began = time.process_time()
        result = work(number)
        spent.append(1000 * (time.process_time() - began))
    return min(spent), result


def print_costs(model: MiseLayout, scenes: list[Scene], seeds: int = 20) -> None:
    """The mean cost of the best of some candidates, over scenes and seeds."""
    costs = []
    for scene in scenes:
        batch = batch_for(model, [scene] * seeds)
        with torch.inference_mode():
            sampled = model.candidates(batch, max(CANDIDATES), seeded_generators(range(seeds), "layout"))
        costs.append(np.stack([layout_costs(one.boxes, batch, model.vocabulary) for one in sampled]))
    every = np.concatenate(costs, axis=1)  # (candidates, scenes * seeds)
    told = ", ".join(f"{every[:count].min(axis=0).mean():.3f} of {count}" for count in CANDIDATES)
    print(f"mean cost of the best (a broken relation costs 1): {told}")


if __name__ == "__main__":
    main()
