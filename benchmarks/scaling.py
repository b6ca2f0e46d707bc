"""How work scales: each command alone, then as two parts at the same time and their merging.

    python benchmarks/scaling.py [--count 200] [--only render,pack] [--folder /tmp/scaling]

Prints, for one process and for two: seconds by the clock, seconds of processor time of all processes together, and the
load of the machine meanwhile. Where other work kept cores busy, the clock says little; processor time then tells what
sharing costs: starting, loading models, planning and merging are done by each process.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

PARTS = 2


def commands(folder: Path, count: int) -> dict[str, str]:
    """Each command without its output; later ones read what earlier ones wrote."""
    made = folder / "alone"
    split = f"--pack {made / 'pack'} --split train"
    return {
        "render": f"data render picture-book --count {count} --size 128 --workers 1",
        "pack": f"data pack picture-book --root {made / 'render'} --workers 1",
        "generate": f"generate {split} --given boxes --device cpu",
        "memory": f"memory build {split} --workers 1",
        "search": f"search build {split} --workers 1",
        "evaluate": f"evaluate {split} --given boxes --metrics agreement --device cpu",
    }


def run(words: list[str], parts: list[str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor that a command takes, all its parts at the same time."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "scenograph", *words, *(["--part", part] if part else [])],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for part in parts
    ]
    codes = [process.wait() for process in started]
    if any(codes):
        raise SystemExit(f"failed: scenograph {' '.join(words)}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, used


def main() -> None:
    """Run the commands and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1500, help="scenes; packs and memories share pieces of 500")
    parser.add_argument("--only", default="", help="commands, with commas; those before must have run")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/scaling"))
    options = parser.parse_args()
    chosen = [name for name in options.only.split(",") if name]
    print("| | 1 process: s, processor s | 2 processes: s, processor s | merging: s, processor s | load |")
    print("|---|---|---|---|---|")
    for name, command in commands(options.folder, options.count).items():
        if chosen and name not in chosen:
            continue
        cells = []
        for kind, steps in (("alone", [[""]]), ("shared", [[f"{k}/{PARTS}" for k in range(1, PARTS + 1)], ["merge"]])):
            place = options.folder / kind / name
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            for parts in steps:
                clock, used = run([*command.split(), "--out", str(place)], parts)
                cells.append(f"{clock:.1f}, {used:.1f}")
        print(f"| {name} | {' | '.join(cells)} | {os.getloadavg()[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
