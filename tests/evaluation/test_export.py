"""Pictures and crops as plain files, and the scenes of a split drawn without measuring."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import succeed, tiny
from scenograph import Pipeline
from scenograph.data.pack import Pack, write_pack
from scenograph.data.source import Sample, Samples
from scenograph.errors import UserError
from scenograph.evaluation.crops import object_crop
from scenograph.evaluation.evaluate import evaluate
from scenograph.evaluation.export import Export, open_collection
from scenograph.evaluation.protocols import find_protocol
from scenograph.evaluation.split import Split
from scenograph.nn.crops import crop_boxes
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.outputs import Beside, Outputs
from scenograph.scenes.batch import images_to_uint8, pixels_to_tensor
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    torch.manual_seed(0)
    return Pipeline(tiny("mise"))


def drawn(pipe: Pipeline, split: Split, out: Path, seeds: list[int]) -> Outputs:
    outputs = Outputs(split.request(pipe, seeds, dict(pipe.names), GenerateOptions()), out, Beside())
    pipe.render_planned(outputs.pictures)
    return outputs


def differ_by(first: Image.Image, second: Image.Image) -> int:
    one, other = (np.asarray(image).astype(int) for image in (first, second))
    return int(np.abs(one - other).max())


def test_a_split_is_drawn_as_an_evaluation_draws_it(pipe, painted, tmp_path):
    split = Split.of(painted, "validation", 3, "boxes")
    assert str(split) == "3 scenes of split validation; the models are given true boxes"
    outputs = drawn(pipe, split, tmp_path / "drawn", [0, 1])
    assert len(outputs.pictures) == 6
    settings = {"relations": split.layouts.protocol.relations, "encoder": "classifier", "metrics": ("agreement",)}
    changes = {"splits": ("validation",), "layouts": 3, "given": "boxes", "repeats": 2, **settings}
    measured = evaluate(painted, pipe, find_protocol("rendered", changes), tmp_path / "measured")
    assert measured is not None and "<iframe" in measured._repr_html_() and repr(measured).startswith("<Evaluated by")
    for position, one in enumerate(outputs.pictures):
        number, repeat = divmod(position, 2)
        other = Image.open(tmp_path / "measured" / "pictures" / f"sample_{number}_{repeat}.png")
        assert differ_by(Image.open(one.path), other) <= 1 and one.path.name.endswith(f"-seed{repeat}.png")
    crops = Export(tmp_path / "crops", crops=8)
    objects = sum(len(scene.objects) for scene in split.scenes())
    assert sum(crops.run(open_collection(tmp_path / "measured"))) == 2 * objects and not crops.left_out
    assert (tmp_path / "crops" / "sample_2_1-0.png").is_file()


def test_generate_draws_a_split_and_goes_on(scenograph, painted, tmp_path):
    command = ("generate", "--pack", str(painted), "--scenes", "3", "--given", "graph", "--steps", "1", "--out", "p")
    listed = succeed(scenograph(*command, "--annotations", "notes/a.json", "--draw-graph", "--dry-run"))
    assert not (tmp_path / "p").exists()
    output = succeed(scenograph(*command, "--annotations", "notes/a.json", "--draw-graph"))
    assert "3 scenes of split validation; the models are given graphs" in output
    ids = [row["id"] for row in Pack(painted, "validation").rows([0, 1, 2])]
    files = [f"p/{name}.png" for name in ids] + [f"p/{name}-graph.png" for name in ids]
    for name in (*files, "p/pack-validation-sheet.png", "notes/a.json"):
        assert f"would write {name}\n" in listed and (tmp_path / name).is_file()
    assert listed.count("would write") == 8
    notes = json.loads((tmp_path / "notes" / "a.json").read_text())
    assert [image["file_name"] for image in notes["images"]] == [f"../p/{name}.png" for name in ids]
    (tmp_path / "p" / f"{ids[1]}.png").unlink()
    assert "2 of 3 pictures were there already" in succeed(scenograph(*command))
    succeed(scenograph("generate", f"p/{ids[2]}.png", "--out", "again"))
    again = Image.open(tmp_path / "again" / f"{ids[2]}-seed2.png")
    assert differ_by(again, Image.open(tmp_path / "p" / f"{ids[2]}.png")) <= 1
    exported = succeed(scenograph("data", "export", "p", "--crops", "8", "--by-class", "--out", "crops"))
    objects = sum(len(Pack(painted, "validation")[number][0].objects) for number in range(3))
    assert f"wrote {objects} crops to crops" in exported and "pack-validation-sheet.png" in exported
    assert {path.parent.name for path in (tmp_path / "crops").rglob("*.png")} <= {"cube", "sphere", "cylinder"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cube", "--pack", "PACK"], "give either a scene (cube) or --pack, not both"),
        (["cube", "--split", "train"], "--split chooses scenes of a pack; name that with --pack"),
        (["--pack", "PACK", "--split", "none"], "no split 'none'"),
        (["--pack", "PACK", "--given", "boxes", "--refine"], "of which --given boxes leaves none"),
        (["PACK"], "is a pack; generate its scenes with: scenograph generate --pack"),
    ],
)
def test_what_goes_with_packs_is_checked(scenograph, painted, arguments, message):
    code, _, error = scenograph("generate", *(str(painted) if part == "PACK" else part for part in arguments))
    assert code == 2 and message in error and error.count("\n") == 1


def test_relations_of_data_without_any_are_derived_and_said_to_be(tmp_path):
    scene = Scene((SceneObject("a", box=(0, 0, 0.4, 1)), SceneObject("b", box=(0.6, 0, 1, 1))))
    samples = Samples(Vocabulary(("a", "b"), ("left of", "right of")), {"validation": [Sample("x/1", scene)]})
    write_pack(tmp_path / "pack", samples)
    split = Split.of(tmp_path / "pack", "validation")
    assert str(split).endswith("graphs, relations derived from boxes") and split.file_names() == ["x_1"]
    (asked,) = split.scenes()
    assert asked.relations and all(thing.box is None for thing in asked.objects)


def test_crops_follow_the_rules_of_the_originals(painted, tmp_path):
    pack = Pack(painted, "validation")
    pictures = open_collection(painted, "validation")
    for rule in ("lama", "sg2im", "scene-designer"):
        assert sum(Export(tmp_path / rule, crops=8, rule=rule).run(pictures)) > len(pack)
    scene, picture = pack[0]
    name = pack.rows([0])[0]["id"]
    box = scene.objects[1].box
    cut = {rule: np.asarray(Image.open(tmp_path / rule / f"{name}-1.png")) for rule in ("lama", "sg2im")}
    assert (cut["lama"] == object_crop(picture, box, 8, "up")).all()
    pixels = pixels_to_tensor(np.asarray(picture.convert("RGB"))[None])
    sampled = images_to_uint8(crop_boxes(pixels, torch.tensor([box]), torch.zeros(1, dtype=torch.long), 8, 8))[0]
    assert (cut["sg2im"] == np.asarray(sampled)).all()


def test_scene_designers_crops_end_a_pixel_early(tmp_path):
    ramp = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], 16, axis=0).repeat(3, axis=2)
    scene = Scene((SceneObject("a", box=(0, 0, 1, 1)), SceneObject("a")))
    sample = Sample("one", scene, Image.fromarray(ramp))
    write_pack(tmp_path / "pack", Samples(Vocabulary(("a",), ()), {"train": [sample]}))
    for rule, last in (("sg2im", 150), ("scene-designer", 140)):
        run = Export(tmp_path / rule, crops=4, rule=rule)
        assert list(run.run(open_collection(tmp_path / "pack"))) == [1]
        assert np.asarray(Image.open(tmp_path / rule / "one-0.png"))[0, -1, 0] == last
        assert run.left_out == {"object without a box": 1}


def test_exports_count_what_they_leave_out_and_replace_nothing(scenograph, painted, tmp_path):
    command = ("data", "export", str(painted), "--split", "validation", "--pictures", "--size", "16", "--out", "e")
    assert "wrote 8 pictures to e" in succeed(scenograph(*command))
    succeed(scenograph(*command))
    (path, *_) = (tmp_path / "e").iterdir()
    assert Image.open(path).size == (16, 16)
    path.write_bytes(b"mine")
    code, _, error = scenograph(*command)
    assert code == 2 and "exists and differs" in error and path.read_bytes() == b"mine"
    code, output, error = scenograph("data", "export", "e", "--crops", "4", "--out", "f")
    assert code == 2 and "picture that does not tell what it shows, such as a sheet: 7" in output
    assert "nothing to export" in error
    for arguments, message in (
        ([str(painted), "--out", "g"], "give either --pictures, or --crops N"),
        ([str(painted), "--out", "g", "--pictures"], "name the split to export with --split: train, validation"),
        (["e", "--out", "g", "--pictures", "--split", "train"], "is no pack, and has no splits"),
        ([str(painted), "--out", "g", "--pictures", "--by-class"], "--by-class sorts crops"),
    ):
        code, _, error = scenograph("data", "export", *arguments)
        assert code == 2 and message in error and error.count("\n") == 1


def test_an_empty_folder_is_no_collection(tmp_path):
    with pytest.raises(UserError, match="is no pack, no evaluation, and no folder of generated pictures"):
        open_collection(tmp_path)
