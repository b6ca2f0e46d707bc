"""A memory of made-up crops: rows written per second, time of a query, resident memory; the index against no index.

python benchmarks/memory.py --rows 100000
python benchmarks/memory.py --rows 100000 --index

Half of the crops are of one category, the others of a hundred. Vectors lie around some hundreds of centres, as those of
drawings do. Times are of the wall clock; resident memory is the process's highest so far.
"""

from __future__ import annotations

import argparse
import io
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenograph.retrieval import memory as stored
from scenograph.retrieval.build import BATCH, index_vectors, write_memory
from scenograph.retrieval.encoder import APPEARANCE, GRAPH
from scenograph.retrieval.memory import CropMemory, MemoryRecord
from scenograph.retrieval.rows import schema

SIZES = {GRAPH: 128, APPEARANCE: 256}
COMMON, OTHERS, CENTRES = "common", 100, 500
QUERIES, NEAREST, SHORTLIST = 20, 10, 512


def main() -> None:
    """Write a memory, query it, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--index", action="store_true", help="also build the index of vectors and query it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder) / "m", options.rows, options.index)


def measure(folder: Path, rows: int, index: bool) -> None:
    """All figures of a memory of ``rows`` crops."""
    stored.INDEXED = 10 * rows  # the index is built when its time is taken
    record = MemoryRecord(source="made up", state="", encoders=[], encoder="", sizes=SIZES)
    seconds = timed(lambda: write_memory(folder, folder.with_name("t"), record, batches(rows)))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{rows} rows written at {rows / seconds:.0f} rows/s, {size / rows:.0f} bytes each; {resident()}")
    memory = CropMemory(folder)
    print(f"opened and counted in {1000 * timed(lambda: memory.counts):.0f} ms")
    for category in (f"other {OTHERS // 2:03d}", COMMON):
        first = 1000 * timed(lambda name=category: memory.rows(name))
        held = memory.rows(category)
        queries = held.vectors[APPEARANCE][:: max(len(held) // QUERIES, 1)][:QUERIES] + 0.1
        exact: list[set[str]] = []
        one = timed(lambda held=held, queries=queries, exact=exact: exact.extend(nearest(held, q) for q in queries))
        print(
            f"{len(held)} crops of a category: read in {first:.0f} ms, then {1000 * one / len(queries):.2f} ms a query"
        )
    print(f"10 crops by id in {1000 * timed(lambda: memory.crops(held.ids[:10].tolist())):.0f} ms; {resident()}")
    if index:
        measure_index(memory, queries, exact)


def measure_index(memory: CropMemory, queries: np.ndarray, exact: list[set[str]]) -> None:
    """Time to build the index of one key, and time and recall of queries by it."""
    seconds = timed(lambda: index_vectors(memory.table, [APPEARANCE]))
    print(f"index of {SIZES[APPEARANCE]} dimensions built in {seconds:.0f} s")
    stored.INDEXED = 0
    indexed = CropMemory(memory.folder)
    found: list[set[str]] = []

    def ask() -> None:
        for query in queries:
            found.append(nearest(indexed.candidates(COMMON, {APPEARANCE: query}, SHORTLIST), query))

    ask()
    found.clear()
    one = timed(ask) / len(queries)
    recall = np.mean([len(a & b) / len(a) for a, b in zip(exact, found, strict=True)])
    print(f"by the index {1000 * one:.1f} ms a query, recall of the nearest {NEAREST}: {recall:.3f}; {resident()}")


def nearest(rows: Any, query: np.ndarray) -> set[str]:
    """The ids of the nearest rows."""
    distances = rows.distances(APPEARANCE, query)
    return set(rows.ids[np.argpartition(distances, NEAREST)[:NEAREST]].tolist())


def batches(rows: int) -> Iterator[Any]:
    """Made-up rows, sorted by category."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    columns = schema(SIZES)
    crop = png(rng)
    centres = {key: rng.normal(size=(CENTRES, size)) for key, size in SIZES.items()}
    for start in range(0, rows, BATCH):
        count = min(BATCH, rows - start)
        numbers = range(start, start + count)
        common = rows // 2
        names = [COMMON if n < common else f"other {(n - common) * OTHERS // (rows - common):03d}" for n in numbers]
        data = {
            "id": [f"picture{n // 6}/{n % 6}" for n in numbers],
            "category": names,
            "attributes": [["red"]] * count,
            "crop": [crop + rng.bytes(1000) for _ in numbers],
            "width": [64] * count,
            "height": [64] * count,
            "box": [[0.0, 0.0, 1.0, 1.0]] * count,
            "look": [[0.5] * 6] * count,
            "context": [["on grass"]] * count,
            "picture": [f"picture{n // 6}" for n in numbers],
            "source": ["noto/cat"] * count,
            "author": ["Someone"] * count,
            "licence": ["MIT"] * count,
            "encoder": ["0" * 64] * count,
        }
        for key, size in SIZES.items():
            values = centres[key][rng.integers(0, CENTRES, count)] + 0.5 * rng.normal(size=(count, size))
            data[key] = pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float16).ravel()), size)
        yield pa.RecordBatch.from_pydict(data, schema=columns)


def png(rng: np.random.Generator) -> bytes:
    """A small crop. Bytes after it, which readers pass over, make each another one of the usual size."""
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (16, 16, 4), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def timed(run: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def resident() -> str:
    """The highest resident memory so far."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB resident"


if __name__ == "__main__":
    main()
