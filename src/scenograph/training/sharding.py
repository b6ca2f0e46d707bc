"""Where the weights of a run are: whole on every process, or divided among the processes.

Objectives call parts of a model by themselves, which torch's FSDP, whose hooks gather weights around the ``forward`` of
a module, would miss. So whole modules are gathered for an update, and divided between updates (Rajbhandari et al.,
ZeRO, 2020): gradients are summed into shares, and each process steps its own with its part of the optimizer's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.utils import DistributedType, parse_flag_from_env
from torch import Tensor, nn

ALIGNMENT = 16
"""Numbers, at whose multiples each parameter begins in a buffer, as processors read fastest."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam keeps per weight."""


def weights_of(
    accelerator: Accelerator, modules: Mapping[str, nn.Module], model: nn.Module, average: nn.Module | None
) -> Weights:
    """The weights of a run, divided if Accelerate was told to use FSDP; arguments as for :class:`Weights`."""
    # Of processes on CPUs, Accelerate's own type does not say so.
    divides = parse_flag_from_env("ACCELERATE_USE_FSDP") and accelerator.distributed_type != DistributedType.NO
    return (DividedWeights if divides else Weights)(accelerator, modules, model, average)


class Weights:
    """Whole on every process; gradients are summed over processes before each steps by itself.

    Args:
        accelerator: Knows the processes.
        modules: What each phase trains, on the device.
        model: The model that the run makes, which is the module of a phase.
        average: Its moving average, if there is one.
    """

    def __init__(
        self, accelerator: Accelerator, modules: Mapping[str, nn.Module], model: nn.Module, average: nn.Module | None
    ) -> None:
        self.accelerator, self.modules, self.model, self.average = accelerator, modules, model, average

    def named(self, phase: str) -> Iterable[tuple[str, nn.Parameter]]:
        """What the optimizer of a phase is made for, by the names of the phase's parameters."""
        return self.modules[phase].named_parameters()

    @contextmanager
    def divided(self) -> Iterator[None]:
        """Within, the weights may be divided, and are to be used in :meth:`whole` and in updates only."""
        yield

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within, all weights may be read, on every process; all processes enter together."""
        yield

    def begin(self, phase: str) -> None:
        """Make ready for the gradients of a phase."""

    def step(self, phase: str, optimizer: Any, clip_norm: float | None) -> None:
        """Sum the gradients of a phase over processes, clip them, and let the optimizer step."""
        parameters = [p for p in self.modules[phase].parameters() if p.requires_grad]
        if self.accelerator.num_processes > 1:
            # A process whose scenes have no relations, for example, lacks gradients that others have.
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            flat = self.accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "sum")
            for parameter, gradient, total in zip(
                parameters, gradients, flat.split([p.numel() for p in parameters]), strict=True
            ):
                # Into its own memory: fused optimizers mix up numbers that lie in another order than the weights.
                parameter.grad = gradient.copy_(total.view_as(parameter))
        if clip_norm:
            self.accelerator.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()

    def end(self) -> None:
        """Give back, after the last phase of an update, what :meth:`begin` took."""

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the averaged weights towards the trained ones."""
        if self.average is None:
            return
        own, parameters = self.model.state_dict(), dict(self.model.named_parameters())
        for name, average in self.average.state_dict().items():
            if name in parameters or name.endswith(("running_mean", "running_var")):
                average.lerp_(own[name], 1 - decay)
            else:  # counters, and vectors of spectral norms, whose average would not be a unit vector
                average.copy_(own[name])

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """The state of an optimizer of whole weights; all processes call this together."""
        state: dict[str, Any] = optimizer.state_dict()
        return state

    def load_optimizer(self, optimizer: Any, state: dict[str, Any]) -> None:
        """Set an optimizer to a state that :meth:`optimizer_state` gave, however the weights were divided then."""
        optimizer.load_state_dict(state)


