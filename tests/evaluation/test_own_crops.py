"""What is drawn from crops is measured without those of the measured pictures, whatever split they are of."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from helpers import succeed, tiny
from scenograph import Pipeline
from scenograph.data.clevr import VOCABULARY
from scenograph.data.pack import Pack, write_pack
from scenograph.data.source import Sample, Samples
from scenograph.evaluation.evaluate import evaluate
from scenograph.evaluation.layouts import Layouts, without_attributes
from scenograph.evaluation.protocols import PROTOCOLS, find_protocol
from scenograph.nn.perceptual import ALEXNET, FeatureStack, PerceptualDistance
from scenograph.pipelines.renderers.collage import CropCollage
from scenograph.pipelines.renderers.crops import MemoryCrops, SourceCrops
from scenograph.retrieval.build import build_memory
from scenograph.retrieval.memory import CropMemory
from scenograph.retrieval.selector import PUBLISHED, CropSelector
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Scene, SceneObject, load_scenes, mirror, parse_scenes, scenes_to_json


def model():
    torch.manual_seed(0)
    return tiny("pastegan", image_size=(32, 32)).eval()


def lpips() -> PerceptualDistance:
    generator, state = torch.Generator().manual_seed(0), {}
    for layer, size in ((0, 11), (3, 5), (6, 3), (8, 3), (10, 3)):
        channels = 3 if layer == 0 else 4
        weight = torch.randn(4, channels, size, size, generator=generator) / (channels * size**2) ** 0.5
        state |= {f"features.{layer}.weight": weight, f"features.{layer}.bias": torch.zeros(4)}
    return PerceptualDistance(FeatureStack(ALEXNET, state), [torch.ones(4)] * 5)


def measured(pack, pipe, out, **changes):
    """Figures of an evaluation of training scenes by the protocol pastegan, and whose crops each scene shows."""
    changes = {"splits": ("train",), "layouts": 16, "metrics": ("diversity", "layout"), **changes}
    done = evaluate(pack, pipe, "pastegan", out, changes=changes)
    shown = load_scenes(out / "chunks" / "scenes-00000.json")
    assert len(shown) == 2 * 16
    sources = []
    for scene in shown:
        for thing in scene.objects:
            name = Origin.parse(thing.origin).crop.partition("/")[0] or thing.origin.split(", ")[2]
            sources.append(name == scene.picture)
    return {figure.name: figure.value for figure in done.figures}, sources


@pytest.mark.parametrize("given", ["pack", "memory"])
def test_training_scenes_are_measured_without_their_own_crops(given, painted, built_memory, tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.evaluation.diversity.load_perceptual_distance", lambda *files: lpips())
    pipe = Pipeline(model(), crops=SourceCrops(MemoryCrops(built_memory)) if given == "memory" else None)
    figures, own = measured(painted, pipe, tmp_path / "without")
    assert not any(own) and figures["diversity"] > 0 and 0 <= figures["box_iou_with_image"] <= 1
    _, own = measured(painted, pipe, tmp_path / "with", own_picture=True)
    assert any(own)


def test_what_a_memory_lacks_is_drawn_without_a_crop_and_said_once(built_memory, caplog):
    pipe = Pipeline(model(), crops=SourceCrops(MemoryCrops(built_memory)))
    pipe.crops.source.memory.rows("cube").pictures[:] = "p"  # as if all were of one picture
    scene = Scene((SceneObject("cube", box=(0.1, 0.1, 0.5, 0.5)), SceneObject("sphere", box=(0.5, 0.5, 0.9, 0.9))))
    for _ in range(2):
        (shown,) = pipe.encode_pairs([replace(scene, picture="p")], [0]).scenes
        assert shown.objects[0].crop is None and shown.objects[1].crop is not None
    assert [m for m in caplog.messages if "no crop" in m] == ["there is no crop of 'cube': it is drawn without one"]
    (shown,) = pipe.encode_pairs([scene], [0]).scenes
    assert shown.objects[0].crop is not None


def test_the_protocol_is_pastegans():
    protocol = PROTOCOLS["pastegan"]
    assert protocol.inception_splits == 3 and protocol.repeats == 2 and not protocol.own_picture
    assert protocol.generation() == {
        "truncation": 2.0, "candidates": 1, "refine": False, "temperature": 100.0, "published": False,
        "own_picture": False,
    }  # fmt: skip
    changed = find_protocol("pastegan", {"own_picture": "true", "published": "true"})
    assert changed.name == "pastegan (changed)" and changed.fingerprint != protocol.fingerprint


def test_graphs_of_data_that_stores_none_are_derived(painted, tmp_path):
    record = json.loads((painted / "pack.json").read_text())
    assert Layouts(painted, PROTOCOLS["pastegan"]).protocol.relations == "stored"
    for place in painted.iterdir():
        (tmp_path / place.name).symlink_to(place)
    (tmp_path / "pack.json").unlink()
    record["splits"]["validation"]["relations"] = 0
    (tmp_path / "pack.json").write_text(json.dumps(record))
    layouts = Layouts(tmp_path, PROTOCOLS["pastegan"])
    assert layouts.protocol.relations == "sg2im" and layouts.scenes(0)[0].relations


def test_a_collage_chooses_as_published_and_from_the_own_picture_where_it_is_asked_to(built_memory, painted):
    pipe, memory = Pipeline(CropCollage(MemoryCrops(built_memory))), CropMemory(built_memory)
    scene = Layouts(painted, find_protocol("pastegan", {"splits": ("train",), "given": "boxes"})).scenes(0)[0]
    asked = replace(scene, objects=tuple(replace(thing, attributes=(), crop=None) for thing in scene.objects))

    def chosen(**options):
        (shown,) = pipe.encode_pairs([asked], [0], temperature=0.0, size=32, **options).scenes
        return [Origin.parse(thing.origin).crop for thing in shown.objects]

    def best(own):
        return [one.ids[0] for one in CropSelector(memory, PUBLISHED, own=own).rank(asked, picture=str(asked.picture))]

    assert chosen(published=True) == best("excluded") != chosen()
    assert not any(name.startswith(f"{asked.picture}/") for name in chosen())
    assert chosen(published=True, own_picture=True) == best("allowed")
    assert any(name.startswith(f"{asked.picture}/") for name in best("allowed"))


def test_what_a_collage_lacks_ends_no_evaluation(built_memory, painted, tmp_path, caplog):
    source = MemoryCrops(built_memory)
    del source.memory.counts["sphere"]
    evaluate(painted, Pipeline(CropCollage(source)), "rendered", tmp_path / "out", changes={
        "splits": ("validation",), "layouts": 4, "given": "boxes", "metrics": ("probes",), "refine": False,
    })  # fmt: skip
    assert "there is no crop of 'sphere': the collage leaves it out" in caplog.messages


def test_a_scene_keeps_whose_picture_it_describes(painted):
    scene = Layouts(painted, PROTOCOLS["pastegan"]).scenes(0)[0]
    assert scene.picture == Pack(painted, "validation").ids[0]
    assert mirror(scene).picture == parse_scenes(scenes_to_json([scene]))[0].picture == scene.picture


def test_bench_measures_what_draws_from_crops_and_the_collage(scenograph, painted, crop_encoders, tmp_path):
    plain, splits = replace(VOCABULARY, attributes={}), {}
    for split in ("train", "validation"):
        pack = Pack(painted, split)
        scenes = without_attributes([pack[number][0] for number in range(len(pack))])
        splits[split] = [Sample(f"{split}-{n}", scene, pack[n][1]) for n, scene in enumerate(scenes)]
    write_pack(tmp_path / "pack", Samples(plain, splits))
    build_memory(tmp_path / "m", tmp_path / "pack", "train", crop_encoders[:1])
    tiny("object-classifier", plain, groups=()).save_pretrained(tmp_path / "classifier")
    recipe = {
        "name": "small",
        "model": {"name": "pastegan", **tiny("pastegan").config.model_dump(mode="json", exclude={"vocabulary"})},
        "objective": {"name": "pastegan", "feature_weight": 0, "selected_feature_weight": 0, "object_feature_weight": 0,
                      "object_discriminator": {"weight": 0}, "image_discriminator": {"weight": 0}},
        "data": {"pack": "pack"},
        "training": {"steps": 1, "batch_size": 4},
    }  # fmt: skip
    (tmp_path / "small.yaml").write_text(json.dumps(recipe))
    asked = ("bench", "quality", "collage", "small.yaml", "--pack", "pack", "--minutes", "0.01", "--scenes", "4",
             "--memory", "m", "--classifier", "classifier")  # fmt: skip
    output = succeed(scenograph(*asked))
    small, collage = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert small["recipe"]["data"]["memory"] == "m" and small["steps"] > 0
    assert collage["about"] == "collage of crops of m, not trained" and collage["seconds"] > 0
    assert "| collage of crops of m, not trained | - | - |" in (tmp_path / "bench" / "bench.md").read_text()
    assert (
        "bench.png" in output and Image.open(tmp_path / "bench/collage/evaluation/pictures/sample_0_0.png").width == 16
    )
    (tmp_path / "plain").mkdir()
    asked = (*asked[:2], "small.yaml", *asked[4:10], "--classifier", "classifier", "--out", "plain")
    assert "| small |" in succeed(scenograph(*asked))  # crops of the pack
