"""What several test files need."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import typer.main
from PIL import Image, ImageDraw

from helpers import tiny
from scenograph.cli.main import run
from scenograph.data.clevr import VOCABULARY
from scenograph.data.pack import write_pack
from scenograph.data.rendered import COLORS
from scenograph.data.source import Sample, Samples
from scenograph.retrieval.build import build_memory
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.sketch import Sketch

SHARED = Path(os.environ.get("SCENOGRAPH_SHARED", Path(__file__).parents[2] / "shared"))
"""Recorded outputs of the original systems and real data; tests that read them are skipped where they are absent."""

# Tests compute little, and threads that share cores with other workers' wait for each other.
torch.set_num_threads(1)
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}  # of workers, and of commands that tests start

MOST_WORKERS = 4
"""Each holds about a gigabyte, and loads and collects for some twenty seconds."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in a process per core; files that are named, in this one, which begins at once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    named = config.args_source != pytest.Config.ArgsSource.TESTPATHS
    return 0 if named or cores == 1 else min(cores, MOST_WORKERS)


@pytest.fixture
def golden() -> Path:
    folder = SHARED / "golden"
    if not folder.is_dir():
        pytest.skip(f"no recorded outputs at {folder}")
    return folder


@pytest.fixture
def two_threads():
    """For recordings that one thread, which adds up in another order, misses by rounding errors that grow on the way."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture
def real_data() -> Path:
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture
def bucket(monkeypatch):
    """The address of an empty bucket, in object storage that this process serves."""
    s3fs, server = pytest.importorskip("s3fs"), pytest.importorskip("moto.server")
    store = server.ThreadedMotoServer(port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("ENDPOINT_URL", f"http://{host}:{port}")):
        monkeypatch.setenv(f"AWS_{name}", value)
    s3fs.S3FileSystem.clear_instance_cache()  # which know another server
    s3fs.S3FileSystem().mkdir("bucket")
    yield "s3://bucket"
    s3fs.S3FileSystem.clear_instance_cache()
    store.stop()


@pytest.fixture(scope="session")
def painted(tmp_path_factory) -> Path:
    """A pack of 24 + 8 scenes whose objects are flat coloured rectangles: learnable, and made in a moment."""
    folder = tmp_path_factory.mktemp("painted")
    rng = np.random.default_rng(0)
    splits = {"train": painted_scenes(rng, 24, folder), "validation": painted_scenes(rng, 8, folder)}
    write_pack(folder / "pack", Samples(VOCABULARY, splits))
    return folder / "pack"


def painted_scenes(rng: np.random.Generator, count: int, folder: Path) -> list[Sample]:
    rows = []
    for number in range(count):
        objects = []
        picture = Image.new("RGB", (32, 32), "white")
        for _ in range(int(rng.integers(2, 5))):
            low = rng.uniform(0, 0.6, 2)
            box = (*low.tolist(), *(low + rng.uniform(0.2, 0.4, 2)).tolist())
            attributes = tuple(str(rng.choice(names)) for names in VOCABULARY.attributes.values())
            ImageDraw.Draw(picture).rectangle([32 * value for value in box], fill=COLORS[attributes[1]])
            category = str(rng.choice(VOCABULARY.categories))
            crop = np.asarray(Image.new("RGBA", (8, 8), COLORS[attributes[1]]))
            mask, sketch = rng.random((16, 16)) > 0.3, Sketch((np.array([[0, 0], [1, 1], [0, 1]]),))
            objects.append(SceneObject(category, attributes, box, mask, sketch=sketch, crop=crop))
        x = [(thing.box[0] + thing.box[2]) / 2 for thing in objects]
        pairs = [(i, j) for i in range(len(objects)) for j in range(len(objects)) if i != j]
        relations = tuple(Relation(i, "left of" if x[i] < x[j] else "right of", j) for i, j in pairs)
        path = folder / f"{len(list(folder.glob('*.png')))}.png"
        picture.save(path)
        rows.append(Sample(f"painted-{number}", Scene(tuple(objects), relations), path))
    return rows


@pytest.fixture
def float64(monkeypatch):
    """Everything in float64, what half precision casts up included."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


commands_of = cache(typer.main.get_command)
"""A process of the command line builds its commands once; that takes most of the time of a command that is refused."""


@pytest.fixture
def scenograph(monkeypatch, capsys, tmp_path):
    """Runs a command in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(typer.main, "get_command", commands_of)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["scenograph", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            run()
        output = capsys.readouterr()
        return int(caught.value.code or 0), output.out, output.err

    return command


@pytest.fixture(scope="session")
def crop_encoders(tmp_path_factory) -> list[str]:
    """A tiny graph network and a tiny classifier, for memories of crops."""
    folder = tmp_path_factory.mktemp("encoders")
    names = []
    for name in ("sg2im", "object-classifier"):
        torch.manual_seed(0)
        tiny(name).save_pretrained(folder / name)
        names.append(str(folder / name))
    return names


@pytest.fixture(scope="session")
def built_memory(painted, crop_encoders, tmp_path_factory) -> Path:
    """A memory of the crops of ``painted``; not to be changed."""
    pytest.importorskip("lancedb")
    folder = tmp_path_factory.mktemp("memories") / "painted.memory"
    build_memory(folder, painted, "train", crop_encoders, licence="CC0-1.0", author="A. Painter")
    return folder


@pytest.fixture
def crop_memory(built_memory, tmp_path) -> Path:
    """A copy of ``built_memory``."""
    shutil.copytree(built_memory, tmp_path / "m")
    return tmp_path / "m"


@pytest.fixture(scope="session")
def tiny_diffusers(tmp_path_factory) -> Callable[[str], str]:
    """The folder of a tiny diffusers model: a family's, as ``sd15``, or a control network's, as ``sd15-depth``."""
    pytest.importorskip("diffusers")
    import tiny_pipelines

    folder = tmp_path_factory.mktemp("diffusers")

    def of(name: str) -> str:
        family = max((each for each in tiny_pipelines.FAMILIES if name.startswith(each)), key=len)
        if not (folder / family).exists():
            tiny_pipelines.save(family, folder)
        return str(folder / name)

    return of
