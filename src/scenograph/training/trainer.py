"""The one trainer: every system's objective runs in it, on one process or many.

The processes of ``accelerate launch`` and the parts of gradient accumulation share one batch. Each divides its
losses by the totals of the whole batch (:class:`Totals`) and gradients are summed, so that the update is the
whole batch's whatever the division. Batches and noise are functions of (seed, step, picture), so a
checkpoint needs no sampler state beyond its step and a killed run continues on the same curve.
"""

from __future__ import annotations

import copy
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from scenograph.data.loader import PackLoader
from scenograph.errors import NOTE, UserError, expecting, reason, validate
from scenograph.files import reserved
from scenograph.models.base import Model, load_state
from scenograph.models.published.keras import load_backbones
from scenograph.models.registry import MODELS
from scenograph.nn.layers import evaluating
from scenograph.scenes.batch import SceneBatch, images_to_uint8
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training import setup
from scenograph.training.checkpoints import REMEDY, checkpoint_to_resume, newest_checkpoint, read_state, save_checkpoint
from scenograph.training.objectives import OBJECTIVES
from scenograph.training.objectives.base import Totals
from scenograph.training.recipe import Recipe
from scenograph.training.run_folder import RunFolder
from scenograph.training.sharding import weights_of

log = logging.getLogger(__name__)

Listener = Callable[[int, dict[str, float]], None]
Part = tuple[SceneBatch, list[torch.Generator]]
"""A process's share of a batch, or a part of it, with one generator per picture."""
Loss = tuple[Tensor, dict[str, Tensor]]
"""A loss with its terms."""

TRAINING, VALIDATION, GRID = 3, 4, 5
"""Purposes of random numbers, each with a stream of its own."""