class DividedWeights(Weights):
    """Divided among processes, between updates; arguments as for :class:`Weights`.

    Each process keeps an equal share of the weights, of their moving average, and of the optimizers' states. Buffers
    are whole everywhere.
    """

    def __init__(
        self, accelerator: Accelerator, modules: Mapping[str, nn.Module], model: nn.Module, average: nn.Module | None
    ) -> None:
        super().__init__(accelerator, modules, model, average)
        twins = {} if average is None else dict(zip(model.parameters(), average.parameters(), strict=True))
        phases: dict[nn.Parameter, tuple[str, ...]] = {}
        for phase, module in modules.items():
            for parameter in module.parameters():
                phases[parameter] = (*phases.get(parameter, ()), phase)
        alike: dict[Any, list[nn.Parameter]] = {}
        for parameter, names in phases.items():  # two phases may train one parameter
            kind = (names, parameter.requires_grad, parameter.dtype, parameter in twins)
            alike.setdefault(kind, []).append(parameter)
        self._units: list[_Unit] = []
        self._trained: dict[str, list[_Unit]] = {phase: [] for phase in modules}
        self._averages: list[tuple[_Unit, _Unit]] = []
        for (names, trained, _, averaged), parameters in alike.items():
            unit = _Unit(parameters, accelerator)
            self._units.append(unit)
            for phase in names if trained else ():
                self._trained[phase].append(unit)
            if averaged:
                self._averages.append((_Unit([twins[parameter] for parameter in parameters], accelerator), unit))
        self._pieces = {p: piece for unit in self._units for p, piece in zip(unit.parameters, unit.pieces, strict=True)}
        self._places = {piece: (unit, i) for unit in self._units for i, piece in enumerate(unit.pieces)}

    def named(self, phase: str) -> Iterable[tuple[str, nn.Parameter]]:
        """This process's piece of each parameter, which may be empty."""
        return [(name, self._pieces[parameter]) for name, parameter in self.modules[phase].named_parameters()]

    @contextmanager
    def divided(self) -> Iterator[None]:
        """Within, each process has its share alone; before and after, all weights."""
        for unit in self._all():
            unit.divide()
        yield
        for unit in self._all():
            unit.gather()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within, all weights are gathered."""
        for unit in self._all():
            unit.gather()
        yield
        for unit in self._all():
            unit.divide()

    def begin(self, phase: str) -> None:
        """Gather what is not whole, and make room for the phase's gradients."""
        for unit in self._units:
            unit.gather()
        for unit in self._trained[phase]:
            unit.collect()

    def step(self, phase: str, optimizer: Any, clip_norm: float | None) -> None:
        """Each process receives the sum of its share of the gradients, and steps its share of the weights."""
        gradients = [unit.reduce() for unit in self._trained[phase]]
        for unit in self._trained[phase]:
            unit.divide()
        if self.accelerator.scaler is not None:  # if one process meets an overflow, all must skip the step
            overflow = torch.stack([(~gradient.isfinite()).any() for gradient in gradients]).any().float()
            overflow = self.accelerator.reduce(overflow, "sum")
            for gradient in gradients:
                gradient.masked_fill_(overflow > 0, torch.inf)
            self.accelerator.unscale_gradients(optimizer)
        if clip_norm:
            norm = self.accelerator.reduce(torch.nn.utils.get_total_norm(gradients).square(), "sum").sqrt()
            pieces = [piece for unit in self._trained[phase] for piece in unit.pieces]
            torch.nn.utils.clip_grads_with_norm_(pieces, clip_norm, norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def end(self) -> None:
        """Keep the shares alone."""
        for unit in self._units:
            unit.divide()

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move this process's share of the average, and all of its buffers."""
        for average, unit in self._averages:
            average.own.lerp_(unit.own, 1 - decay)
        super().follow(decay)  # finds nothing in the parameters, which have none now

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """The state that an optimizer of whole weights would have, on the main process's CPU."""
        state: dict[str, Any] = optimizer.state_dict()
        found = {number: dict(values) for number, values in state["state"].items()}
        numbers: dict[_Unit, dict[int, int]] = {}  # of each unit, the optimizer's numbers by the unit's
        for number, piece in enumerate(piece for group in optimizer.param_groups for piece in group["params"]):
            unit, i = self._places[piece]
            if number in found:
                numbers.setdefault(unit, {})[i] = number
        for unit, members in numbers.items():
            for moment in MOMENTS:
                whole = unit.assemble({i: found[number][moment] for i, number in members.items()})
                for i, number in members.items():
                    found[number][moment] = whole[i].cpu() if self.accelerator.is_main_process else None
        return {**state, "state": found}

    def load_optimizer(self, optimizer: Any, state: dict[str, Any]) -> None:
        """Take this process's pieces of the state."""
        pieces = [piece for group in optimizer.param_groups for piece in group["params"]]
        shares: dict[int, dict[str, Any]] = {}
        for number, values in state["state"].items():
            unit, i = self._places[pieces[number]]
            shares[number] = {**values, **{moment: unit.piece_of(i, values[moment]) for moment in MOMENTS}}
        optimizer.load_state_dict({**state, "state": shares})

    def _all(self) -> list[_Unit]:
        return [*self._units, *(average for average, _ in self._averages)]


class _Unit:
    """Parameters that are gathered together: one after another in one buffer, of which each process owns a share."""

    def __init__(self, parameters: Sequence[nn.Parameter], accelerator: Accelerator) -> None:
        self.parameters = parameters
        self._processes = accelerator.num_processes
        *self._starts, total = accumulate((_aligned(parameter.numel()) for parameter in parameters), initial=0)
        # As in memory, so that the channels of convolutions stay last where they are.
        self._forms = [(parameter.shape, torch.empty_like(parameter).stride()) for parameter in parameters]
        self._size = _aligned(-(-total // self._processes))
        self._first = accelerator.process_index * self._size
        self.own = parameters[0].new_zeros(self._size)
        self.pieces = [
            nn.Parameter(self.own[self._within(i)], requires_grad=parameter.requires_grad)
            for i, parameter in enumerate(parameters)
        ]
        self._gradients: Tensor | None = None
        self._buffer: Tensor | None = None
        buffer = self._new_buffer()
        for parameter, view in zip(parameters, self._views(buffer), strict=True):
            view.copy_(parameter.detach())
        self._lend(buffer)

    def gather(self) -> None:
        """Give the parameters their weights, unless they have them."""
        if self._buffer is None:
            self._lend(self._gathered(self.own))

    def divide(self) -> None:
        """Keep this process's share of the weights, and leave the parameters without weights and gradients.

        Weights are as they were gathered, unless a layer has changed them when it was used, as some spectral norms do.
        """
        if self._buffer is None:
            return
        self.own.copy_(self._buffer[self._first : self._first + self._size])
        for parameter in self.parameters:
            parameter.grad = None
            parameter.data = self.own.new_empty(0)
        self._buffer = self._gradients = None

    def collect(self) -> None:
        """Make room for gradients; parameters that a process does not use have zeros."""
        self._gradients = self._new_buffer()
        for parameter, view in zip(self.parameters, self._views(self._gradients), strict=True):
            parameter.grad = view

    def reduce(self) -> Tensor:
        """This process's share of the sum of all gradients, which its pieces have from now on."""
        assert self._gradients is not None
        own = torch.empty_like(self.own)
        _renamed("reduce_scatter_single", "reduce_scatter_tensor")(own, self._gradients)
        for i, (parameter, piece) in enumerate(zip(self.parameters, self.pieces, strict=True)):
            parameter.grad, piece.grad = None, own[self._within(i)]
        self._gradients = None
        return own

    def assemble(self, pieces: Mapping[int, Tensor]) -> list[Tensor]:
        """The whole of something that has the form of the parameters, from the pieces (by number) of all processes."""
        own = torch.zeros_like(self.own)
        for i, piece in pieces.items():
            own[self._within(i)] = piece
        return self._views(self._gathered(own))

    def piece_of(self, i: int, whole: Tensor) -> Tensor:
        """This process's piece of something that has the form of parameter ``i``."""
        flat = whole.new_empty(whole.numel())
        flat.as_strided(*self._forms[i]).copy_(whole)
        start = self._first - self._starts[i]
        return flat[max(start, 0) : max(start + self._size, 0)].clone()

    def _within(self, i: int) -> slice:
        """Where parameter ``i`` lies in the share, if anywhere."""
        start = self._starts[i] - self._first
        stop = start + self._forms[i][0].numel()
        return slice(*(min(max(place, 0), self._size) for place in (start, stop)))

    def _views(self, buffer: Tensor) -> list[Tensor]:
        return [buffer.as_strided(*form, start) for form, start in zip(self._forms, self._starts, strict=True)]

    def _new_buffer(self) -> Tensor:
        return self.own.new_zeros(self._size * self._processes)

    def _gathered(self, own: Tensor) -> Tensor:
        whole = own.new_empty(self._size * self._processes)
        _renamed("all_gather_single", "all_gather_into_tensor")(whole, own)
        return whole

    def _lend(self, buffer: Tensor) -> None:
        for parameter, view in zip(self.parameters, self._views(buffer), strict=True):
            parameter.data = view
        self._buffer = buffer


def _renamed(name: str, before: str) -> Callable[[Tensor, Tensor], Any]:
    """A collective, by its name in newer versions of torch or before."""
    module = torch.distributed
    found: Callable[[Tensor, Tensor], Any] = getattr(module, name, None) or getattr(module, before)
    return found


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
