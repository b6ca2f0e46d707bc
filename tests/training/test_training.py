from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from filelock import FileLock

from helpers import many_scenes
from scenograph.data.clevr import VOCABULARY
from scenograph.data.hub import push_pack
from scenograph.data.loader import PackLoader
from scenograph.data.pack import read_vocabulary, write_pack
from scenograph.data.remote import at_hand
from scenograph.data.source import Sample, Samples
from scenograph.errors import NOTE, UserError
from scenograph.files import reserved
from scenograph.models.registry import MODELS, AutoModel
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.checkpoints import load_checkpoint
from scenograph.training.objectives import OBJECTIVES
from scenograph.training.recipe import Recipe, load_recipe, shipped_recipes
from scenograph.training.run_folder import RunFolder
from scenograph.training.setup import new_accelerator
from scenograph.training.sharding import DividedWeights, Weights
from scenograph.training.trainer import Trainer, learning_rate_factor


def settings(config) -> dict:
    """What a recipe says of a configuration."""
    return config.model_dump(mode="json", exclude={"vocabulary"}, exclude_unset=True)


def recipe(
    pack: Path | str, name: str, model: dict | None = None, objective: dict | None = None, workers: int = 0, **training
) -> Recipe:
    return Recipe.model_validate(
        {
            "name": name,
            "model": {"name": name, **settings(MODELS[name].Config.tiny(VOCABULARY)), **(model or {})},
            "objective": {"name": name, **settings(OBJECTIVES[name].Config.tiny()), **(objective or {})},
            "data": {"pack": str(pack), "workers": workers},
            "optimizer": {"lr": 1e-3, "warmup_steps": 2, "clip_norm": 1.0},
            "training": {
                "steps": 6, "batch_size": 8, "ema_decay": 0.9, "log_every": 1, "checkpoint_every": 2,
                "validate_every": 3, "validation_scenes": 8, "grid_scenes": 4, **training,
            },
        }
    )  # fmt: skip


def train(given: Recipe, folder: Path, stop_after: int | None = None) -> Trainer:
    trainer = Trainer(given, folder, torch.device("cpu"))

    def listener(step: int, figures: dict[str, float]) -> None:
        if step == stop_after:
            signal.raise_signal(signal.SIGINT)

    said = f"stopped at step {stop_after}, which is saved"
    with pytest.raises(KeyboardInterrupt, match=said) if stop_after else nullcontext():
        trainer.run(listener)
    assert trainer.step == (stop_after or given.training.steps)
    return trainer


def assert_same_weights(first: Trainer, second: Trainer) -> None:
    for phase, module in first.modules.items():
        for key, value in module.state_dict().items():
            other = second.modules[phase].state_dict()[key]
            assert torch.equal(other, value), f"{phase} {key}"


def assert_close_weights(first: Trainer, second: Trainer) -> None:
    """Adam's first steps follow the sign of a gradient, which rounding may turn where it is all but zero."""
    models = [{**trainer.modules, **({"ema": trainer.ema} if trainer.ema else {})} for trainer in (first, second)]
    for phase, module in models[0].items():
        state = models[1][phase].state_dict()
        differences = torch.cat([(state[key] - value).abs().flatten() for key, value in module.state_dict().items()])
        assert (differences > 1e-5).float().mean() < 0.02, phase


