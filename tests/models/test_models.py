from __future__ import annotations

import argparse
import bz2
import collections
import gzip
import json
import os
import pathlib
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save as save_safetensors

from helpers import DRAWING, PLACING, WAYS_TO_DRAW, PlainCrops, generators, tiny
from scenograph import Pipeline
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import UserError
from scenograph.models import mise_layout
from scenograph.models.base import ImageModel, LayoutModel, Rendered, SampledBoxes
from scenograph.models.mise_layout import MiseLayoutConfig
from scenograph.models.published.checkpoint import read_checkpoint
from scenograph.models.published.sg2im import import_sg2im
from scenograph.models.registry import MODELS, AutoModel
from scenograph.models.sg2im import Sg2Im
from scenograph.pipelines import place_objects
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.text import scene_from_text


def scenes():
    first = scene_from_text("large red metal cube left of small blue rubber sphere", VOCABULARY)
    second = scene_from_text("small gray metal cylinder", VOCABULARY)
    boxes = [(0.1, 0.2, 0.4, 0.5), (0.5, 0.5, 0.9, 0.8)]
    first = replace(first, objects=tuple(replace(t, box=b) for t, b in zip(first.objects, boxes, strict=True)))
    return [first, replace(second, objects=(replace(second.objects[0], box=boxes[0]),))]


@pytest.mark.parametrize("name", MODELS)
def test_saved_models_come_back_the_same(name, tmp_path):
    torch.manual_seed(0)
    model = tiny(name).eval()
    assert model.name == name
    model.save_pretrained(tmp_path / "m")
    again = AutoModel.from_pretrained(tmp_path / "m")
    assert again.config == model.config
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


def test_a_model_is_told_by_its_settings_and_its_weights(tmp_path):
    model = tiny("wsgc")
    model.save_pretrained(tmp_path / "m")
    first = AutoModel.from_pretrained(tmp_path / "m")
    assert first.digest == AutoModel.from_pretrained(tmp_path / "m").for_inference().digest
    config = tmp_path / "m" / "config.json"
    config.write_text(config.read_text().replace('"exact": false', '"exact": true'))
    exact = AutoModel.from_pretrained(tmp_path / "m")
    with torch.no_grad():
        model.transitive.add_(1)
    model.save_pretrained(tmp_path / "m")
    assert len({first.digest, exact.digest, AutoModel.from_pretrained(tmp_path / "m").digest}) == 3