class Trainer:
    """A run: a recipe and a folder. Create it, then call :meth:`run`; the same call continues a stopped run.

    Args:
        recipe: What to train, on which data, and for how long.
        folder: Holds checkpoints, curves and the finished model. It belongs to one recipe.
        device: A CPU leaves the machine's accelerator alone; by default Accelerate chooses.
        resume: Where the run continues: ``latest``, its newest checkpoint, if it has one; ``none``, it must begin; or
            the path of a checkpoint, or of the run whose newest one it is.

    Raises:
        UserError: The recipe names what does not exist, or model, data and folder do not fit together.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, device: torch.device | None = None, resume: str = "latest"
    ) -> None:
        self.recipe, self.folder, training = recipe, folder, recipe.training
        self.accelerator = setup.new_accelerator(training.precision, device)
        self.run_folder = RunFolder(folder, writes=self._is_main)
        kind = setup.registered(MODELS, recipe.model, "model")
        objective_kind = setup.registered(OBJECTIVES, recipe.objective, "objective")
        self._checkpoint = checkpoint_to_resume(resume, folder)
        self.begins = self._checkpoint is None
        source = training.start_from if self.begins else None
        backbones = setup.backbone_file(source)
        start = setup.starting_model(source, kind) if source and backbones is None else None
        begun = None if self._checkpoint is None else RunFolder(self._checkpoint.parent.parent, writes=False)
        vocabulary = setup.run_vocabulary(recipe, kind, start, begun)
        fields = {"vocabulary": vocabulary.to_dict(), **setup.settings(recipe.model)}
        config = validate(kind.Config, fields, "recipe, model")
        objective_config = validate(objective_kind.Config, setup.settings(recipe.objective), "recipe, objective")
        self.loaders = setup.open_pack(recipe, kind, config, Vocabulary.from_dict(config.vocabulary))
        # Initial weights depend on this order: the seed, the model, the objective's own networks.
        torch.manual_seed(training.seed)
        self.model = kind(config)
        self.objective = objective_kind(objective_config, self.model)
        self.modules = self.objective.modules()
        for module in self.modules.values():
            module.to(self.accelerator.device).train()
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False) if training.ema_decay else None
        self.step = 0
        self._began = time.monotonic()
        self.validation_figures: dict[str, float] = {}
        models = [model for model in (self.model, self.ema) if model is not None]
        if start:
            setup.take_over(start, str(source), models, self.modules)
        for model in models if backbones else ():
            load_backbones(model, Path(str(source)))
        self.weights = weights_of(self.accelerator, self.modules, self.model, self.ema)
        self.optimizers = {phase: self._new_optimizer(phase) for phase in self.objective.phases}
        self._notifier = setup.new_notifier(recipe) if self._is_main else None

    @property
    def best_model(self) -> Model:
        """The model that a run makes: the averaged weights if the recipe averages, the trained ones otherwise.

        Divided among processes, it has its weights before and after :meth:`run` only.
        """
        return self.ema or self.model

    @property
    def seconds(self) -> float:
        """How long the run has trained, including its earlier parts up to their last checkpoints."""
        return time.monotonic() - self._began

    def run(self, listener: Listener = lambda step, figures: None, minutes: float = math.inf) -> Path:
        """Train to the last step.

        An interrupt (Ctrl-C) finishes the step and saves before it is raised; a second one stops at once.

        Args:
            listener: Called on every process after every step, with its number (from 1) and its figures: losses and
                their terms, each the mean over the whole batch.
            minutes: Time for the whole run, however often it was stopped; the recipe's ``max_minutes`` limits this
                call alone.

        Returns:
            The folder of the finished model.

        Raises:
            UserError: The folder belongs to another run, or another process trains in it.
            KeyboardInterrupt: It was interrupted, and everything is saved.
        """
        with reserved(self.folder) if self._is_main else nullcontext():
            self.run_folder.claim(self.recipe, self.model.vocabulary)
            with self._telling_failure():
                self.objective.load_networks()
                self._resume()
                self._initialise()
                with self.weights.divided():
                    interrupted = self._train(listener, minutes)
                if self._is_main:
                    self.best_model.save_pretrained(self.folder / "model")
                self.accelerator.wait_for_everyone()
            self._tell("finished" if self.step == self.recipe.training.steps else f"stopped at step {self.step}")
        if interrupted:
            raise KeyboardInterrupt(f"stopped at step {self.step}, which is saved; the same call continues")
        return self.folder / "model"

    def _train(self, listener: Listener, minutes: float) -> bool:
        """The loop: from the present step to the last one, or until time is over or Ctrl-C is pressed, if it was."""
        training = self.recipe.training
        deadline = min(time.monotonic() + 60 * (training.max_minutes or math.inf), self._began + 60 * minutes)
        stop = False
        with self.run_folder.continued_from(self.step), _stop_after_step() as interrupted:
            while self.step < training.steps:
                late, stop = self._any_process(time.monotonic() > deadline, interrupted())
                if late or stop:
                    if not stop:  # an interrupt speaks for itself
                        log.warning("stopped at step %d; the same command continues", self.step)
                    break
                figures = self._update()
                listener(self.step, figures)
                last = self.step == training.steps
                if self.step % training.log_every == 0:
                    self.run_folder.log(self.step, "train", figures, self.objective.tag)
                if self.step % training.validate_every == 0 or last:
                    self.validation_figures = self._validate()
                    self.run_folder.log(self.step, "validation", self.validation_figures, self.objective.tag)
                    if not last and self._notifier and self._notifier.due(self.step):
                        self._tell(f"step {self.step} of {training.steps}")
                if self.step % training.checkpoint_every == 0 or last:
                    self._save()
        if self.step < training.steps:
            self._save()
        return stop

    def _update(self) -> dict[str, float]:
        """One step of every phase; returns the whole batch's figures."""
        for phase in self.objective.begin_step(self.step):
            self.optimizers[phase] = self._new_optimizer(phase)
        parts = self._parts()
        totals = self._totals(parts)
        memories: list[dict[str, Any]] = [{} for _ in parts]
        figures: dict[str, float] = {}
        for phase in self.objective.active(self.step):
            self.optimizers[phase].zero_grad(set_to_none=True)
            self.weights.begin(phase)
            loss, terms = self._backward(phase, parts, totals, memories)
            figures |= terms
            # As in sg2im, a loss that is not finite abandons the whole iteration, discriminators included.
            if not math.isfinite(loss):
                log.warning("step %d: the loss of phase %r is not finite; the step is skipped", self.step, phase)
                break
            self._average_and_step(phase)
        self.weights.end()
        self.step += 1
        self.weights.follow(min(self.recipe.training.ema_decay, (1 + self.step) / (10 + self.step)))
        return figures

    def _backward(
        self, phase: str, parts: list[Part], totals: Totals, memories: list[dict[str, Any]]
    ) -> tuple[float, dict[str, float]]:
        """Add up this process's gradients; returns the loss of the whole batch, and its terms."""
        sums: dict[str, Tensor] = {}
        for (batch, generators), memory in zip(parts, memories, strict=True):
            losses = self.objective.losses(phase, batch, totals, generators, memory)
            while found := self._next_loss(losses):
                loss, terms = found
                self.accelerator.backward(loss)
                for name, value in {"": loss.detach(), **terms}.items():
                    sums[name] = sums.get(name, torch.zeros_like(value, dtype=torch.float32)) + value.float()
        # All at once: every figure that is read waits for the device.
        figures = dict(zip(sums, self._sum(torch.stack([*sums.values()])).tolist(), strict=True))
        return figures.pop(""), figures

    def _next_loss(self, losses: Iterator[Loss]) -> Loss | None:
        """The next summand, computed in the precision of the run; None after the last."""
        with self.accelerator.autocast():
            return next(losses, None)

    def _average_and_step(self, phase: str) -> None:
        """Sum gradients over processes, clip them, and let the phase's optimizer step at the scheduled rate."""
        optimizer = self.optimizers[phase]
        rate = self.recipe.optimizer.lr * learning_rate_factor(self.recipe, self.step)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        self.weights.step(phase, optimizer, self.recipe.optimizer.clip_norm)

    def _parts(self) -> list[Part]:
        """This process's share of the batch, in ``accumulate`` parts, each with a generator per picture."""
        parts = []
        for slots in self._shares():
            batch = next(self._batches).to(self.accelerator.device)
            parts.append((batch, [self._generator(TRAINING, self.step, slot) for slot in slots]))
        return parts

    def _shares(self) -> list[range]:
        """The slots of the batch that are this process's, in ``accumulate`` parts."""
        training = self.recipe.training
        pieces = self.accelerator.num_processes * training.accumulate
        if training.batch_size % pieces:
            raise UserError(
                f"training.batch_size {training.batch_size} cannot be divided by {pieces} "
                "(processes x accumulate); choose a multiple"
            )
        size = training.batch_size // pieces
        first = self.accelerator.process_index * training.accumulate
        return [range(piece * size, (piece + 1) * size) for piece in range(first, first + training.accumulate)]

    @cached_property
    def _batches(self) -> Iterator[SceneBatch]:
        """This process's parts of every batch from the present step on."""
        training = self.recipe.training
        steps, on_gpu = range(self.step, training.steps), self.accelerator.device.type == "cuda"
        return self.loaders["train"].batches(
            training.seed, steps, training.batch_size, self._shares(), self.recipe.data.workers, pin=on_gpu
        )

    def _totals(self, parts: list[Part]) -> Totals:
        """Counts over the parts of all processes."""
        counts = [sum(values) for values in zip(*((len(b.objects), len(b.triples)) for b, _ in parts), strict=True)]
        objects, relations = self._sum(torch.tensor(counts, device=self.accelerator.device)).tolist()
        return Totals(self.recipe.training.batch_size, objects, relations)

    def _generator(self, purpose: int, step: int, slot: int) -> torch.Generator:
        """The random numbers of one picture, for one purpose: they depend on nothing else but the seed."""
        seed = self.recipe.training.seed
        return torch.Generator().manual_seed((((seed * 7 + purpose) * 1_000_003 + step) * 100_003 + slot) % 2**63)

    def _validate(self) -> dict[str, float]:
        """Figures over the validation scenes, divided among processes, and the picture grid."""
        training, loader, model = self.recipe.training, self.loaders["validation"], self.best_model
        sums: dict[str, list[Any]] = {}
        count, size = min(training.validation_scenes, len(loader)), training.batch_size
        with self.weights.whole(), evaluating(model), torch.no_grad(), self.accelerator.autocast():
            for number, start in enumerate(range(0, count, size)):
                if number % self.accelerator.num_processes != self.accelerator.process_index:
                    continue
                batch = loader.fixed_batch(start, min(size, count - start)).to(self.accelerator.device)
                generators = [self._generator(VALIDATION, 0, start + i) for i in range(batch.num_images)]
                for name, (total, weight) in self.objective.validate(model, batch, generators).items():
                    before = sums.get(name, [0.0, 0.0])
                    sums[name] = [before[0] + total, before[1] + weight]
            if training.grid_scenes and self._is_main:
                self._add_grid(model, loader)
        gathered = gather_object([sums]) if self.accelerator.num_processes > 1 else [sums]
        figures = {}
        for name in gathered[0]:
            total, weight = (sum(part[name][i] for part in gathered if name in part) for i in (0, 1))
            if weight:  # a figure over nothing, such as the share of relations in scenes without any, is left out
                figures[name] = total / weight
        return self.objective.conclude(figures)

    def _add_grid(self, model: Model, loader: PackLoader) -> None:
        """Each scene's true picture beside the generated ones."""
        batch = loader.fixed_batch(0, self.recipe.training.grid_scenes).to(self.accelerator.device)
        generators = [self._generator(GRID, 0, i) for i in range(batch.num_images)]
        rendered = self.objective.render_grid(model, batch, generators)
        if not rendered or batch.images is None:
            return
        columns = {"true": batch.images, **rendered}
        self.run_folder.add_grid(self.step, {name: images_to_uint8(images) for name, images in columns.items()})
        if self.objective.draws_graphs:
            self.run_folder.add_graphs(self.step, loader.scenes(0, batch.num_images))

    def _tell(self, what: str) -> None:
        """Send the figures of the last validation, with its grid or the curves, to whom the recipe names."""
        if not self._notifier:
            return
        figures = [f"{name} {value:.4g}" for name, value in self.validation_figures.items()]
        picture = None
        with suppress(OSError, UserError):  # a message is worth less than the run
            picture = self.run_folder.picture(self.step)
        self._notifier.send(what, "\n".join(figures), picture)

    @contextmanager
    def _telling_failure(self) -> Iterator[None]:
        """Send what went wrong, if anything does."""
        try:
            yield
        except Exception as error:
            if self._notifier:
                self._notifier.send(f"failed at step {self.step}", f"{type(error).__name__}: {reason(error)}")
            raise

    def _save(self) -> None:
        """Write a checkpoint, on the main process."""
        optimizers = {phase: self.weights.optimizer_state(optimizer) for phase, optimizer in self.optimizers.items()}
        with self.weights.whole():
            if self._is_main:
                state = {
                    "step": self.step,
                    "seconds": self.seconds,
                    "data": self.loaders["train"].pack.fingerprint,
                    "modules": {phase: module.state_dict() for phase, module in self.modules.items()},
                    "ema": self.ema.state_dict() if self.ema else None,
                    "optimizers": optimizers,
                    "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
                    "rng": torch.get_rng_state(),
                }
                save_checkpoint(self.folder / "checkpoints", self.step, state)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        """Take everything from the checkpoint that was given, or else from the newest one, if there is any."""
        folder = self.folder / "checkpoints"
        path, self._checkpoint = self._checkpoint or newest_checkpoint(folder), None
        if path is None:
            return
        with expecting(f"{path.parent}: the newest checkpoint does not fit this run; {REMEDY}"):
            self._restore(read_state(path, "modules"), path.parent)
        if self._is_main:
            log.log(NOTE, "continuing %s from step %d of %d", self.folder, self.step, self.recipe.training.steps)

    def _restore(self, state: dict[str, Any], folder: Path) -> None:
        self.step = state["step"]
        # Older checkpoints hold neither the seconds nor the fingerprint of the data.
        self._began -= state.get("seconds", 0.0)
        data = self.loaders["train"].pack.fingerprint
        if state.get("data", data) != data:
            log.warning("the scenes in %s are others than when %s began", self.recipe.data.pack, self.folder)
        self.objective.restore(self.step)
        for phase, module in self.modules.items():
            load_state(module, state["modules"][phase], f"{folder}, {phase}")
            rates = [group["rate"] for group in self.optimizers[phase].param_groups]
            self.weights.load_optimizer(self.optimizers[phase], state["optimizers"][phase])
            # Rates come from the recipe, because older checkpoints have none.
            for group, rate in zip(self.optimizers[phase].param_groups, rates, strict=True):
                group["rate"] = rate
        if self.ema:
            load_state(self.ema, state["ema"], f"{folder}, averages")
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["rng"])

    def _initialise(self) -> None:
        """Let the objective fit random weights to the data, at the beginning of a run."""
        training, count = self.recipe.training, self.objective.first_scenes
        if not (count and self.begins and self.step == 0 and training.start_from is None):
            return
        batch = self.loaders["train"].batch(training.seed, 0, count).to(self.accelerator.device)
        done = self.objective.initialise(batch)
        if self._is_main:
            log.log(NOTE, "%s", done)
        if self.ema:
            self.ema.load_state_dict(self.model.state_dict())

    def _new_optimizer(self, phase: str) -> Any:
        parameters = self.weights.named(phase)
        return setup.new_optimizer(self.recipe.optimizer, self.objective, phase, parameters, self.accelerator)

    @property
    def _is_main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    def _sum(self, value: Tensor) -> Tensor:
        """Over all processes."""
        return self.accelerator.reduce(value, "sum") if self.accelerator.num_processes > 1 else value

    def _any_process(self, *flags: bool) -> list[bool]:
        """For each flag, whether any process raised it."""
        if self.accelerator.num_processes == 1:
            return list(flags)
        found: list[bool] = (self._sum(torch.tensor(flags, device=self.accelerator.device).float()) > 0).tolist()
        return found


@contextmanager
def _stop_after_step() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT into a flag, so that a step is never left half done; main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    requested = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def request(number: int, frame: object) -> None:
        requested.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, request)
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def learning_rate_factor(recipe: Recipe, step: int) -> float:
    """The factor of the learning rate at update ``step`` (from 0): a linear warm-up, then the recipe's schedule."""
    options, total = recipe.optimizer, recipe.training.steps
    if step < options.warmup_steps:
        return (step + 1) / options.warmup_steps
    if options.schedule == "constant":
        return 1.0
    if options.schedule == "milestones":
        return 0.1 ** sum(step >= milestone for milestone in options.milestones)
    start = max(options.fall_from, options.warmup_steps)
    done = min(max(step - start, 0) / max(total - start, 1), 1.0)
    left = 1 - done if options.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return max(options.fall_to + (1 - options.fall_to) * left, options.lowest)