def assert_close_moments(one: dict, several: dict) -> None:
    """States of an optimizer on one process and on several, where weights that no loss uses have moments of 0."""
    assert one["param_groups"] == several["param_groups"] and one["state"].keys() <= several["state"].keys()
    pairs = []
    for number, values in several["state"].items():
        other = one["state"].get(number, {**values, "exp_avg": torch.zeros_like(values["exp_avg"])})
        assert values["step"] == other["step"] and values["exp_avg"].shape == other["exp_avg"].shape
        pairs.append(torch.stack([other["exp_avg"].flatten(), values["exp_avg"].flatten()]))
    first, second = torch.cat(pairs, dim=1)
    assert (first - second).norm() < 0.01 * first.norm()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_interrupted_run_continues_to_the_same_weights(painted, tmp_path, name, caplog):
    objective = {"eval_mode_after": 4} if name == "sg2im" else {}
    caplog.set_level(NOTE)
    whole = train(recipe(painted, name, objective=objective), tmp_path / "whole")
    train(recipe(painted, name, objective=objective), tmp_path / "parts", stop_after=3)
    parts = train(recipe(painted, name, objective=objective), tmp_path / "parts")
    assert parts.step == 6 and f"continuing {tmp_path / 'parts'} from step 3 of 6" in caplog.messages
    assert_same_weights(whole, parts)
    for key, value in whole.best_model.state_dict().items():
        assert torch.equal(value, parts.best_model.state_dict()[key])
    lines = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert lines == [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    model = AutoModel.from_pretrained(tmp_path / "parts" / "model")
    assert model.name == name
    if "image" in MODELS[name].roles:
        assert (tmp_path / "parts" / "grids" / "step-00000006.png").is_file()


@pytest.mark.parametrize("storage", ["memory", pytest.param("s3", marks=pytest.mark.slow)])
def test_a_run_on_a_pack_elsewhere_continues_to_the_weights_of_one_at_home(
    painted, tmp_path, monkeypatch, storage, request
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bucket = "memory://training" if storage == "memory" else request.getfixturevalue("bucket")
    push_pack(painted, f"{bucket}/painted")
    there = recipe(f"{bucket}/painted", "mise-layout", workers=int(storage == "s3"))
    train(there, tmp_path / "there", stop_after=3)
    shutil.rmtree(tmp_path / "cache")  # another machine continues
    at_hand.cache_clear()
    whole, parts = train(recipe(painted, "mise-layout"), tmp_path / "here"), train(there, tmp_path / "there")
    at_hand.cache_clear()
    assert parts.step == 6
    assert_same_weights(whole, parts)


def test_curves_keep_every_point_up_to_the_step_that_a_run_continues_from(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = RunFolder(tmp_path, writes=True)
    for begins, losses in ((0, {1: 1.0, 2: 2.0, 3: 9.0}), (2, {3: 3.0, 4: 4.0})):
        with folder.continued_from(begins):
            for step, loss in losses.items():
                folder.log(step, "train", {"loss": loss})
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(point.step, point.value) for point in curves.Scalars("train/loss")] == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_training_says_that_a_processor_would_imitate_half_precision(painted, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    for precision, times in (("no", 0), ("bf16", 1)):
        caplog.clear()
        Trainer(recipe(painted, "sg2im", precision=precision), tmp_path / precision, torch.device("cpu"))
        assert sum("does not compute in bf16" in message for message in caplog.messages) == times


@pytest.mark.parametrize("name", OBJECTIVES)
def test_half_precision_has_the_losses_of_full(painted, tmp_path, name):
    figures = []
    for precision in ("no", "bf16"):
        trainer = Trainer(recipe(painted, name, precision=precision), tmp_path / precision, torch.device("cpu"))
        figures.append(trainer._update())
    assert figures[0] == pytest.approx(figures[1], rel=0.03, abs=0.03)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_kept():
    program = """
import ctypes, resource, torch
from scenograph.devices import keep_freed_memory
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
def pages_cleared():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = ctypes.c_void_p(library.malloc(2**26))
    ctypes.memset(block, 1, 2**26)
    library.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for keep in (False, True):
    if keep:
        keep_freed_memory(torch.device("cpu"))
    pages_cleared()
    print(pages_cleared())
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    given_back, kept = map(int, found.stdout.split())
    assert kept < given_back / 4


def test_worker_processes_change_nothing_but_the_speed(painted, tmp_path):
    plain = recipe(painted, "mise-layout")
    ahead = plain.model_copy(update={"data": plain.data.model_copy(update={"workers": 2})})
    whole = train(plain, tmp_path / "whole")
    train(plain, tmp_path / "parts", stop_after=3)
    assert_same_weights(whole, train(ahead, tmp_path / "parts"))


@pytest.mark.parametrize("name", ["mise", "mise-layout", "sg2im"])
def test_accumulated_parts_give_the_gradients_of_the_whole_batch(painted, tmp_path, name):
    # Batch norm sees parts, so the comparison is of models without.
    model = {"normalization": "none", "mask_size": 0} if name == "sg2im" else {}
    gradients, figures = [], []
    for accumulate in (1, 4):
        trainer = Trainer(recipe(painted, name, model, accumulate=accumulate), tmp_path, torch.device("cpu"))
        found = {}

        def keep(phase, trainer=trainer, found=found):
            found |= {
                f"{phase} {key}": p.grad for key, p in trainer.modules[phase].named_parameters() if p.grad is not None
            }

        trainer._average_and_step = keep
        figures.append(trainer._update())
        gradients.append(found)
    assert figures[0] == pytest.approx(figures[1], rel=1e-4)
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) > 10
    for key, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], value, atol=1e-5, rtol=1e-3, msg=key)


def run_command(arguments: list[str], **options) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen([sys.executable, "-m", *arguments], env=environment, **options)


def test_processes_without_an_accelerator_are_told_to_compute_on_the_cpu(monkeypatch):
    """Otherwise each of those that torchrun starts takes itself for the only one."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)
    assert new_accelerator("no", None).state._cpu


def write_recipe(given: Recipe, path: Path) -> Path:
    path.write_text(yaml.safe_dump(given.model_dump(mode="json")))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lama", "mise", "sg2im"])
def test_two_processes_give_the_update_of_one(painted, tmp_path, name):
    # Batch norms share their statistics, so that LAMA and sg2im learn as on one process.
    model = {"mask_size": 0} if name == "sg2im" else {}
    given = recipe(painted, name, model, steps=3)
    path = write_recipe(given, tmp_path / "r.yaml")
    alone = train(given, tmp_path / "one")
    launch = ["accelerate.commands.launch", "--cpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no",
              "--dynamo_backend=no", "--main_process_port=0", "-m", "scenograph", "train", str(path), "--device", "cpu",
              "--out", str(tmp_path / "two")]  # fmt: skip
    process = run_command(launch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    both = Trainer(given, tmp_path / "two", torch.device("cpu"))
    both._resume()
    assert both.step == 3
    assert_close_weights(alone, both)
    first, second = (
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("one", "two")
    )
    for one, two in zip(first, second, strict=True):
        assert one.pop("kind") == two.pop("kind")
        assert one == pytest.approx(two, rel=1e-2, abs=1e-3)


MEASURED = """
import gc, json, math, os, runpy, sys, torch
from pathlib import Path
from scenograph.training.trainer import Trainer

run, held = Trainer.run, []

def measured(self, listener, minutes=math.inf):
    weights = sum(p.numel() for module in self.modules.values() for p in module.parameters())
    averages = sum(p.numel() for p in self.ema.parameters())

    def listen(step, figures):
        tensors = [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor)]
        storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}
        held.append(sum(storages.values()))
        listener(step, figures)

    folder = run(self, listen, minutes)
    found = {"held": held, "needed": 4 * (3 * weights + averages)}  # weights and Adam's moments
    Path(os.environ["MEASURED"], os.environ["RANK"]).write_text(json.dumps(found))
    return folder

Trainer.run = measured
sys.argv[0] = "scenograph"
runpy.run_module("scenograph", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "accumulate", "begun"), [("lama", 1, 1), ("mise", 2, 1), ("sg2im", 1, None)])
def test_a_divided_model_learns_as_a_whole_one(painted, tmp_path, name, accumulate, begun, monkeypatch):
    """From nothing or from a checkpoint of one process, and back to one."""
    model = {"mask_size": 0} if name == "sg2im" else {}
    given = recipe(painted, name, model, steps=3, accumulate=accumulate)
    arguments = [str(write_recipe(given, tmp_path / "r.yaml")), "--out", str(tmp_path / "two")]
    alone = train(given, tmp_path / "one")
    if begun:
        train(given, tmp_path / "two", stop_after=begun)
    launch = ["accelerate.commands.launch", "--use_fsdp", "--fsdp_version=2", "--num_processes=2", "--num_machines=1",
              "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0", "-m", "scenograph"]  # fmt: skip
    if name == "lama":
        (tmp_path / "measured.py").write_text(MEASURED)
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
        monkeypatch.setenv("MEASURED", str(tmp_path))
        launch = ["torch.distributed.run", "--standalone", "--nproc_per_node=2", str(tmp_path / "measured.py")]
    process = run_command([*launch, "train", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    both = Trainer(given, tmp_path / "two", torch.device("cpu"))
    both._resume()
    assert both.step == 3 and (f"from step {begun} of 3" in output) == bool(begun)
    assert_close_weights(alone, both)
    for phase, optimizer in alone.optimizers.items():
        assert_close_moments(optimizer.state_dict(), both.optimizers[phase].state_dict())
    averaged = AutoModel.from_pretrained(tmp_path / "two" / "model").state_dict()
    assert all(torch.equal(value, averaged[key]) for key, value in both.ema.state_dict().items())
    if name == "lama":
        for rank in "01":
            found = json.loads((tmp_path / rank).read_text())
            assert 0.5 * found["needed"] <= max(found["held"]) < 0.6 * found["needed"], "its share, buffers and a batch"
    train(given.model_copy(update={"training": given.training.model_copy(update={"steps": 4})}), tmp_path / "two")


def test_summed_gradients_lie_in_memory_as_their_weights():
    """Adam's fused kernel takes both as they lie, and would give a weight the gradient of another."""
    module = torch.nn.Conv2d(8, 4, 3).to(memory_format=torch.channels_last)
    processes = SimpleNamespace(num_processes=2, reduce=lambda value, how: 2 * value)
    weights = Weights(processes, {"model": module}, module, None)
    gradient = torch.randn_like(module.weight)
    module.weight.grad = gradient.clone()
    weights.step("model", SimpleNamespace(step=lambda: None), None)
    assert torch.equal(module.weight.grad, 2 * gradient) and not module.bias.grad.any()
    assert module.weight.grad.stride() == module.weight.stride() != torch.empty(module.weight.shape).stride()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "wsgc" else pytest.mark.slow) for name in OBJECTIVES]
)
def test_weights_that_come_and_go_change_nothing(painted, tmp_path, name, monkeypatch):
    """Here one process has the share of all: between updates its networks have no weights nevertheless."""
    given = recipe(painted, name, objective={"eval_mode_after": 2} if name == "sg2im" else {}, steps=3, grid_scenes=1)
    given = given.model_copy(update={"optimizer": given.optimizer.model_copy(update={"clip_norm": None})})
    whole = train(given, tmp_path / "whole")
    held = []
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        monkeypatch.setattr("scenograph.training.trainer.weights_of", DividedWeights)
        train(given, tmp_path / "parts", stop_after=1)
        parts = Trainer(given, tmp_path / "parts", torch.device("cpu"))
        parts.run(lambda *_: held.extend(p.numel() for m in parts.modules.values() for p in m.parameters()))
    finally:
        torch.distributed.destroy_process_group()
    assert held and not any(held)
    assert_same_weights(whole, parts)
    assert parts.validation_figures == whole.validation_figures


def test_memory_is_not_spared_in_silence(painted, tmp_path, monkeypatch):
    from accelerate.utils import DistributedType

    given = recipe(painted, "mise-layout")
    monkeypatch.setattr("accelerate.Accelerator.distributed_type", DistributedType.DEEPSPEED)
    with pytest.raises(UserError, match="set up for DEEPSPEED, which training does not support; .* launch --use_fsdp"):
        Trainer(given, tmp_path / "run", torch.device("cpu"))
    monkeypatch.undo()
    for variable in ("ACCELERATE_USE_FSDP", "FSDP_OFFLOAD_PARAMS"):
        monkeypatch.setenv(variable, "true")
    with pytest.raises(UserError, match="set up with fsdp_offload_params, which training does not support; leave it"):
        Trainer(given, tmp_path / "run", torch.device("cpu"))


@pytest.mark.slow
def test_a_killed_run_continues_to_the_same_weights(painted, tmp_path):
    given = recipe(painted, "mise", steps=60, checkpoint_every=5, validate_every=1000)
    path = write_recipe(given, tmp_path / "r.yaml")
    arguments = ["scenograph", "train", str(path), "--device", "cpu", "--out", str(tmp_path / "killed")]
    process = run_command(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("checkpoints/checkpoint-*.pt")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    continued = train(given, tmp_path / "killed")
    whole = train(given, tmp_path / "whole")
    assert_same_weights(whole, continued)


def test_one_process_at_a_time_trains_in_a_folder(painted, tmp_path):
    given = recipe(painted, "mise-layout")
    refused = []

    def try_as_well(step: int, figures: dict[str, float]) -> None:
        with pytest.raises(UserError, match="run: another command is at work there"):
            train(given, tmp_path / "run")
        refused.append(step)

    trainer = Trainer(given, tmp_path / "run", torch.device("cpu"))
    trainer.run(try_as_well)
    assert refused == [1, 2, 3, 4, 5, 6] and not (tmp_path / "run" / ".lock").exists()
    assert_same_weights(trainer, train(given, tmp_path / "whole"))
    assert train(given, tmp_path / "run").step == 6


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    monkeypatch.setattr(FileLock, "acquire", lambda *_, **__: (_ for _ in ()).throw(OSError(37, "No locks available")))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".lock").touch()  # somebody else's
    with reserved(tmp_path / "folder"):
        pass
    assert (tmp_path / "folder" / ".lock").exists()


def test_a_broken_checkpoint_is_named(painted, tmp_path):
    train(recipe(painted, "mise-layout"), tmp_path / "run", stop_after=3)
    newest = sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))[-1]
    for part in (100, 0):
        newest.write_bytes(newest.read_bytes()[:part])
        with pytest.raises(UserError, match="cannot read .*: damaged or cut short; delete it to use the one before"):
            Trainer(recipe(painted, "mise-layout"), tmp_path / "run").run()
    newest.unlink()
    assert train(recipe(painted, "mise-layout"), tmp_path / "run").step == 6


