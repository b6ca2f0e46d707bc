"""An index of made-up scenes: scenes written per second, time of a query, resident memory; the index against no index.

python benchmarks/search.py --scenes 10000

Scenes have three to eight objects of 200 categories, some common and most rare, anywhere on the canvas. Queries are
parts of such scenes, moved a little. Times are of the processor, of all threads together; resident memory is the
process's highest so far.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenograph.retrieval.scene_build import Parts, index_vectors, table_of, write_index
from scenograph.retrieval.scene_index import RECORD, SceneIndexRecord
from scenograph.retrieval.scene_rows import LAYOUT, SceneRow
from scenograph.retrieval.scene_search import CANDIDATES, SceneIndex
from scenograph.retrieval.scene_vectors import encode_layouts, settings_digest
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

CATEGORIES, PICTURES, QUERIES, TOP, PART = 200, 100, 20, 20, 2000
SIDE = 128
"""Of the pictures, in pixels."""
MOVED = 0.03
"""How far queries are from the scenes that they are taken from, in sides of the canvas."""


class Scenes(Parts):
    """Tables of made-up scenes, as many as are wanted. No model has encoded them."""

    def __init__(self, count: int) -> None:
        super().__init__([])
        self.count = count
        self.seconds = 0.0
        """Spent on making up pictures and scenes, which is not the index's."""

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, self.count, PART):
            began = time.process_time()
            rows = [row(number) for number in range(start, min(start + PART, self.count))]
            self.seconds += time.process_time() - began
            yield table_of(rows).combine_chunks()


def main() -> None:
    """Write an index, query it, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder) / "index", options.scenes)


def measure(folder: Path, count: int) -> None:
    """All figures, first of the comparison with all scenes, then of LanceDB's index."""
    names = Vocabulary(tuple(f"thing {number}" for number in range(CATEGORIES)), ("left of",))
    record = SceneIndexRecord(
        source="made up", pack="", split="train", pack_digest="", state="", layout=settings_digest(), scenes=count,
        names=names.to_dict(), categories={}, licences={}, exact=True,
    )  # fmt: skip
    scenes = Scenes(count)
    seconds = timed(lambda: write_index(folder, folder.with_name("t"), record, scenes)) - scenes.seconds
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{count} scenes written at {count / seconds:.0f} a second, {size / count:.0f} bytes each; {resident()}")
    exact = SceneIndex.open(folder)
    queries = [query(number * count // QUERIES) for number in range(QUERIES)]
    vectors = [encode_layouts([one], exact.weights)[0] for one in queries]
    nearest = measure_queries(exact, queries, vectors)
    seconds = timed(lambda: index_vectors(exact.table, exact.record))
    print(f"LanceDB's index of the vectors built in {seconds:.0f} s")
    (folder / RECORD).write_text(exact.record.model_copy(update={"exact": False}).model_dump_json())
    found = measure_queries(SceneIndex.open(folder), queries, vectors)
    for wanted in (TOP, CANDIDATES):
        recall = np.mean([np.isin(one[:wanted], other).mean() for one, other in zip(nearest, found, strict=True)])
        print(f"  of the nearest {wanted}, the index finds {recall:.3f}")


def measure_queries(index: SceneIndex, queries: list[Scene], vectors: list[np.ndarray]) -> list[np.ndarray]:
    """Time of queries, and the candidates of each."""
    count = len(index)
    index.nearest(LAYOUT, vectors[0], CANDIDATES)
    index.search(queries[0], TOP)
    found: list[np.ndarray] = []
    near = timed(lambda: found.extend(index.nearest(LAYOUT, vector, CANDIDATES) for vector in vectors))
    first: list[int] = []
    whole = timed(lambda: first.extend(index.search(one, TOP)[0].stored.number for one in queries))
    right = np.mean([number == place * count // QUERIES for place, number in enumerate(first)])
    kind = "compared with all" if index.record.exact else "by LanceDB's index"
    print(f"  {kind}: candidates in {1000 * near / QUERIES:.1f} ms, the whole search {1000 * whole / QUERIES:.0f} ms")
    print(f"  the scene that a query was taken from comes first: {right:.2f}; {resident()}")
    return found


def row(number: int) -> SceneRow:
    """A made-up scene and a picture of it, always the same for a number."""
    rng = np.random.default_rng(number)
    scene = scene_of(rng)
    columns = {
        "categories": [thing.category for thing in scene.objects],
        "attributes": [[] for _ in scene.objects],
        "boxes": [list(thing.box or ()) for thing in scene.objects],
        "relation_ends": [],
        "relation_predicates": [],
    }
    return SceneRow(columns, scene, f"scene{number}", "MIT", "Someone", picture(number % PICTURES))


@lru_cache
def picture(number: int) -> Image.Image:
    """A made-up picture."""
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((SIDE, SIDE))


def scene_of(rng: np.random.Generator) -> Scene:
    """Objects, the common categories more often."""
    objects = []
    for _ in range(int(rng.integers(3, 9))):
        low, sides = rng.uniform(0, 0.7, 2), rng.uniform(0.1, 0.3, 2)
        box = (*low.tolist(), *(low + sides).tolist())
        objects.append(SceneObject(f"thing {int(CATEGORIES * rng.random() ** 3)}", (), box))
    return Scene(tuple(objects))


def query(number: int) -> Scene:
    """Three objects of a scene, moved a little."""
    rng = np.random.default_rng(number)
    objects = []
    for thing in scene_of(rng).objects[:3]:
        assert thing.box is not None
        move = rng.normal(scale=MOVED, size=2)
        objects.append(replace(thing, box=tuple((np.array(thing.box) + np.tile(move, 2)).tolist())))
    return Scene(tuple(objects))


def timed(run: Callable[[], object]) -> float:
    """Seconds of processor time that a call takes."""
    started = time.process_time()
    run()
    return time.process_time() - started


def resident() -> str:
    """The highest resident memory so far."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB resident"


if __name__ == "__main__":
    main()
