"""Every system on another device: the accelerator of this machine if it has one, and a pretended one."""

import copy
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

import elsewhere
import scenograph
from helpers import PLACING, WAYS_TO_DRAW, PlainCrops, tiny
from scenograph import devices
from scenograph.data.clevr import VOCABULARY
from scenograph.devices import pick_device, take_free_cores
from scenograph.errors import UserError
from scenograph.pipelines import Pipeline, place_objects
from scenograph.scenes.text import scene_from_text
from scenograph.training.objectives.base import Totals
from scenograph.training.recipe import load_recipe, shipped_recipes
from scenograph.training.trainer import Trainer

VARIANTS = [
    *([name] for name in shipped_recipes() if name.startswith("tiny-") and name != "tiny-mise-layout"),
    ["tiny-mise-layout", "model.steps=2"],
    ["tiny-attspade", "model.overlaps=smaller", "model.coordinates=true"],
    ["tiny-spade", "model.edges=true", "model.latent_size=4"],
    ["tiny-wsgc", "model.exact=true"],
    ["tiny-wsgc", "model.per_pair=true", "model.mask_size=16", "objective.mask_gan_weight=1"],
]
TEXTS = ["large red metal cube left of small blue rubber sphere", "small gray metal cylinder behind green cube"]
ACCELERATOR = torch.accelerator.current_accelerator(check_available=True)


@pytest.fixture(params=["pretended", "accelerator"])
def device(request, monkeypatch):
    if request.param == "accelerator" and ACCELERATOR is None:
        pytest.skip("this machine has none")
    with elsewhere.pretended(monkeypatch) if request.param == "pretended" else nullcontext(ACCELERATOR) as found:
        yield found


@pytest.mark.parametrize(("idle", "threads"), [((5.0, 5.2), "2"), ((5.0, 5.02), "1"), ((None, None), None)])
def test_torch_gets_the_cores_that_are_free_and_waits_without_spinning(idle, threads, monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(devices, "_idle_seconds", iter(idle).__next__)
    clock = iter([7.0, 7.1])
    monkeypatch.setattr(devices.time, "monotonic", lambda: next(clock))
    take_free_cores()
    assert os.environ.get("OMP_NUM_THREADS") == threads and os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_what_the_environment_says_of_threads_is_kept(monkeypatch):
    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "5", "OMP_WAIT_POLICY": "ACTIVE"})
    take_free_cores()
    assert os.environ == {"OMP_NUM_THREADS": "5", "OMP_WAIT_POLICY": "ACTIVE"}


def test_importing_the_package_prepares_torch_unless_it_is_loaded():
    seen = "import os; print(os.environ.get('OMP_WAIT_POLICY'), 'torch' in sys.modules)"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    for before, expected in (("", "PASSIVE False"), ("sys.modules['torch'] = sys; ", "None True")):
        code = f"import sys; {before}import scenograph; {seen}"
        said = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True).stdout
        assert said.strip() == expected


@pytest.mark.parametrize("name", scenograph.__all__)
def test_the_package_has_what_it_promises(name):
    assert getattr(scenograph, name).__name__ == name if name != "__version__" else scenograph.__version__


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system does not tell how busy it is")
def test_idle_time_is_that_of_the_cores_at_hand():
    first = devices._idle_seconds()
    assert 0 <= first <= devices._idle_seconds()


def test_gpu_is_any_accelerator(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("xpu"))
    assert pick_device("gpu") == pick_device("auto") == torch.device("xpu")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    with pytest.raises(UserError, match="device 'gpu' is not available: this machine has no accelerator"):
        pick_device("gpu")


def test_the_pretended_device_notices_what_a_gpu_would(monkeypatch):
    with elsewhere.pretended(monkeypatch) as device:
        there, here = torch.arange(6.0, device=device).view(2, 3), torch.ones(2, 3)
        assert there.device == device and (there + there.new_ones(2, 3) * 2).tolist() == [[2, 3, 4], [5, 6, 7]]
        assert there[:, [0, 2]][torch.tensor([1])].tolist() == [[3, 5]] and float(there.sum()) == 15
        with pytest.raises(RuntimeError, match="two devices"):
            there + here
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(2, generator=torch.Generator(), device=device)
        with pytest.raises(TypeError, match="array"):
            there.numpy()
        layer = torch.nn.Linear(3, 2).to(device)
        layer(there).sum().backward()
        assert layer.weight.grad.device == device and layer.weight.grad.tolist() == [[3, 5, 7]] * 2


@pytest.mark.parametrize("recipe", VARIANTS, ids=" ".join)
def test_losses_are_those_of_the_cpu(recipe, device, painted, tmp_path):
    name, *settings = recipe
    data = [f"data.pack={painted}", "training.precision=no"]
    with torch.utils._python_dispatch._disable_current_modes():
        trainer = Trainer(load_recipe(name, [*data, *settings]), tmp_path / "run", torch.device("cpu"))
        batch = trainer.loaders["train"].fixed_batch(0, 2)
        states = {phase: copy.deepcopy(module.state_dict()) for phase, module in trainer.modules.items()}
        here = losses(trainer, batch)
    for phase, module in trainer.modules.items():
        module.load_state_dict(states[phase])  # spectral norms and running statistics move on
        module.to(device)
    there = losses(trainer, batch.to(device))
    assert there == pytest.approx(here, rel=1e-3, abs=1e-4)
    generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
    model = trainer.model.eval()
    with torch.no_grad():
        assert trainer.objective.validate(model, batch.to(device), generators)
        for pictures in trainer.objective.render_grid(model, batch.to(device), generators).values():
            assert pictures.cpu().isfinite().all()


@pytest.mark.parametrize("name", PLACING)
def test_places_are_those_of_the_cpu(name, device):
    torch.manual_seed(0)
    scenes = [scene_from_text(text, VOCABULARY) for text in TEXTS]
    placed = [place_objects(model, scenes, [3, 4], refine=True) for model in both(name, device)]
    here, there = ([thing.box for scene in found for thing in scene.objects] for found in placed)
    assert np.allclose(here, there, atol=1e-3)


@pytest.mark.parametrize(("name", "settings"), WAYS_TO_DRAW)
def test_pictures_are_those_of_the_cpu(name, settings, device):
    torch.manual_seed(0)
    with torch.utils._python_dispatch._disable_current_modes():
        placed = place_objects(tiny("mise-layout").eval(), [scene_from_text(TEXTS[0], VOCABULARY)], [0])
    models = both(name, device, **settings)
    here, there = (
        np.asarray(Pipeline(model, crops=PlainCrops())(placed, seeds=[1]).images[0], int) for model in models
    )
    assert abs(here - there).max() <= 2 and here.std() > 0


def both(name, device, **settings):
    """One model here, and there."""
    with torch.utils._python_dispatch._disable_current_modes():
        model = tiny(name, **settings).eval()
        yield model
    yield copy.deepcopy(model).to(device)


def losses(trainer: Trainer, batch) -> dict[str, float]:
    """Of every phase, gradients taken."""
    totals, memory, found = Totals(2, len(batch.objects), len(batch.triples)), {}, {}
    for phase in trainer.objective.active(0):
        generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
        loss, _ = trainer.objective.loss(phase, batch, totals, generators, memory)
        loss.backward()
        found[phase] = float(loss.detach())
    return found
