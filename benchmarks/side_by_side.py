"""Seconds and memory of the same work, ours beside the original's, every number from a process of its own."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from scenograph.devices import keep_freed_memory
from scenograph.scenes.batch import SceneBatch
from scenograph.training.objectives.base import Objective, Totals

Run = Callable[[], object]
Start = Callable[[str, str, argparse.Namespace], Run]
"""Makes what is measured, of a system ("ours" or "original") and a row of the table."""


def batch_of(row: str) -> int:
    """The number that a row ends in."""
    return int(row.rsplit(" ", 1)[1])


def training_step(
    objective: Objective, batch: SceneBatch, rate: float, betas: tuple[float, float] = (0.9, 0.999)
) -> Run:
    """Every phase of an objective: a forward and a backward pass, and a step of Adam, fused as in the trainer."""
    objective.load_networks()
    modules = {phase: module.to(batch.objects.device) for phase, module in objective.modules().items()}
    adams = {
        phase: torch.optim.Adam(module.parameters(), lr=rate, betas=betas, fused=True)
        for phase, module in modules.items()
    }
    totals = Totals(batch.num_images, len(batch.objects), len(batch.triples))
    generators = [torch.Generator().manual_seed(number) for number in range(batch.num_images)]

    def run() -> object:
        memory: dict[str, object] = {}
        for phase in objective.phases:
            adams[phase].zero_grad(set_to_none=True)
            for loss, _ in objective.losses(phase, batch, totals, generators, memory):
                loss.backward()
            adams[phase].step()
        return loss

    return run


def compare(
    parser: argparse.ArgumentParser,
    original: str,
    title: Callable[[argparse.Namespace], str],
    rows: Sequence[str],
    start: Start,
) -> None:
    """The command of a benchmark: its table, or one number of it, when it calls itself."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--original", help=f"a checkout of {original}")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        if options.one[1] not in rows:
            parser.error(f"no row {options.one[1]!r}; choose from {', '.join(rows)}")
        print(json.dumps(_measure(start, options)))
        return
    systems = [("original", "fp32")] * bool(options.original) + [("ours", "fp32"), ("ours", "bf16")]
    print(f"{title(options)}, torch {torch.__version__}, {options.device}, {options.threads} thread(s)")
    width = max(map(len, rows)) + 2
    print(" " * width + "".join(f"{f'{system} {precision}':>26}" for system, precision in systems))
    for row in rows:
        cells, first = [], None
        for system, precision in systems:
            command = [sys.executable, *sys.argv, "--one", system, row, precision]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path.cwd())
            if done.returncode:
                cells.append("failed")
                print(done.stderr[-2000:], file=sys.stderr)
                continue
            result = json.loads(done.stdout.splitlines()[-1])  # originals print more
            first = first or result["seconds"]
            ratio = f" {first / result['seconds']:.1f}x" if cells else ""
            cells.append(f"{result['seconds']:.3f} s {result['gigabytes']:.2f} GB{ratio}")
        print(f"{row:<{width}}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


def _measure(start: Start, options: argparse.Namespace) -> dict[str, float]:
    """Best of some runs after one to warm up, and the peak memory of this process (of the device, if it is one)."""
    system, row, precision = options.one
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if system == "ours":
        keep_freed_memory(torch.device(options.device))  # as the trainer and the pipeline do
    run = start(system, row, options)
    best = float("inf")
    with torch.autocast(options.device, torch.bfloat16, enabled=precision == "bf16"):
        run()
        for _ in range(options.repeats):
            wait(torch.device(options.device))
            begin = time.perf_counter()
            run()
            wait(torch.device(options.device))
            best = min(best, time.perf_counter() - begin)
    if options.device == "cpu":
        return {"seconds": best, "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    return {"seconds": best, "gigabytes": torch.accelerator.max_memory_allocated() / 2**30}


def wait(device: torch.device) -> None:
    """Until the device has done what it was asked."""
    if device.type != "cpu":
        torch.accelerator.synchronize()