def test_a_full_disk_leaves_the_old_checkpoint(painted, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    train(recipe(painted, "mise-layout"), tmp_path / "run", stop_after=3)
    before = sorted((tmp_path / "run" / "checkpoints").iterdir())
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="No space left on device"):
        Trainer(recipe(painted, "mise-layout"), tmp_path / "run").run()
    assert sorted((tmp_path / "run" / "checkpoints").iterdir()) == before


def test_a_run_folder_belongs_to_one_recipe(painted, tmp_path):
    train(recipe(painted, "mise-layout"), tmp_path / "run")
    for changes, message in (
        ({"model": {"width": 64}}, "model.width=32, not model.width=64"),
        ({"seed": 5}, "training.seed=0, not training.seed=5"),
        ({"ema_decay": 0.5}, "not training.ema_decay=0.5"),
    ):
        with pytest.raises(UserError, match=f"holds a run with .*{message}; choose another --out"):
            Trainer(recipe(painted, "mise-layout", **changes), tmp_path / "run").run()
    (tmp_path / "run" / "recipe.yaml").write_text("}{")
    with pytest.raises(UserError, match=r"recipe .*recipe.yaml: "):
        Trainer(recipe(painted, "mise-layout"), tmp_path / "run").run()


def test_a_run_on_other_scenes_says_so(painted, tmp_path, caplog):
    shutil.copytree(painted, tmp_path / "pack")
    train(recipe(tmp_path / "pack", "mise-layout"), tmp_path / "run", stop_after=3)
    train(recipe(tmp_path / "pack", "mise-layout"), tmp_path / "run", stop_after=4)
    assert "are others" not in caplog.text
    shutil.rmtree(tmp_path / "pack")
    write_pack(tmp_path / "pack", Samples(VOCABULARY, {"train": many_scenes(8), "validation": many_scenes(4)}))
    train(recipe(tmp_path / "pack", "mise-layout"), tmp_path / "run")
    assert f"the scenes in {tmp_path / 'pack'} are others than when {tmp_path / 'run'} began" in caplog.text


