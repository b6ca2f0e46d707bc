"""Commands whose work is shared, in parts and among the workers of a cluster, make the bytes that they make alone."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from helpers import many_scenes, succeed, tiny
from killed import Killed
from scenograph.data.clevr import VOCABULARY
from scenograph.data.pack import write_pack
from scenograph.data.processes import WHOLE, Part, run_in_processes
from scenograph.data.source import Samples
from scenograph.errors import UserError
from scenograph.retrieval.memory import CropMemory

MERGE = Part(merges=True)


def files_of(folder):
    """Relative names and bytes, without what locks and orders."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def cluster():
    """The address of a scheduler with two workers, each a process."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with patch.dict(os.environ), distributed.LocalCluster(**options) as local:  # it sets its workers' threads in ours
        yield local.scheduler_address


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A tiny model that places and renders, and a tiny classifier."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("sg2im", "object-classifier"):
        torch.manual_seed(0)
        tiny(name).save_pretrained(folder / name)
    return folder


def test_a_part_is_named_and_divides():
    assert Part.parse("3/16") == Part(3, 16) and Part.parse("merge") == MERGE and Part.parse("1/1") == WHOLE
    for wrong in ("0/4", "5/4", "3", "3/x", "merged", "-1/2"):
        with pytest.raises(UserError, match="expected K/N with K from 1 to N, such as 3/16, or merge"):
            Part.parse(wrong)
    letters = "abcde"
    assert [Part(k, 3).left(letters, "b".__eq__, "letters") for k in (1, 2, 3)] == [["a"], ["c"], ["d", "e"]]
    assert WHOLE.left(letters, "b".__eq__, "letters") == ["a", "c", "d", "e"]
    assert MERGE.left(letters, lambda _: True, "letters") == []
    with pytest.raises(UserError, match=r"^letters: 2 of 5 pieces not made yet \(number 2, 5\); run again"):
        MERGE.left(letters, lambda letter: letter not in "be", "letters")


def test_parts_of_a_pack_are_merged_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.data.pack.PART", 4)
    samples = Samples(VOCABULARY, {"train": many_scenes(10), "test": many_scenes(3)})
    for name in ("alone", "parts", "other"):
        (tmp_path / name).mkdir()
    write_pack(tmp_path / "alone" / "pack", samples)
    target = tmp_path / "parts" / "pack"
    for number in (4, 1, 2):
        assert write_pack(target, samples, part=Part(number, 4)) is None
    with pytest.raises(UserError, match=r"pack: 1 of 4 pieces not made yet \(number 3\)"):
        write_pack(target, samples, part=MERGE)
    write_pack(target, samples, part=Part(3, 4))
    assert not target.exists()
    assert write_pack(target, samples, part=MERGE)["splits"]["train"]["scenes"] == 10
    assert files_of(tmp_path / "alone") == files_of(tmp_path / "parts")
    write_pack(tmp_path / "other" / "pack", samples, size=16, part=Part(1, 2))
    with pytest.raises(UserError, match=r"no piece of this request is made, to be merged; \.pack\.\w+\.partial holds"):
        write_pack(tmp_path / "other" / "pack", samples, part=MERGE)
    assert len(list((tmp_path / "other").iterdir())) == 1


def test_a_part_is_made_by_one_process_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.data.pack.PART", 2)
    samples = Samples(VOCABULARY, {"train": many_scenes(4)})
    read, refused = samples.read, []

    def make_as_well(item):
        if not refused:
            refused.append(item)
            with pytest.raises(UserError, match="another command is at work there"):
                write_pack(tmp_path / "pack", samples, part=Part(1, 2))
            write_pack(tmp_path / "pack", samples, part=Part(2, 2))
        return read(item)

    monkeypatch.setattr(samples, "read", make_as_well)
    write_pack(tmp_path / "pack", samples, part=Part(1, 2))
    assert refused and write_pack(tmp_path / "pack", samples, part=MERGE)["splits"]["train"]["scenes"] == 4


def test_annotations_are_read_by_one_part_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.data.pack.PART", 2)
    begun, told = [], []

    class Slow(Samples):
        def plan(self, progress):
            begun.append(len(begun))
            if len(begun) == 1:
                other.start()
                other.join(0.3)
                told.append(len(begun))
            return super().plan(progress)

    samples = Slow(VOCABULARY, {"train": many_scenes(4)})
    other = threading.Thread(target=write_pack, args=(tmp_path / "pack", samples), kwargs={"part": Part(2, 2)})
    write_pack(tmp_path / "pack", samples, part=Part(1, 2))
    other.join()
    assert told == [1] and begun == [0, 1]
    assert write_pack(tmp_path / "pack", samples, part=MERGE)["splits"]["train"]["scenes"] == 4


def test_what_is_left_out_is_listed_in_order_whoever_finished_first(tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.data.pack.PART", 1)
    scenes = [emptied(sample, number) for number, sample in enumerate(many_scenes(4))]
    write_pack(tmp_path / "alone", Samples(VOCABULARY, {"train": scenes}))
    for number in (3, 1, 2):
        write_pack(tmp_path / "parts", Samples(VOCABULARY, {"train": scenes}), part=Part(number, 3))
    write_pack(tmp_path / "parts", Samples(VOCABULARY, {"train": scenes}), part=MERGE)
    assert files_of(tmp_path / "alone") == files_of(tmp_path / "parts")
    assert [json.loads(line)["which"] for line in (tmp_path / "parts" / "left-out.jsonl").read_text().splitlines()]


def emptied(sample, number):
    """A sample without objects, which is left out, but for the second."""
    return sample if number == 1 else replace(sample, scene=replace(sample.scene, objects=()))


def test_commands_say_what_a_cluster_needs(scenograph, painted, tmp_path, monkeypatch):
    build = ("search", "build", "--pack", painted, "--out", tmp_path / "i", "--cluster", "tcp://127.0.0.1:1")
    for other in (("--workers", "2"), ("--part", "1/2")):
        code, _, errors = scenograph(*build, *other)
        assert code == 2 and f"shares all of the work among its workers; leave {other[0]} out" in errors
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, _, errors = scenograph(*build)
    assert code == 2 and "python -m pip install 'scenograph[cluster]'" in errors and errors.count("\n") == 1


def generate_arguments(models):
    text = "large red metal cube left of small blue rubber sphere"
    return ("generate", text, "--model", models / "sg2im", "--seeds", "0-4", "--device", "cpu", "--draw-layout")


def test_parts_of_pictures_are_merged_to_the_same_bytes(scenograph, models, tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.pipelines.outputs.TOGETHER", 2)
    arguments = generate_arguments(models)
    succeed(scenograph(*arguments, "--out", tmp_path / "alone"))
    shared = (*arguments, "--out", tmp_path / "parts")
    assert "made part 2/2 of 5 pictures" in succeed(scenograph(*shared, "--part", "2/2"))
    assert len(list((tmp_path / "parts").iterdir())) == 3
    code, _, errors = scenograph(*shared, "--part", "merge")
    assert code == 2 and "parts: 1 of 3 pieces not made yet (number 1)" in errors
    succeed(scenograph(*shared, "--part", "1/2"))
    assert "5 of 5 pictures were there already" in succeed(scenograph(*shared, "--part", "merge"))
    assert files_of(tmp_path / "alone") == files_of(tmp_path / "parts")


def evaluate_arguments(painted, models):
    return ("evaluate", "--pack", painted, "--split", "train", "--given", "boxes", "--model", models / "sg2im", "--metrics",
            "agreement,quality", "--classifier", models / "object-classifier", "--device", "cpu")  # fmt: skip


def test_parts_of_an_evaluation_are_merged_to_the_same_figures(scenograph, painted, models, tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.evaluation.layouts.CHUNK", 8)
    arguments = evaluate_arguments(painted, models)
    succeed(scenograph(*arguments, "--out", tmp_path / "alone"))
    shared = (*arguments, "--out", tmp_path / "parts")
    assert "made part 3/3 of the evaluation" in succeed(scenograph(*shared, "--part", "3/3"))
    code, _, errors = scenograph(*shared, "--part", "merge")
    assert code == 2 and "rendering: 2 of 3 pieces not made yet (number 1, 2)" in errors
    code, _, errors = scenograph(*shared, "--part", "1/3", "--repeats", "2")
    assert code == 2 and "holds another evaluation; choose another --out" in errors
    for number in (1, 2):
        succeed(scenograph(*shared, "--part", f"{number}/3"))
    succeed(scenograph(*shared, "--part", "merge"))
    assert same_evaluation(tmp_path / "alone", tmp_path / "parts")


def same_evaluation(one, two):
    reports = [json.loads((folder / "report.json").read_text())["figures"] for folder in (one, two)]
    assert len(list((one / "pictures").iterdir())) > 10
    return files_of(one / "pictures") == files_of(two / "pictures") and reports[0] == reports[1]


def test_parts_of_a_memory_and_an_index_are_merged(scenograph, painted, crop_encoders, tmp_path, monkeypatch):
    pytest.importorskip("lancedb")
    for module in ("build", "scene_build"):
        monkeypatch.setattr(f"scenograph.retrieval.{module}.PART", 10)
    for command in build_commands(painted, crop_encoders):
        succeed(scenograph(*command, "--workers", "1", "--out", tmp_path / f"alone-{command[0]}"))
        for part in ("2/2", "1/2", "merge"):
            succeed(scenograph(*command, "--workers", "1", "--part", part, "--out", tmp_path / f"parts-{command[0]}"))
    assert same_rows(tmp_path, "parts")


def build_commands(painted, crop_encoders):
    encoders = [word for name in crop_encoders for word in ("--encoder", name)]
    return (("memory", "build", "--pack", painted, *encoders), ("search", "build", "--pack", painted))


def same_rows(folder, other):
    """LanceDB names its files by chance: of a memory rows are compared, of an index the matrix of its vectors, too."""
    one, two = (CropMemory(folder / f"{name}-memory") for name in ("alone", other))
    assert one.digest == two.digest and one.column("id") == two.column("id")
    vectors, records = (
        [(folder / f"{name}-search" / file).read_bytes() for name in ("alone", other)]
        for file in ("layout.f16", "index.json")
    )
    return vectors[0] == vectors[1] and records[0] == records[1]


@pytest.mark.slow
def test_a_cluster_makes_the_same_bytes_though_a_worker_is_killed(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.data.pack.PART", 2)
    samples = many_scenes(12)
    for name in ("alone", "cluster"):
        (tmp_path / name).mkdir()
    write_pack(tmp_path / "alone" / "pack", Samples(VOCABULARY, {"train": samples}))
    deadly = Killed(VOCABULARY, samples, "5", tmp_path / "mark")
    write_pack(tmp_path / "cluster" / "pack", deadly, workers=cluster)
    assert (tmp_path / "mark").exists()
    assert files_of(tmp_path / "alone") == files_of(tmp_path / "cluster")


@pytest.mark.slow
def test_commands_make_the_same_on_a_cluster(
    cluster, scenograph, painted, models, crop_encoders, tmp_path, monkeypatch
):
    for folder, sharing in (("alone", ()), ("cluster", ("--cluster", cluster))):
        succeed(scenograph(*generate_arguments(models), *sharing, "--out", tmp_path / folder / "pictures"))
        succeed(scenograph(*evaluate_arguments(painted, models), *sharing, "--out", tmp_path / folder / "evaluation"))
        for command in build_commands(painted, crop_encoders):
            succeed(
                scenograph(*command, *(sharing or ("--workers", "1")), "--out", tmp_path / f"{folder}-{command[0]}")
            )
    assert files_of(tmp_path / "alone" / "pictures") == files_of(tmp_path / "cluster" / "pictures")
    assert same_evaluation(tmp_path / "alone" / "evaluation", tmp_path / "cluster" / "evaluation")
    assert same_rows(tmp_path, "cluster")


@pytest.mark.slow
def test_a_renderer_makes_the_same_on_a_cluster(cluster, scenograph, tmp_path):
    pytest.importorskip("resvg_py")
    render = ("data", "render", "picture-book", "--count", "4", "--size", "64")
    succeed(scenograph(*render, "--workers", "1", "--out", tmp_path / "alone"))
    succeed(scenograph(*render, "--cluster", cluster, "--out", tmp_path / "cluster"))
    assert files_of(tmp_path / "alone") == files_of(tmp_path / "cluster")


@pytest.mark.parametrize("address", ["nowhere", "host:port", "none://host:1"])
def test_an_address_that_is_none_is_refused_before_a_client_is_made(address, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(distributed, "Client", None)
    with pytest.raises(UserError, match=f"^--cluster {address}: no Dask scheduler answers there"):
        list(run_in_processes(len, [("ab",)], address))


@pytest.mark.slow
def test_a_cluster_tells_what_is_wrong(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.data.cluster.PATIENCE", 1)
    with pytest.raises(UserError, match="no Dask scheduler answers there .*; start one with: dask scheduler"):
        list(run_in_processes(len, [("ab",)], "tcp://127.0.0.1:1"))
    assert sorted(run_in_processes(len, [("ab",), ("c",)], cluster)) == [1, 2]
    assert list(run_in_processes(len, [], cluster)) == []
    with pytest.raises(UserError, match="expected K/N"):
        list(run_in_processes(Part.parse, [("x",)], cluster))
    monkeypatch.setattr("scenograph.data.cluster.__version__", "0.0.1")
    with pytest.raises(UserError, match=r"the worker on .* has scenograph .*, not 0\.0\.1; install one version"):
        list(run_in_processes(len, [("ab",)], cluster))
