"""A pretended accelerator: tensors on torch's ``meta`` device that hold their numbers on the CPU.

What only a GPU would notice is refused: operations on tensors of two devices, a CPU's generator for a device's
numbers, numpy arrays of a device's tensors. So tests see it on machines that have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = torch.device("meta")
aten = torch.ops.aten
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
COPYING = {aten.copy_.default, aten._to_copy.default}


class Elsewhere(Tensor):
    """A tensor that says it is elsewhere."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor):
        options = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, device=ELSEWHERE, requires_grad=held.requires_grad, dispatch_device=True, **options
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run_elsewhere(function, args, kwargs or {})

    # What torch does for these in C++ takes the pretended device for the real one, which holds no numbers.
    def __getitem__(self, key):
        return super().__getitem__(_as_tensors(key))

    def __setitem__(self, key, value):
        if not isinstance(value, Tensor):
            value = torch.tensor(value, dtype=self.dtype).to(ELSEWHERE)
        super().__setitem__(_as_tensors(key), value)

    def new_tensor(self, data, dtype=None):
        return torch.tensor(data, dtype=dtype or self.dtype).to(ELSEWHERE)

    def tolist(self):
        return self.detach().held.tolist()

    def numpy(self):
        raise TypeError("a tensor elsewhere as an array: copy it to the CPU first")

    def __repr__(self):
        return f"Elsewhere({self.detach().held})"


def run_elsewhere(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the tensors that are held, if a GPU could do it; what comes of tensors elsewhere is elsewhere."""
    if function is torch.ops.prim.device.default:
        return ELSEWHERE
    leaves = tree_leaves((args, kwargs))
    there = [leaf for leaf in leaves if isinstance(leaf, Elsewhere)]
    here = [leaf for leaf in leaves if isinstance(leaf, Tensor) and not isinstance(leaf, Elsewhere)]
    device = kwargs.get("device")
    goes = (there and device is None) or device == ELSEWHERE
    if there and function not in COPYING:
        meeting = [tensor for tensor in here if tensor.ndim]  # numbers may come from anywhere
        if function in INDEXING and isinstance(args[0], Elsewhere):  # and so may indices
            meeting = [tensor for tensor in meeting if not any(tensor is index for index in args[1])]
        if meeting:
            raise RuntimeError(f"{function}: tensors on two devices")
    if goes and any(isinstance(leaf, torch.Generator) for leaf in leaves):
        raise RuntimeError(f"{function}: a CPU's generator for numbers elsewhere")
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result = function(*tree_map(_held, args), **tree_map(_held, kwargs))
    if function is aten.copy_.default:
        return args[0]
    if not goes:
        return result
    known = {id(tensor.held): tensor for tensor in there}  # what is changed in place stays the same tensor

    def moved(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return known[id(x)] if id(x) in known else Elsewhere(x)

    return tree_map(moved, result)


class _Pretending(TorchDispatchMode):
    """For what makes tensors from nothing, or moves them."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run_elsewhere(function, args, kwargs or {})


@contextmanager
def pretended(monkeypatch) -> Iterator[torch.device]:
    """The pretended device, which works as long as the context does."""

    class Autocast(torch.autocast):
        def __init__(self, device_type, *args, **kwargs):
            super().__init__("cpu" if device_type == ELSEWHERE.type else device_type, *args, **kwargs)

    def tensor(data, *, device=None, **options):
        made = make(data, **options)
        return made if device is None else made.to(device)

    enabled, make = torch.is_autocast_enabled, torch.tensor
    monkeypatch.setattr(torch, "tensor", tensor)
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # whose tensors cannot be held
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind="cpu": kind != ELSEWHERE.type and enabled(kind))
    monkeypatch.setattr(torch, "autocast", Autocast)
    with _Pretending():
        yield ELSEWHERE


def _held(x: Any) -> Any:
    return x.held if isinstance(x, Elsewhere) else x


def _as_tensors(key: Any) -> Any:
    if isinstance(key, list):
        return torch.tensor(key)
    return tuple(map(_as_tensors, key)) if isinstance(key, tuple) else key