def test_damaged_figures_do_not_stop_a_run(painted, tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    train(recipe(painted, "mise-layout"), tmp_path / "run", stop_after=3)
    whole = path.read_text()
    path.write_text(whole + '{}\n\0\0\n{"step": 4, "ki')
    train(recipe(painted, "mise-layout"), tmp_path / "run")
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert path.read_text().startswith(whole) and steps == sorted(steps) and steps[-1] == 6


def test_a_run_killed_before_its_first_checkpoint_writes_its_curves_once(painted, tmp_path):
    def kill(step: int, figures: dict[str, float]) -> None:
        if step == 3:
            raise RuntimeError("killed")

    given = recipe(painted, "mise-layout", checkpoint_every=4)
    with pytest.raises(RuntimeError, match="killed"):
        Trainer(given, tmp_path / "run", torch.device("cpu")).run(kill)
    path = tmp_path / "run" / "metrics.jsonl"
    assert path.read_text().count('"train"') == 2
    train(given, tmp_path / "run")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "train"] == [1, 2, 3, 4, 5, 6]


def test_models_that_draw_learn_from_pictures_only(painted, tmp_path):
    loader = PackLoader(painted, "train", (64, 64), 16)
    samples = [Sample(f"s{number}", scene, None) for number, scene in enumerate(loader.scenes(0, 3))]
    write_pack(tmp_path / "blind", Samples(loader.vocabulary, {"train": samples, "validation": samples}))
    message = "3 of 3 scenes of split 'train' have no picture for lama to learn from"
    with pytest.raises(UserError, match=message):
        Trainer(recipe(tmp_path / "blind", "lama"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert Trainer(recipe(tmp_path / "blind", "wsgc"), tmp_path / "run").begins


def test_a_recipe_that_wants_relations_of_a_pack_without_any_says_so(painted, tmp_path, caplog):
    scenes = PackLoader(painted, "train", (64, 64), 16).scenes(0, 3)
    bare = [Sample(f"s{number}", replace(scene, relations=()), None) for number, scene in enumerate(scenes)]
    said = "learns from graphs without any; "
    for predicates, policy, expected in (
        (SG2IM_PREDICATES, "stored", f"wsgc {said}data.relations=sg2im makes one per object from the boxes and"),
        (SG2IM_PREDICATES, "subset", f"mise-layout {said}data.relations=sg2im makes one"),
        ((), "stored", f"mise-layout {said}pack scenes that have some, or a vocabulary with the predicates left of,"),
        (SG2IM_PREDICATES, "sg2im", None),
    ):
        caplog.clear()
        shutil.rmtree(tmp_path / "bare", ignore_errors=True)
        names = replace(VOCABULARY, predicates=predicates)
        write_pack(tmp_path / "bare", Samples(names, {"train": bare, "validation": bare}))
        name = "mise-layout" if expected is None else expected.partition(" ")[0]
        data = {"data": {"pack": str(tmp_path / "bare"), "relations": policy}}
        Trainer(Recipe.model_validate(recipe(tmp_path / "bare", name).model_dump() | data), tmp_path / "run")
        assert expected in caplog.text if expected else not caplog.messages


def test_a_run_counts_its_time_wherever_it_was_stopped(painted, tmp_path):
    first = train(recipe(painted, "mise-layout", steps=10**6), tmp_path / "run", stop_after=3)
    saved = load_checkpoint(tmp_path / "run" / "checkpoints")["seconds"]
    assert 0 < saved < first.seconds
    again = Trainer(first.recipe, tmp_path / "run", torch.device("cpu"))
    again.run(minutes=saved / 60)
    assert again.step == 3, "no time was left"


def test_a_checkpoint_of_other_networks_is_named(painted, tmp_path):
    train(recipe(painted, "mise-layout"), tmp_path / "run", stop_after=3)
    shutil.copytree(tmp_path / "run" / "checkpoints", tmp_path / "other" / "checkpoints")
    with pytest.raises(UserError, match=r"other/checkpoints, .*: the weights do not fit the configuration"):
        Trainer(recipe(painted, "mise-layout", {"width": 64}), tmp_path / "other").run()


@pytest.mark.parametrize("name", ["attspade", "sg2im", "wsgc"])
def test_a_run_starts_from_the_networks_of_another(painted, tmp_path, name):
    first = train(recipe(painted, name, steps=2), tmp_path / "first")
    second = Trainer(recipe(painted, name, steps=3, start_from=str(tmp_path / "first")), tmp_path / "second")
    assert second.step == 0
    assert_same_weights(first, second)
    own = second.best_model.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in first.best_model.state_dict().items())
    second.run(lambda step, figures: None)
    again = Trainer(second.recipe, tmp_path / "second")
    again._resume()
    assert again.step == 3, "a run that has begun goes on from its own checkpoint"
    assert_same_weights(second, again)


def test_an_empty_folder_of_checkpoints_is_no_run(painted, tmp_path):
    """As a full disk leaves it at the first checkpoint: the same command must not begin with other weights."""
    first = train(recipe(painted, "mise-layout", steps=2), tmp_path / "first")
    (tmp_path / "second" / "checkpoints").mkdir(parents=True)
    second = Trainer(recipe(painted, "mise-layout", start_from=str(tmp_path / "first")), tmp_path / "second")
    assert second.begins
    assert_same_weights(first, second)


def test_a_run_starts_from_a_model(painted, tmp_path):
    first = train(recipe(painted, "sg2im", steps=2), tmp_path / "first")
    second = Trainer(recipe(painted, "sg2im", start_from=str(tmp_path / "first" / "model")), tmp_path / "second")
    own = second.model.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in first.best_model.state_dict().items())
    fresh = Trainer(recipe(painted, "sg2im"), tmp_path / "fresh")
    for phase in second.modules.keys() - {"generator"}:
        values = fresh.modules[phase].state_dict()
        assert all(torch.equal(value, values[key]) for key, value in second.modules[phase].state_dict().items())


