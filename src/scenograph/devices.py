"""The one place that knows devices."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from scenograph.errors import UserError

if TYPE_CHECKING:  # the command's help needs the names alone, and torch takes a second to load
    import torch

Precision = Literal["no", "bf16"]
"""bfloat16 where autocast considers it safe, or float32 throughout. float16 overflows in GANs."""
RenderPrecision = Literal["no", "bf16", "fp16"]
"""Of rendering: diffusion models of other makers compute in float16, too."""
Runtime = Literal["torch", "onnx"]
"""What computes models: torch, or ONNX Runtime."""

TRIM_THRESHOLD, MMAP_THRESHOLD, KEPT = -1, -3, 2**30
"""The numbers of two options of glibc's ``mallopt``, and the bytes that both are set to."""

WATCHED = 0.1
"""Seconds for which the processor is watched, to see how many of its cores are free."""

log = logging.getLogger(__name__)


def take_free_cores() -> None:
    """Before torch is loaded: have it compute on the cores that are free, and wait for them without spinning.

    Threads that share a core with other work wait for each other at the end of every operation, and by default they
    spin meanwhile: on two busy cores two threads take fifteen to twenty-five times as long as one. What the environment
    says of OpenMP is kept, and on systems that do not tell how busy they are torch decides.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "OMP_NUM_THREADS" in os.environ or (before := _idle_seconds()) is None:
        return
    began = time.monotonic()
    time.sleep(WATCHED)
    free = ((_idle_seconds() or 0.0) - before) / (time.monotonic() - began)
    os.environ["OMP_NUM_THREADS"] = str(max(round(free), 1))


def _idle_seconds() -> float | None:
    """How long the cores that this process may use have been idle, added up; None where the system does not tell."""
    try:
        rows = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        own = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        # Columns: name, user, nice, system, idle, waiting for a disk.
        return sum(int(row[4]) + int(row[5]) for row in rows if row[0] in own) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError, ValueError):
        return None


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name.

    Args:
        name: ``auto``, the machine's accelerator if it has one; ``gpu``, the same, which must be there; or one of
            torch's, such as ``cpu``, ``cuda:1`` and ``mps``.

    Returns:
        The device, which is there.

    Raises:
        UserError: There is no such device.
    """
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None and name in ("auto", "gpu"):
        return accelerator
    if name == "auto":
        return torch.device("cpu")
    if name == "gpu":
        raise UserError("device 'gpu' is not available: this machine has no accelerator; use --device cpu or auto")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device {name!r}: use auto, cpu, gpu, cuda, cuda:0, mps, npu or xpu") from error
    if device.type != "cpu" and (accelerator is None or accelerator.type != device.type):
        has = accelerator.type if accelerator else "no accelerator"
        raise UserError(f"device {name!r} is not available: this machine has {has}; use --device cpu or auto")
    return device


def half_precision(device: torch.device, precision: RenderPrecision) -> torch.autocast:
    """Autocast on a device; it does nothing for ``no``. Raises ``UserError`` for an unknown precision, and for fp16."""
    import torch

    if precision == "fp16":
        raise UserError("precision 'fp16' is for diffusers models, as it overflows in others: use bf16")

    if precision not in get_args(Precision):
        raise UserError(f"unknown precision {precision!r}: use {', '.join(get_args(Precision))}")
    return torch.autocast(device.type, torch.bfloat16, enabled=precision != "no")


def warn_if_bf16_emulated(device: torch.device, precision: str) -> None:
    """Warn if a processor without bfloat16 is to compute in it: emulation costs time instead of saving it."""
    import torch

    if precision != "bf16" or device.type != "cpu":
        return
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        log.warning("this processor does not compute in bf16: imitating it takes several times as long as precision no")


def keep_freed_memory(device: torch.device) -> None:
    """For work on a CPU, have glibc keep large blocks once they are freed, for the rest of the process.

    By default it returns blocks over 32 MB to the system, which then clears as many pages for the next wide map or
    gradient. That takes a tenth of a training step, or of rendering a batch. Other C libraries are left as they are.
    """
    if device.type == "cpu" and sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        for option in (TRIM_THRESHOLD, MMAP_THRESHOLD):
            library.mallopt(option, KEPT)


def device_report() -> str:
    """The machine's devices, in one line."""
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return f"cpu ({torch.get_num_threads()} threads)"
    return f"{torch.accelerator.device_count()} x {accelerator.type}, cpu ({torch.get_num_threads()} threads)"