def test_damaged_model_folders_are_one_line(tmp_path):
    folder = tmp_path / "m"
    tiny("mise-layout").save_pretrained(folder)
    good_config, weights = (folder / "config.json").read_text(), (folder / "model.safetensors").read_bytes()
    damages = [
        ("config.json", b"{", "cannot read"),
        ("config.json", b'{"model_type": "bert"}', "not of a model made here"),
        ("config.json", json.dumps({**json.loads(good_config), "model": "misee"}).encode(), "did you mean 'mise'"),
        ("config.json", json.dumps({**json.loads(good_config), "width": "wide"}).encode(), "width"),
        ("config.json", json.dumps({**json.loads(good_config), "layers": 3}).encode(), "missing"),
        ("model.safetensors", weights[: len(weights) // 2], "cannot read weights"),
        ("model.safetensors", weights[:-4] + b"\xff" * 4, "1 of .* weights, the first of them .* are not finite"),
    ]
    for file, content, message in damages:
        (folder / "config.json").write_text(good_config)
        (folder / "model.safetensors").write_bytes(weights)
        (folder / file).write_bytes(content)
        with pytest.raises(UserError, match=message):
            AutoModel.from_pretrained(folder)
    (tmp_path / "empty").mkdir()
    for place, message in [(tmp_path, "not a model folder; .*m is one"), (tmp_path / "empty", "not a model folder$")]:
        with pytest.raises(UserError, match=message):
            AutoModel.from_pretrained(place)
    with pytest.raises(UserError, match="no model 'mise-renderd-64' .did you mean"):
        AutoModel.from_pretrained("mise-renderd-64")


@pytest.mark.parametrize("name", [*PLACING, *(name for name in DRAWING if name not in PLACING)])
def test_a_seed_gives_the_same_result_in_any_batch(name):
    torch.manual_seed(0)
    model = tiny(name).eval()
    for parameter in model.parameters():  # output layers start at zero: make them say something
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    asked = scenes()
    if name not in DRAWING:
        asked = [replace(s, objects=tuple(replace(t, box=None) for t in s.objects)) for s in asked]
    both = model(SceneBatch.from_scenes(asked, model.vocabulary), generators(3, 4))
    alone = model(SceneBatch.from_scenes(asked[1:], model.vocabulary), generators(4))
    torch.testing.assert_close(both.boxes[2:], alone.boxes, atol=1e-5, rtol=1e-4)
    if isinstance(both, Rendered):
        torch.testing.assert_close(both.images[1:], alone.images, atol=1 / 100, rtol=0)
        assert both.images.shape == (2, 3, *model.config.picture_sides) and both.images.abs().max() <= 1
        other = model(SceneBatch.from_scenes(asked[1:], model.vocabulary), generators(5))
        # AttSPADE and PasteGAN draw no random number.
        assert torch.allclose(other.images, alone.images, atol=1 / 100) == (name in ("attspade", "pastegan"))


@pytest.mark.parametrize("image", DRAWING)
@pytest.mark.parametrize("layout", PLACING)
def test_any_layout_model_goes_with_any_image_model(layout, image):
    torch.manual_seed(0)
    pipe = Pipeline(tiny(image), tiny(layout), crops=PlainCrops())
    result = pipe("large red metal cube left of small blue rubber sphere", seeds=[0, 1])
    assert len(result.images) == 2 and len({picture.size for picture in result.images}) == 1
    assert all(thing.box is not None for scene in result.scenes for thing in scene.objects)


@pytest.mark.parametrize(("name", "settings"), WAYS_TO_DRAW)
def test_half_precision_draws_the_same_picture_of_the_same_layout(name, settings):
    torch.manual_seed(0)
    model, placer = tiny(name, **settings), tiny("mise-layout")
    for parameter in model.parameters():  # output layers start at zero: make them say something
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.kaiming_normal_(parameter)
    asked = "large red metal cube left of small blue rubber sphere"
    exact, half = (Pipeline(model, placer, precision, crops=PlainCrops()) for precision in ("no", "bf16"))
    encodings = [pipe.encode(asked, seeds=[0, 1]) for pipe in (exact, half)]
    assert [s.to_dict() for s in encodings[0].scenes] == [s.to_dict() for s in encodings[1].scenes]
    true, near = (pipe.pixels(encoding) for pipe, encoding in zip((exact, half), encodings, strict=True))
    assert near.dtype == torch.float32
    assert 0 < (near - true).abs().mean() < 0.05 * true.std()


@pytest.mark.parametrize("layout", PLACING)
def test_half_precision_places_objects_nearly_where_they_were(layout):
    torch.manual_seed(0)
    model = tiny(layout).for_inference()
    scene = scene_from_text("large red metal cube left of small blue rubber sphere", model.vocabulary)
    exact, half = (
        place_objects(model, [scene] * 8, range(8), candidates=1, precision=precision) for precision in ("no", "bf16")
    )
    true, near = (torch.tensor([thing.box for s in placed for thing in s.objects]) for placed in (exact, half))
    assert 0 < (near - true).abs().max() < 0.05
    assert not torch.equal(near, near.bfloat16().float())  # a grid of 128 lines over half the canvas


@pytest.mark.parametrize("layout", PLACING)
def test_models_say_whether_boxes_depend_on_the_seed(layout):
    """Of those that do, several layouts are drawn and the best is kept."""
    torch.manual_seed(0)
    model = tiny(layout).eval()
    graph = [replace(s, objects=tuple(replace(t, box=None) for t in s.objects)) for s in scenes()[:1]]
    batch = SceneBatch.from_scenes(graph, model.vocabulary)
    with torch.no_grad():
        boxes = [model.place(batch, generators(seed)).boxes for seed in range(12)]
    assert any(not torch.equal(boxes[0], other) for other in boxes) == isinstance(model, SampledBoxes)


@pytest.mark.parametrize("layout", PLACING)
def test_candidates_are_the_layouts_made_one_after_the_other(layout, monkeypatch):
    torch.manual_seed(0)
    model = tiny(layout).eval()
    for parameter in model.parameters():  # output layers start at zero: make them say something
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    graphs = [replace(s, objects=tuple(replace(t, box=None) for t in s.objects)) for s in scenes()]
    batch, seeded = SceneBatch.from_scenes(graphs, model.vocabulary), generators(3, 4)
    with torch.no_grad():
        single = [model.place(batch, seeded).boxes for _ in range(5 if isinstance(model, SampledBoxes) else 1)]
        for together in (1, 2 * (len(batch.objects) + len(batch.triples)), 1000):
            monkeypatch.setattr(mise_layout, "TOGETHER", together)
            found = [output.boxes for output in model.candidates(batch, 5, generators(3, 4))]
            torch.testing.assert_close(found, single, rtol=0, atol=1e-6)


def test_given_boxes_are_kept_and_others_lie_on_the_canvas():
    model = tiny("mise-layout").eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    first = scenes()[0]
    asked = replace(first, objects=(first.objects[0], replace(first.objects[1], box=None)))
    boxes = model(SceneBatch.from_scenes([asked], VOCABULARY), generators(0)).boxes
    assert torch.allclose(boxes[0], torch.tensor(first.objects[0].box))
    assert boxes.min() >= 0 and boxes.max() <= 1 and (boxes[:, 2:] > boxes[:, :2]).all()


SG2IM_OPTIONS = [
    {},
    {"gconv_num_layers": 0},
    {"gconv_num_layers": 1},
    {"gconv_pooling": "sum"},
    {"mlp_normalization": "batch"},
    {"normalization": "instance"},
    {"normalization": "none", "activation": "relu"},
    {"mask_size": 0},
    {"layout_noise_dim": 0},
    {"align_corners": False},
    {"image_size": (16, 32)},
]


@pytest.mark.parametrize("options", SG2IM_OPTIONS, ids=str)
def test_every_sg2im_option_trains(options):
    torch.manual_seed(0)
    model = tiny("sg2im", **options)
    batch = SceneBatch.from_scenes(scenes(), model.vocabulary, mask_size=8)
    layout, predicted = model.encode_graph(model.add_image_objects(batch))
    picture = model.render_normalized(layout)
    assert picture.shape[2:] == model.config.image_size
    assert (predicted.masks is None) == (options.get("mask_size") == 0)
    total = picture.square().mean() + predicted.boxes.sum() + predicted.relation_scores.sum()
    total.backward()
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    # Without graph layers predicates reach nothing; the last layer's new predicate vectors are never read.
    assert all("predicate_embedding" in name for name in unused), unused


@pytest.mark.parametrize("name", ["attspade", "mise", "sg2im", "spade"])
@pytest.mark.parametrize(("size", "sides"), [(32, (32, 32)), ([32, 64], (32, 64))])
def test_pictures_have_the_height_and_width_that_are_asked_for(name, size, sides):
    model = tiny(name, image_size=size).eval()
    assert model.config.picture_sides == sides and model.draws(max(sides)) and not model.draws(48)
    scene = Scene((SceneObject("cube", box=(0.1, 0.1, 0.6, 0.9)),))
    batch = SceneBatch.from_scenes([scene], model.vocabulary, model.config.mask_side)
    with torch.no_grad():
        assert model(batch, generators(0)).images.shape == (1, 3, *sides)


def test_no_coordinate_of_a_new_box_head_is_dead():
    scene = scene_from_text("cube left of sphere", VOCABULARY)
    for seed in range(10):
        torch.manual_seed(seed)
        model = tiny("sg2im")
        boxes = model.condition(SceneBatch.from_scenes([scene], VOCABULARY)).boxes
        assert (boxes > 0).all(), "a ReLU's gradient ends at zero"


def test_sg2im_adds_the_image_object_last():
    model = tiny("sg2im")
    full = model.add_image_objects(SceneBatch.from_scenes(scenes(), model.vocabulary))
    assert full.objects.tolist() == [1, 2, 0, 3, 0]
    assert full.triples.tolist() == [[0, 1, 1], [0, 0, 2], [1, 0, 2], [3, 0, 4]]
    assert full.boxes[2].tolist() == [0, 0, 1, 1] and not full.known_masks.any()


@pytest.mark.parametrize("normalization", ["batch", "instance", "none"])
def test_the_model_for_inference_draws_the_same(normalization):
    torch.manual_seed(0)
    model = tiny("sg2im", normalization=normalization, refinement_dims=(32, 16, 8), image_size=(16, 32))
    batch = SceneBatch.from_scenes(scenes(), model.vocabulary, mask_size=8)
    for _ in range(3):  # running statistics worth folding
        model.render_normalized(model.encode_graph(model.add_image_objects(batch))[0])
    model.eval()
    faster = model.for_inference()
    with torch.no_grad():
        expected, found = (m.condition(batch, generators(0, 1)) for m in (model, faster))
        torch.testing.assert_close(found.masks, expected.masks)
        torch.testing.assert_close(found.condition, expected.condition, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            faster.render_normalized(found.condition), model.render_normalized(expected.condition), atol=1e-4, rtol=1e-3
        )
        faster.for_inference()


def test_sg2im_rejects_impossible_sizes():
    model = tiny("sg2im")
    with pytest.raises(UserError, match="multiples of 4"):
        model.render(torch.zeros(1, 20, 18, 18))
    with pytest.raises(ValueError, match="power of two"):
        tiny("sg2im", mask_size=12)


def test_one_euler_step_follows_the_velocity():
    torch.manual_seed(0)
    model = tiny("mise").eval()
    torch.nn.init.normal_(model.unet.output.weight, std=0.1)
    layout = model.condition(SceneBatch.from_scenes(scenes(), VOCABULARY)).condition
    start = torch.stack([torch.randn(3, 16, 16, generator=g) for g in generators(1, 2)])
    with torch.no_grad():
        expected = (start + model.velocity(start, torch.zeros(2), layout)).clamp(-1, 1)
    torch.testing.assert_close(model.render(layout, generators(1, 2), steps=1, solver="euler"), expected)


# Published checkpoints, as strangers make them.


def published(model: Sg2Im) -> dict:
    config = model.config.model_dump(exclude={"vocabulary", "align_corners"})
    names = {
        "object_idx_to_name": list(model.vocabulary.categories),
        "pred_idx_to_name": list(model.vocabulary.predicates),
    }
    renamed = {"object_embedding.category.": "obj_embeddings.", "predicate_embedding.": "pred_embeddings."}
    state = {}
    for key, value in model.state_dict().items():
        for ours, theirs in renamed.items():
            key = key.replace(ours, theirs)
        state[f"module.{key}"] = value
    return {"args": {}, "model_kwargs": {"vocab": names, **config, "box_anchor": "old"}, "model_state": state}


def plain_sg2im() -> Sg2Im:
    plain = replace(Sg2Im.vocabulary_for(VOCABULARY), attributes={})
    return Sg2Im(tiny("sg2im").config.model_copy(update={"vocabulary": plain.to_dict()}))


def test_import_of_data_parallel_weights_with_histories(tmp_path):
    model = plain_sg2im()
    value = published(model)
    history = collections.defaultdict(list)
    history["total"].append(1.5)
    value |= {"losses": history, "val_losses": {"iou": [np.float64(0.25)]}, "counters": {"t": 7}}
    torch.save(value, tmp_path / "c.pt")
    again = import_sg2im(tmp_path / "c.pt")
    assert again.config.gconv_num_layers == 2
    for key, weights in model.state_dict().items():
        assert torch.equal(weights, again.state_dict()[key])
    torch.save(value, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    import_sg2im(tmp_path / "old.pt")


class Hostile:
    def __reduce__(self):
        return (os.system, ("touch /tmp/scenograph-was-here",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
def test_hostile_and_broken_checkpoints_are_refused(tmp_path):
    path = tmp_path / "c.pt"
    torch.save({"model_state": Hostile()}, path)
    with pytest.raises(UserError, match="refused: the file asks to run code"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps({"model_state": Hostile()}))
    with pytest.raises(UserError, match=r"refused|not a torch checkpoint"):
        read_checkpoint(path)
    torch.save(published(plain_sg2im()), path)
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"c.pt: not a torch checkpoint, or cut short"):
            import_sg2im(path)
    with pytest.raises(UserError, match="cannot read"):
        import_sg2im(tmp_path / "none.pt")


def test_checkpoints_of_something_else_are_refused(tmp_path):
    path = tmp_path / "c.pt"
    cases = [
        ({"weights": torch.zeros(2)}, "not an sg2im checkpoint"),
        ([torch.zeros(2)], "expected a dictionary"),
        ({**published(plain_sg2im()), "model_state": None}, "holds no 'model_state'"),
    ]
    wrong_size = published(plain_sg2im())
    wrong_size["model_kwargs"]["gconv_dim"] = 24
    missing = published(plain_sg2im())
    missing["model_state"].pop("module.box_net.0.bias")
    bad_value = published(plain_sg2im())
    bad_value["model_kwargs"]["normalization"] = "layer"
    cases += [
        (wrong_size, "of another shape"),
        (missing, r"1 missing \(box_net.0.bias\)"),
        (bad_value, "model_kwargs: normalization"),
    ]
    for value, message in cases:
        torch.save(value, path)
        with pytest.raises(UserError, match=message):
            import_sg2im(path)
    path.write_text('{"objects": []}')
    with pytest.raises(UserError, match="c.pt: not a torch checkpoint"):
        import_sg2im(path)


@pytest.mark.parametrize(("role", "missing"), [(LayoutModel, "place"), (ImageModel, "condition.*render")])
def test_a_model_has_all_that_its_role_asks_for(role, missing):
    with pytest.raises(TypeError, match=f"abstract method.*{missing}"):
        type("Unfinished", (role,), {})(MiseLayoutConfig(vocabulary=VOCABULARY.to_dict()))


PLAIN = {
    "namespace": argparse.Namespace(lr=1e-4, layers=[1, 2], name="a"),
    "path": {"out": pathlib.PurePosixPath("runs/a"), "data": pathlib.PureWindowsPath("C:/data")},
    "array": {"iou": np.arange(6.0).reshape(2, 3), "names": np.array(["a", "b"]), "any": np.array([1, "b"], object)},
    "scalars": [np.dtype(kind).type(1) for kind in ("bool", "int8", "uint8", "uint64", "float16", "complex64")],
}
"""What training scripts leave beside weights."""


@pytest.mark.parametrize("name", PLAIN)
def test_plain_values_beside_the_weights_are_read(tmp_path, name):
    torch.save({**published(plain_sg2im()), "extra": PLAIN[name]}, tmp_path / "c.pt")
    read = read_checkpoint(tmp_path / "c.pt")["extra"]
    if name == "namespace":
        assert read == PLAIN[name]
    elif name == "path":
        assert read["out"] == "runs/a"
    elif name == "array":
        assert all(np.array_equal(value, read[key]) for key, value in PLAIN[name].items())
    else:
        assert read == PLAIN[name] and [value.dtype for value in read] == [value.dtype for value in PLAIN[name]]
    assert import_sg2im(tmp_path / "c.pt").config.gconv_num_layers == 2


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_names_are_freed_of_what_wrapped_the_model(tmp_path, prefix):
    value = published(plain_sg2im())
    state = value["model_state"]
    torch.save({**value, "model_state": {prefix + key: item for key, item in state.items()}}, tmp_path / "c.pt")
    import_sg2im(tmp_path / "c.pt")
    inner = {key.replace("gconv.", "gconv._orig_mod."): item for key, item in state.items()}
    torch.save({**value, "model_state": inner}, tmp_path / "inner.pt")
    import_sg2im(tmp_path / "inner.pt")
    torch.save(
        {**value, "model_state": {**state, "module." + next(iter(state)): torch.zeros(1)}}, tmp_path / "twice.pt"
    )
    with pytest.raises(UserError, match=r"with and without module\. or _orig_mod\. before their names"):
        import_sg2im(tmp_path / "twice.pt")


def test_a_file_that_is_no_torch_checkpoint_is_called_what_it_is(tmp_path):
    model, path = plain_sg2im(), tmp_path / "c.pt"
    torch.save(published(model), path)
    for content, said in (
        (gzip.compress(path.read_bytes()), "is compressed by gzip; unpack it with: gunzip"),
        (bz2.compress(path.read_bytes()), "is compressed by bzip2"),
        (b"<!DOCTYPE html><title>Sign in</title>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        (save_safetensors({"a": torch.zeros(2)}), "a safetensors file holds weights alone"),
    ):
        (tmp_path / "other.pt").write_bytes(content)
        with pytest.raises(UserError, match=said):
            import_sg2im(tmp_path / "other.pt")
    torch.save(model, path)
    with pytest.raises(UserError, match=r"holds a scenograph.models.sg2im.Sg2Im, which is neither weights nor a plain"):
        import_sg2im(path)
    torch.save({**published(model), "seen": collections.deque([1])}, path)
    with pytest.raises(UserError, match=r"holds a collections.deque, which is neither"):
        import_sg2im(path)
    (tmp_path / "w.safetensors").write_bytes(save_safetensors({"a": torch.ones(2)}))
    assert read_checkpoint(tmp_path / "w.safetensors")["a"].tolist() == [1, 1]