def test_a_run_does_not_start_from_what_does_not_fit(painted, tmp_path):
    with pytest.raises(UserError, match="training.start_from: no model 'nowhere'"):
        Trainer(recipe(painted, "mise-layout", start_from="nowhere"), tmp_path / "run")
    train(recipe(painted, "mise-layout"), tmp_path / "narrow")
    with pytest.raises(UserError, match="narrow, which has model.width=32: the weights do not fit the configuration"):
        wide = recipe(painted, "mise-layout", {"width": 64}, start_from=str(tmp_path / "narrow"))
        Trainer(wide, tmp_path / "wide")
    with pytest.raises(UserError, match="narrow: that is a mise-layout, the recipe trains a wsgc"):
        Trainer(recipe(painted, "wsgc", start_from=str(tmp_path / "narrow")), tmp_path / "run")
    config = tmp_path / "narrow" / "model" / "config.json"
    config.write_text(config.read_text().replace('"cube"', '"dice"').replace('"red"', '"rouge"'))
    with pytest.raises(UserError, match=r"narrow: the model lacks 2 of the names of the pack .* \(color red, cube"):
        Trainer(recipe(painted, "mise-layout", start_from=str(tmp_path / "narrow")), tmp_path / "run")


@pytest.mark.parametrize("name", ["attspade", "sg2im", "wsgc"])
def test_a_run_starts_from_a_model_with_more_names(painted, tmp_path, name):
    """As imported models have: in another order, some that the data lack, some that nobody can ask for."""
    kind = MODELS[name]
    own = kind.vocabulary_for(read_vocabulary(painted))
    first, *others = own.categories  # sg2im's and AttSPADE's first is __image__
    names = Vocabulary((first, "dog", *others[::-1]), (*own.predicates, "__padding__", "riding"), own.attributes)
    given = kind(kind.Config.tiny(names))
    given.save_pretrained(tmp_path / "given")
    steps = {"steps": 3, "start_from": str(tmp_path / "given")}
    run = Trainer(recipe(painted, name, **steps), tmp_path / "run", torch.device("cpu"))
    assert run.model.vocabulary == names
    assert all(torch.equal(value, given.state_dict()[key]) for key, value in run.model.state_dict().items())
    run.run()
    shutil.rmtree(tmp_path / "given")  # a run that has begun needs it no more
    assert train(recipe(painted, name, **steps | {"steps": 4}), tmp_path / "run").model.vocabulary == names
    assert AutoModel.from_pretrained(tmp_path / "run" / "model").vocabulary == names
    (tmp_path / "run" / "vocabulary.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read .*vocabulary\.json: .*; delete it"):
        Trainer(recipe(painted, name, **steps), tmp_path / "run", torch.device("cpu"))


def test_a_run_goes_on_when_recipes_have_learnt_new_fields(painted, tmp_path):
    train(recipe(painted, "mise-layout"), tmp_path / "run")
    path = tmp_path / "run" / "recipe.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "milestones" not in line))
    path = max((tmp_path / "run" / "checkpoints").iterdir())
    state = torch.load(path, weights_only=True)
    for optimizer in state["optimizers"].values():
        for group in optimizer["param_groups"]:
            del group["rate"]
    torch.save(state, path)
    assert train(recipe(painted, "mise-layout", steps=7), tmp_path / "run").step == 7


