"""The one place that knows devices."""

from __future__ import annotations

import ctypes
import logging
import sys
from typing import TYPE_CHECKING, Literal, get_args

from scenograph.errors import UserError

if TYPE_CHECKING:  # the command's help needs the names alone, and torch takes a second to load
    import torch

Precision = Literal["no", "bf16"]
"""bfloat16 where autocast considers it safe, or float32 throughout. float16 overflows in GANs."""

TRIM_THRESHOLD, MMAP_THRESHOLD, KEPT = -1, -3, 2**30
"""The numbers of two options of glibc's ``mallopt``, and the bytes that both are set to."""

log = logging.getLogger(__name__)


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` is the machine's accelerator if it has one; other names (``cpu``, ``cuda:1``, ``mps``) are torch's."""
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:0, mps, npu or xpu") from error
    if device.type != "cpu" and (accelerator is None or accelerator.type != device.type):
        has = accelerator.type if accelerator else "no accelerator"
        raise UserError(f"device {name!r} is not available: this machine has {has}; use --device cpu or auto")
    return device


def half_precision(device: torch.device, precision: Precision) -> torch.autocast:
    """Autocast on a device; it does nothing for ``no``. Raises ``UserError`` for an unknown precision."""
    import torch

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
