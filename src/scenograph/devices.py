"""The one place that knows devices."""

from __future__ import annotations

import torch

from scenograph.errors import UserError


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` is the machine's accelerator if it has one; other names (``cpu``, ``cuda:1``, ``mps``) are torch's."""
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


def device_report() -> str:
    """What this machine offers, in one line."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return f"cpu ({torch.get_num_threads()} threads)"
    return f"{torch.accelerator.device_count()} x {accelerator.type}, cpu ({torch.get_num_threads()} threads)"