def test_a_loss_that_is_not_finite_skips_the_step(painted, tmp_path):
    trainer = Trainer(recipe(painted, "mise-layout"), tmp_path / "run", torch.device("cpu"))
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    original = trainer.objective.loss

    def broken(*arguments):
        loss, terms = original(*arguments)
        return loss * float("nan"), terms

    trainer.objective.loss = broken
    trainer._update()
    assert trainer.step == 1
    assert all(torch.equal(value, trainer.model.state_dict()[key]) for key, value in before.items())


def test_sg2im_without_discriminators_has_one_phase(painted, tmp_path):
    trainer = train(recipe(painted, "sg2im", objective={"adversarial_weight": 0.0}), tmp_path / "run")
    assert list(trainer.modules) == ["generator"]
    figures = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"box_iou", "recall_0.3", "recall_0.5", "relations", "pixels"} <= set(figures)


def test_sg2im_switches_to_eval_mode_with_a_fresh_optimizer(painted, tmp_path):
    trainer = Trainer(recipe(painted, "sg2im", objective={"eval_mode_after": 3}), tmp_path / "run", torch.device("cpu"))
    optimizers = []
    for _ in range(4):
        trainer._update()
        optimizers.append((trainer.optimizers["generator"], trainer.model.training))
    assert [training for _, training in optimizers] == [True, True, False, False]
    assert optimizers[1][0] is not optimizers[2][0] and optimizers[2][0] is optimizers[3][0]


def test_training_learns(painted, tmp_path):
    given = recipe(painted, "mise", steps=120, validate_every=60, checkpoint_every=1000)
    trainer = train(given.model_copy(update={"optimizer": given.optimizer.model_copy(update={"lr": 3e-3})}), tmp_path)
    assert trainer.validation_figures["velocity"] < 0.6


# Recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(name):
    given = load_recipe(name)
    assert given.name == name
    assert given.training.steps >= 300
    options = {key: value for key, value in given.objective.items() if key != "name"}
    OBJECTIVES[given.objective["name"]].Config.model_validate(options)
    options = {key: value for key, value in given.model.items() if key != "name"}
    groups = {group: [] for group in options.get("groups", ())}
    names = {"categories": [], "predicates": [], "attributes": groups}
    MODELS[given.model["name"]].Config.model_validate({"vocabulary": names, **options})


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("tiny-attspade", "objective.crop_size=3", "does not take pictures of 3 x 3 pixels"),
        ("tiny-attspade", "objective.pixel_weight=-1", "pixel_weight: Input should be greater than or equal to 0"),
        ("tiny-attspade", "model.image_size=0", "image_size.0: Input should be greater than 0"),
        (
            "tiny-attspade",
            "model.image_size=[]",
            "image_size: expected a side such as 64, or height and width such as [64, 96]",
        ),
        ("tiny-mise", "model.image_size=[32,42]", "image_size 42: must be a multiple of 4"),
        (
            "tiny-lama",
            "model.image_size=[64,128]",
            "image_size: expected one side such as 64, since this network draws",
        ),
        ("tiny-lama", "objective.discriminator_channels=0", "discriminator_channels: Input should be greater"),
        ("tiny-mise", "model.channels=[3,32]", "the first must be even"),
        ("tiny-mise", "model.channels=[]", "channels: Tuple should have at least 1 item"),
        ("tiny-mise-layout", "model.heads=3", "must be a multiple of twice the 3 heads"),
        ("tiny-object-classifier", "model.groups=[colour]", "no such attribute group (did you mean 'color'?)"),
        ("tiny-sg2im", "objective.object_discriminator=[]", "Cannot merge incompatible container types"),
        ("tiny-wsgc", "optimizer.betas=[0.9,1]", "betas.1: Input should be less than 1 (found 1)"),
    ],
)
def test_settings_that_no_network_can_have_are_one_line(painted, tmp_path, name, setting, message):
    with pytest.raises(UserError) as caught:
        Trainer(load_recipe(name, [f"data.pack={painted}", setting]), tmp_path / "run")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_bare_no_is_a_precision():
    assert load_recipe("tiny-mise", ["training.precision=no"]).training.precision == "no"


def test_published_settings():
    given = load_recipe("sg2im-coco-64")
    assert given.training.steps == 1_000_000 and given.training.batch_size == 32 and given.optimizer.lr == 1e-4
    assert load_recipe("sg2im-vg-128").model["image_size"] == [128, 128]
    given = load_recipe("lama-coco-128")
    epoch = given.objective["epoch_steps"]
    factors = [learning_rate_factor(given, step) for step in (0, 120 * epoch - 1, 120 * epoch, 160 * epoch)]
    assert factors == pytest.approx([1.0, 1.0, 0.1, 0.01])
    for name, pictures, epochs in (
        ("coco-256", 118_287, 100),
        ("ade20k-256", 20_210, 200),
        ("cityscapes-512", 2_975, 200),
    ):
        given = load_recipe(f"spade-{name}")
        assert round(given.training.steps * given.training.batch_size / pictures) == epochs
        assert round(256 / given.data.crop) == (256 if name == "cityscapes-512" else 286)
        falls = given.training.steps // 2 if epochs == 200 else given.training.steps - 1
        assert learning_rate_factor(given, falls) == 1
        assert (learning_rate_factor(given, given.training.steps) == 0) == (epochs == 200)
    stages = [
        load_recipe(f"scene-designer-{stage}")
        for stage in ("quickdraw-coco-objects", "quickdraw-coco-scenes", "sketchycoco")
    ]
    assert [given.training.steps for given in stages] == [100_000, 120_000, 5_000]
    assert [given.training.batch_size for given in stages] == [64, 16, 16]
    assert [given.optimizer.lr for given in stages] == [1e-4, 1e-4, 1e-5]
    assert [given.optimizer.betas for given in stages] == [(0.5, 0.999), (0.9, 0.999), (0.9, 0.999)]
    assert {given.optimizer.epsilon for given in stages} == {1e-7}


