"""Memory and time of summing up an evaluation, by the number of pictures: it must not grow with them.

    python benchmarks/evaluation.py [--pictures 5000 50000] [--features 2048]

Writes chunks of random features as an evaluation would, then streams over them in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from scenograph.evaluation.distributions import FrechetDistance, Moments, Sample, kernel_distance, neighbourhoods

CHUNK = 80
"""Sixteen layouts with five pictures each."""
SAMPLE = 5000


def write_chunks(folder: Path, pictures: int, features: int) -> None:
    """Features of as many pictures, in files as an evaluation leaves them."""
    rng = np.random.default_rng(0)
    for number, start in enumerate(range(0, pictures, CHUNK)):
        rows = rng.normal(size=(min(CHUNK, pictures - start), features)).astype(np.float32)
        np.savez(folder / f"{number:05d}.npz", features=rows)


def sum_up(folder: Path) -> None:
    """FID, KID, precision and recall of the chunks against themselves."""
    began, sample, moments = time.perf_counter(), Sample(SAMPLE), None
    for path in sorted(folder.glob("*.npz")):
        rows = np.load(path)["features"]
        moments = moments or Moments(rows.shape[1])
        moments.add(rows)
        sample.add(rows)
    assert moments is not None and sample.rows is not None
    streamed = time.perf_counter() - began
    FrechetDistance(moments)(moments)
    kernel_distance(sample.rows, sample.rows)
    neighbourhoods(sample.rows, sample.rows)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"streamed": streamed, "all": time.perf_counter() - began, "memory": memory}))


def main() -> None:
    """Print a row per number of pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, nargs="+", default=[5000, 50_000])
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        sum_up(arguments.folder)
        return
    for pictures in arguments.pictures:
        with tempfile.TemporaryDirectory() as folder:
            write_chunks(Path(folder), pictures, arguments.features)
            command = [sys.executable, __file__, "--folder", folder]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        streamed, whole, memory = found["streamed"], found["all"], found["memory"]
        print(f"{pictures:>7} pictures: {memory:.2f} GB, {streamed:.0f} s to stream, {whole:.0f} s in all")


if __name__ == "__main__":
    main()