@pytest.mark.parametrize(
    ("source", "overrides", "message"),
    [
        ("mise-rendred-64", [], "did you mean 'mise-rendered-64'"),
        ("mise-rendered-64", ["optimizer.lr"], "expected key=value"),
        ("mise-rendered-64", ["optimizer.lr=fast"], "optimizer.lr: .*found 'fast'"),
        ("mise-rendered-64", ["optimizer.rate=1"], "optimizer.rate: no such setting .choose from: lr, betas,"),
        ("mise-rendered-64", ["optimizer.schedul=cosine"], "optimizer.schedul: .* .did you mean 'schedule'"),
        ("mise-rendered-64", ["optimiser.lr=1"], "optimiser: .* .did you mean 'optimizer'"),
        ("mise-rendered-64", ["training.steps=0"], "training.steps"),
        (
            "spade-coco-256",
            ["optimizer.fall_from=9"],
            "fall_from 9: 'constant' does not fall; optimizer.schedule=linear",
        ),
        (
            "spade-coco-256",
            ["optimizer.schedule=linear", "optimizer.fall_from=9", "training.steps=9"],
            "fall_from 9: training.steps 9 end before it",
        ),
    ],
)
def test_bad_recipes(source, overrides, message):
    with pytest.raises(UserError, match=message):
        load_recipe(source, overrides)


def test_bad_models_and_batches_are_one_line(painted, tmp_path):
    with pytest.raises(UserError, match="unknown model 'misee' .did you mean 'mise'"):
        Trainer(recipe(painted, "mise", {"name": "misee"}), tmp_path)
    with pytest.raises(UserError, match=r"recipe, model: blocks: .*valid integer"):
        Trainer(recipe(painted, "mise", {"blocks": "many"}), tmp_path)
    with pytest.raises(UserError, match=r"object_discriminator.archi: no such setting .did you mean 'arch'"):
        Trainer(recipe(painted, "sg2im", objective={"object_discriminator": {"archi": ""}}), tmp_path)
    with pytest.raises(UserError, match="batch_size 8 cannot be divided by 3"):
        Trainer(recipe(painted, "mise", accumulate=3), tmp_path / "run", torch.device("cpu")).run()


def test_schedule():
    given = load_recipe("mise-rendered-64")
    warmup, total = given.optimizer.warmup_steps, given.training.steps
    factors = [learning_rate_factor(given, step) for step in (0, warmup - 1, warmup, total)]
    assert factors == pytest.approx([1 / warmup, 1.0, 1.0, 0.0])


@pytest.mark.parametrize(("schedule", "quarter"), [("linear", 0.75), ("cosine", 0.5 + 0.5**1.5)])
def test_rates_that_fall_from_a_later_step(schedule, quarter):
    given = load_recipe(
        "spade-coco-256", [f"optimizer.schedule={schedule}", "optimizer.fall_from=100", "training.steps=200"]
    )
    factors = [learning_rate_factor(given, step) for step in (0, 100, 125, 150, 200)]
    assert factors == pytest.approx([1.0, 1.0, quarter, 0.5, 0.0])


def test_lama_learns_at_its_own_rates_and_lets_the_discriminator_begin(painted, tmp_path):
    objective = {"discriminator_rate": 3.0, "head_start": 1, "epoch_steps": 2}
    trainer = Trainer(recipe(painted, "lama", objective=objective), tmp_path, torch.device("cpu"))
    rates = {
        phase: {
            name: group["rate"]
            for group in trainer.optimizers[phase].param_groups
            for name, parameter in module.named_parameters()
            if any(parameter is member for member in group["params"])
        }
        for phase, module in trainer.modules.items()
    }
    assert rates["generator"]["style_mapping.0.weight"] == rates["generator"]["blocks.0.norm1.rho"] == 0.1
    assert rates["generator"]["blocks.0.alpha"] == 1.0 and rates["discriminator"]["trunk.0.conv1.weight"] == 3.0
    assert rates["discriminator"]["trunk.0.alpha"] == pytest.approx(0.6)
    moved = []
    for _ in range(3):
        before = trainer.model.fc.weight.detach().clone()
        trainer._update()
        moved.append(not torch.equal(before, trainer.model.fc.weight))
    assert moved == [False, True, False]


def test_averaged_weights_keep_the_vectors_of_spectral_norms(painted, tmp_path):
    trainer = train(recipe(painted, "lama", steps=3), tmp_path)
    layer, average = trainer.model.fc, trainer.ema.fc
    assert torch.equal(layer.weight_u, average.weight_u) and not torch.equal(layer.weight, average.weight)


CPU = torch.device("cpu")


def small(pack: Path, steps: int) -> Recipe:
    often = {"steps": steps, "validate_every": 100, "validation_scenes": 2, "grid_scenes": 0}
    return recipe(pack, "mise-layout", **often, checkpoint_every=100)


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(painted, tmp_path, monkeypatch):
    save, run = torch.save, tmp_path / "run"

    def full(state, stream):
        stream.write(b"half")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 704 vs 598")  # as torch's writer says it

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"cannot write .*checkpoint-00000002.pt: No space left on device"):
        Trainer(small(painted, 2), run, CPU).run()
    assert not list((run / "checkpoints").iterdir())
    monkeypatch.setattr(torch, "save", save)
    (run / "checkpoints" / ".checkpoint-00000002.pt.0a1b2c3d.tmp").write_bytes(b"left by a kill")
    (run / ".recipe.yaml.0a1b2c3d.tmp").write_bytes(b"left by a kill")
    Trainer(small(painted, 2), run, CPU).run()
    assert not list(run.rglob("*.tmp"))


def test_damaged_files_of_a_run_are_named(painted, tmp_path, caplog):
    run = tmp_path / "run"
    Trainer(small(painted, 2), run, CPU).run()
    curves = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").write_bytes(b"\xff\xfe{\n" + b'{"step": 1' + b"0" * 400 + b"}\n" + curves)
    Trainer(small(painted, 3), run, CPU).run()
    assert "2 lines are damaged and left out" in caplog.text
    newest = sorted((run / "checkpoints").glob("*.pt"))[-1]
    whole = torch.load(newest, weights_only=True)
    for state in ([1], {}, {"step": "3", "modules": {}}, {"step": 3, "modules": {}}, {**whole, "optimizers": {}}):
        torch.save(state, newest)
        with pytest.raises(UserError, match="delete it to use the one before"):
            Trainer(small(painted, 4), run, CPU).run()
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cannot read .*damaged or cut short; delete it to use the one before"):
        Trainer(small(painted, 4), run, CPU).run()
    newest.unlink()
    Trainer(small(painted, 4), run, CPU).run()
    for content in (
        b"\xff\xfe",
        b"- 1",
        b"a: &a [1]\nb: *a",
        b"model: {name: ${oc.env:HOME}}",
        b"[" * 2000,
        b"model: 7",
    ):
        (run / "recipe.yaml").write_bytes(content)
        with pytest.raises(UserError, match=r"recipe .*recipe.yaml"):
            Trainer(small(painted, 5), run, CPU).run()


def test_recipes_from_elsewhere_read_no_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    path = tmp_path / "r.yaml"
    text = shipped_recipes()["tiny-mise"].read_text()
    path.write_text(text.replace("name: tiny-mise", "name: ${oc.env:SECRET}"))
    for source, overrides in ((path, []), ("tiny-mise", ["name=${oc.env:SECRET}"])):
        with pytest.raises(UserError, match=r"a reference, \$\{...\}, which is not followed") as caught:
            load_recipe(str(source), overrides)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["model: " + "[" * 100_000, "- " * 50_000, "a: " + "{b: " * 5000])
def test_recipes_that_are_nested_too_deeply_are_refused_at_once(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="nested more than 20 levels deep; a recipe has four"):
        load_recipe(str(path))
    with pytest.raises(UserError, match="nested more than 20 levels deep"):
        load_recipe("tiny-mise", [f"model.x={'[' * 5000}"])


# Resuming


def test_a_run_continues_from_a_checkpoint_of_choice(painted, tmp_path):
    cpu, given = torch.device("cpu"), recipe(painted, "mise-layout")
    first = train(given, tmp_path / "run")
    four, six = (tmp_path / "run" / "checkpoints" / f"checkpoint-0000000{step}.pt" for step in (4, 6))
    shutil.copy(four, tmp_path / "four.pt")
    again = Trainer(given, tmp_path / "run", cpu, resume=str(four))
    assert not again.begins and six.exists()
    steps = []
    again.run(lambda step, figures: steps.append(step))
    assert steps == [5, 6]
    assert_same_weights(first, again)
    shorter = recipe(painted, "mise-layout", steps=5)
    Trainer(shorter, tmp_path / "run", cpu, resume=str(four)).run()
    assert not six.exists(), "what was trained after the chosen step is another run's"
    other = Trainer(given, tmp_path / "other", cpu, resume=str(tmp_path / "run"))
    other.run()
    assert_same_weights(first, other)
    assert len((tmp_path / "other" / "metrics.jsonl").read_text().splitlines()) == 2  # of step 6


def test_what_cannot_be_resumed_is_one_line(painted, tmp_path, scenograph):
    cpu, given = torch.device("cpu"), recipe(painted, "mise-layout", steps=2)
    fresh = Trainer(given, tmp_path / "run", cpu, resume="none")
    assert fresh.begins
    fresh.run()
    with pytest.raises(UserError, match=r"--resume none: .*run holds a run already, up to checkpoint-00000002\.pt"):
        Trainer(given, tmp_path / "run", cpu, resume="none")
    for nothing in ("nowhere", str(tmp_path)):
        with pytest.raises(UserError, match=f"--resume {nothing}: no checkpoint there; choose latest, none"):
            Trainer(given, tmp_path / "new", cpu, resume=nothing)
    (tmp_path / "torn.pt").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"cannot read .*torn\.pt"):
        Trainer(given, tmp_path / "new", cpu, resume=str(tmp_path / "torn.pt")).run()


def test_a_second_pack_is_mixed_in(painted, tmp_path):
    names = read_vocabulary(painted)
    foreign = Vocabulary((*names.categories, "dice"), ("riding",), names.attributes)
    write_pack(tmp_path / "small", Samples(names, {"train": many_scenes(6)}))
    write_pack(tmp_path / "foreign", Samples(foreign, {"train": many_scenes(6)}))
    given = recipe(painted, "mise-layout", steps=2)

    def trainer(pack: str, **data) -> Trainer:
        data = given.data.model_copy(update={"mix": tmp_path / pack, **data})
        return Trainer(given.model_copy(update={"data": data}), tmp_path / pack / "run", torch.device("cpu"))

    run = trainer("small")
    mixed = run.loaders["train"].mixed
    assert mixed.steps == 2 and len(mixed.loader) == 6 and run.loaders["validation"].mixed is None
    run.run()
    with pytest.raises(UserError, match=r"data\.mix .*foreign: the model lacks 2 of its names \(dice, riding\)"):
        trainer("foreign")
    with pytest.raises(UserError, match=r"lacks 1 of its names \(dice\)"):  # relations that are not read may be any
        trainer("foreign", relations="none")


def test_rates_that_fall_to_a_floor():
    given = load_recipe("scene-designer-quickdraw-coco-objects")
    total = given.training.steps
    factors = [learning_rate_factor(given, step) for step in (0, total // 2, total)]
    assert factors == pytest.approx([1.0, 0.55, 0.2])  # max(0.2, 1 - 0.9 step / steps)
