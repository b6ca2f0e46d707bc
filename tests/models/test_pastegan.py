from __future__ import annotations

import collections
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from helpers import PlainCrops, generators, succeed, tiny
from scenograph import Pipeline
from scenograph.data.clevr import VOCABULARY
from scenograph.data.loader import PackLoader
from scenograph.errors import UserError
from scenograph.models.pastegan import PasteGan, PasteGanConfig
from scenograph.models.published.pastegan import NAMES, RENAMED, import_pastegan
from scenograph.models.sg2im import add_image_objects
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scene import Relation, Scene, SceneObject, save_scenes
from scenograph.training.objectives import pastegan as objectives
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.pastegan import PasteGanObjective, PasteGanObjectiveConfig

PLAIN = replace(VOCABULARY, attributes={})


def scene(*colours: tuple[int, ...] | None) -> Scene:
    """Cubes beside each other, each with a crop of one colour, or without one."""
    objects = []
    for number, colour in enumerate(colours):
        crop = None if colour is None else np.broadcast_to(np.uint8(colour), (8, 8, 4)).copy()
        left = number / len(colours)
        objects.append(SceneObject("cube", box=(left, 0.2, left + 0.9 / len(colours), 0.8), crop=crop))
    relations = [Relation(n, "left of", n + 1) for n in range(len(colours) - 1)]
    return Scene(tuple(objects), tuple(relations))


RED, BLUE, CLEAR = (255, 0, 0, 255), (0, 0, 255, 255), (0, 0, 255, 0)


def batch_for(model: PasteGan, *scenes: Scene) -> SceneBatch:
    side = model.config.crop_size
    return SceneBatch.from_scenes(scenes, model.vocabulary, side, crop_size=side)


@pytest.fixture
def model() -> PasteGan:
    torch.manual_seed(0)
    made = tiny("pastegan", PLAIN)
    for _ in range(3):  # running statistics worth having
        made(batch_for(made, scene(RED, BLUE), scene(BLUE)))
    return made.eval()


OPTIONS = [
    {},
    {"graph_layers": 1},
    {"graph_pooling": "sum"},
    {"refiner_flow": False, "refiner_mask": True},
    {"refiner_residual": False},
    {"valid_edges_only": True},
    {"normalization": "instance"},
    {"normalization": "none"},
    {"canvas_blocks": 0},
    {"class_boxes": True},
    {"batch_maximum": True},
    {"image_size": (16, 32), "crop_size": 8},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_trains(options):
    torch.manual_seed(0)
    made = tiny("pastegan", **options)
    batch = batch_for(made, scene(RED, BLUE, RED), scene(BLUE))
    full = add_image_objects(batch, made.vocabulary)
    graph = made.graph(full)
    branch = made.branch(full, graph, made.crops(full))
    assert branch.images.shape[2:] == made.config.image_size
    (branch.images.square().mean() + graph.boxes.sum()).backward()
    unused = [name for name, parameter in made.named_parameters() if parameter.grad is None]
    assert all("predicate_net" in name for name in unused), unused


def test_a_crop_changes_the_picture_where_its_object_is(model):
    with torch.no_grad():
        first, second = model(batch_for(model, scene(RED, RED), scene(RED, BLUE))).images
    changed = (first - second).abs().sum(dim=0)
    left, right = changed[:, :8].sum(), changed[:, 8:].sum()
    assert right > 2 * left


def test_objects_without_a_crop_and_transparent_ones_are_drawn_alike(model):
    with torch.no_grad():
        none, clear, drawn = model(batch_for(model, scene(None), scene(CLEAR), scene(BLUE))).images
        blind = model(SceneBatch.from_scenes([scene(None)], model.vocabulary)).images[0]
    torch.testing.assert_close(clear, none)
    torch.testing.assert_close(blind, none)
    assert not torch.allclose(drawn, none, atol=1e-3)


def test_pictures_of_a_batch_depend_on_each_other_only_in_the_exact_form(model):
    asked = [scene(RED), scene(BLUE, RED)]
    with torch.no_grad():
        for parameter in model.fuser.parameters():
            parameter.mul_(100)  # large scores, as in trained networks
        for exact in (False, True):
            model.fuser.batch_maximum = exact
            together = model.condition(batch_for(model, *asked)).condition
            alone = torch.cat([model.condition(batch_for(model, one)).condition for one in asked])
            assert ((together - alone).abs().max() < 1e-3 * alone.abs().max()) != exact


def test_larger_pictures_and_impossible_sizes(model):
    pipe, batch = Pipeline(model), batch_for(model, scene(RED, BLUE))
    assert pipe(scene(RED, BLUE), size=34).images[0].size == (34, 34)
    assert model.render(model.condition(batch, size=32).condition).shape == (1, 3, 32, 32)
    with pytest.raises(UserError, match="multiples of 4"):
        model.render(model.condition(batch, size=34).condition)
    with pytest.raises(ValidationError, match="image_size 18 x 16: 2 refinement_dims need multiples of 4"):
        PasteGanConfig(vocabulary=PLAIN.to_dict(), image_size=(18, 16), refinement_dims=(8, 8))


def test_an_object_without_a_crop_is_one_line_with_the_remedy(model):
    with pytest.raises(UserError, match=r"^objects\[1\]: 'cube' has no crop, and pastegan draws .* with --memory"):
        Pipeline(model)(scene(RED, None))
    with pytest.raises(UserError, match=r"^scene 1, objects\[0\]: 'cube' has no crop"):
        Pipeline(model)([scene(RED), scene(None)])


def test_crops_that_a_scene_lacks_are_chosen_by_the_seed(model):
    pipe = Pipeline(model, crops=PlainCrops())
    made = pipe(scene(RED, None), seeds=[0, 1, 0])
    crops = [[thing.crop for thing in one.objects] for one in made.scenes]
    assert all((one[0] == RED).all() for one in crops)
    assert np.array_equal(crops[0][1], crops[2][1]) and not np.array_equal(crops[0][1], crops[1][1])
    pictures = [np.asarray(image) for image in made.images]
    assert np.array_equal(pictures[0], pictures[2]) and not np.array_equal(pictures[0], pictures[1])
    assert pipe.digests()["source of crops"] == "plain"


def test_boxes_come_from_the_model_itself_or_from_a_layout_model(model):
    graph = replace(scene(RED, BLUE), objects=tuple(replace(t, box=None) for t in scene(RED, BLUE).objects))
    torch.manual_seed(1)
    for layout in (None, tiny("mise-layout", PLAIN).eval()):
        made = Pipeline(model, layout)(graph)
        assert all(thing.box is not None and thing.crop is not None for thing in made.scenes[0].objects)


def test_generate_from_the_command_line(scenograph, model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    save_scenes(tmp_path / "scene.json", [scene(RED, BLUE)])
    save_scenes(tmp_path / "bare.json", [scene(RED, None)])
    succeed(scenograph("generate", "scene.json", "--image", "model", "--seeds", "0-1"))
    assert (tmp_path / "pictures" / "scene-seed0.png").is_file()
    code, _, errors = scenograph("generate", "bare.json", "--image", "model", "--layout", "model")
    assert code == 2 and "objects[1]: 'cube' has no crop" in " ".join(errors.split()) and "--memory" in errors
    succeed(scenograph("layout", "bare.json", "--layout", "model"))


def test_validation_and_curves_have_the_originals_figures_and_names(painted, tmp_path, monkeypatch, caplog):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from scenograph.errors import NOTE
    from scenograph.training.recipe import Recipe
    from scenograph.training.trainer import Trainer

    sections = {
        "name": "p",
        "model": {"name": "pastegan", **tiny("pastegan").config.model_dump(exclude={"vocabulary"})},
        "objective": {"name": "pastegan", **PasteGanObjectiveConfig.tiny().model_dump()},
        "data": {"pack": str(painted)},
        "training": {"steps": 1, "batch_size": 4, "log_every": 1, "validation_scenes": 8, "grid_scenes": 2},
    }
    caplog.set_level(NOTE)
    monkeypatch.setattr(objectives, "missing_weights", lambda *names: ["inception"])
    Trainer(Recipe.model_validate(sections), tmp_path / "without", torch.device("cpu")).run()
    assert sum("no val_inception" in message for message in caplog.messages) == 1

    seen = []

    def inception(pixels):  # whose certain classes are the pictures' numbers, in four
        seen.append(pixels)
        return pixels, torch.eye(4)[torch.arange(len(pixels)) % 4]

    inception.to = lambda device: inception
    monkeypatch.setattr(objectives, "missing_weights", lambda *names: [])
    monkeypatch.setattr(objectives, "load_inception", lambda: inception)
    trainer = Trainer(Recipe.model_validate(sections), tmp_path / "run", torch.device("cpu"))
    trainer.run()
    assert trainer.validation_figures["inception_score"] == pytest.approx(4.0)
    assert 0 <= trainer.validation_figures["iou"] <= 1
    assert all(pixels.min() >= 0 and pixels.max() <= 255 and (pixels == pixels.round()).all() for pixels in seen)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload().Tags()
    assert {"loss/pixels_own", "loss/matching", "loss/image_gan", "d_loss/object_critic", "d_loss/class_real"} <= {
        *events["scalars"]
    }
    assert {"ckpt/val_iou", "ckpt/val_inception", "ckpt/val_pixels"} <= {*events["scalars"]}
    rows = "true, canvas_ori, reconstruction, canvas_sel, prediction, prediction with predicted boxes"
    assert events["images"] == [rows, "scene graphs"]


def test_the_summands_of_the_loss_have_its_gradients(painted):
    loader = PackLoader(painted, "train", (16, 16), 16, crop_size=16)
    loader.vocabulary = tiny("pastegan").vocabulary
    batch = loader.fixed_batch(0, 4)
    found = []
    for whole in (True, False):
        torch.manual_seed(0)
        objective = PasteGanObjective(PasteGanObjectiveConfig.tiny(), tiny("pastegan").train())
        asked = ("generator", batch, Totals(4, len(batch.objects), len(batch.triples)), generators(0, 1, 2, 3), {})
        if whole:
            objective.loss(*asked)[0].backward()
        else:
            for summand, _ in objective.losses(*asked):
                summand.backward()
        found.append({name: one.grad for name, one in objective.model.named_parameters() if one.grad is not None})
    assert found[0].keys() == found[1].keys() and len(found[0]) > 50
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-3, atol=1e-6)


# Published checkpoints, as strangers make them.


def published(model: PasteGan) -> dict:
    """A training state in the original's form, with what its training leaves beside the weights."""
    config = model.config.model_dump()
    settings = {theirs: config[ours] for theirs, ours in RENAMED.items()}
    width = config["embedding_dim"]
    settings |= {
        "gconv_dim": width,
        "gconv_num_layers": config["graph_layers"] + 1,
        "use_canvas_res": True,
        "mlp_normalization": "none",
        "canvas_noise_dim": 0,
        "last_v": width,
        "vocab": {
            "object_idx_to_name": list(model.vocabulary.categories),
            "pred_idx_to_name": list(model.vocabulary.predicates),
        },
        "crop_encoder": {
            "crop_embedding_dim": width,
            "category_aware_encoder": False,
            "pooling": "avg",
            "crop_encoder_kwargs": {
                "arch": config["crop_arch"],
                "normalization": config["crop_normalization"],
                "activation": config["crop_activation"],
                "padding": "same",
                "non_linear_activated": True,
            },
        },
    }
    theirs = {
        "object_embedding.category.": "obj_embeddings.", "predicate_embedding.": "pred_embeddings.",
        "graph_layers.0.": "gconv.", "graph_layers.1.": "gconv_net.gconvs.0.",
        "crop_encoder.net.": "crop_encoder.model.", "crop_encoder.output.": "crop_encoder.output_mean.",
        "refiner.": "object_refiner.gconvs.", ".triple_net.": ".net1_2d.", ".pooled_net.": ".net2_2d.",
        ".object_net.": ".net_obj.", ".predicate_net.": ".activation.", ".flow_net.": ".flow_net.0.",
        "fuser.query.": "obj_img_fuser.attn_1.0.", "fuser.key.": "obj_img_fuser.attn_2.0.",
        "fuser.value.": "obj_img_fuser.attn_3.0.", "decoder.": "img_decoder.",
        **{f"canvas_blocks.{number}.": f"canvas_res{number + 1}." for number in range(6)},
    }  # fmt: skip
    state = {}
    for key, value in model.state_dict().items():
        for ours, other in theirs.items():
            key = key.replace(ours, other)
        state[f"module.{key}"] = value
    state["module.obj_vec_transform.0.weight"] = torch.zeros(width, width)
    history = collections.defaultdict(list)
    history["L1_pixel_loss"].append(0.5)
    return {
        "model_kwargs": settings,
        "model_state": state,
        "train_losses": history,
        "val_inception": [np.float64(1.5)],
        "train_samples": [np.zeros((2, 3, 4, 4), dtype=np.uint8)],
    }


@pytest.fixture
def whole() -> PasteGan:
    torch.manual_seed(0)
    return tiny("pastegan", PLAIN, canvas_blocks=6).eval()


def test_import_of_data_parallel_weights_with_histories(tmp_path, whole):
    assert len(NAMES) > 10
    torch.save(published(whole), tmp_path / "c.pt")
    again = import_pastegan(tmp_path / "c.pt")
    ours = whole.config.model_dump()
    assert again.config.model_dump() == ours | {"crop_size": 32}  # which its files do not tell
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


def test_import_from_the_command_line(scenograph, tmp_path, whole):
    torch.save(published(whole), tmp_path / "c.pt")
    output = succeed(scenograph("import", "pastegan", "c.pt", "--out", "m"))
    assert "wrote m (pastegan" in output
    assert json.loads((tmp_path / "m" / "config.json").read_text())["model"] == "pastegan"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value.pop("model_kwargs"), "not a PasteGAN checkpoint: it holds no 'model_kwargs'"),
        (lambda value: value["model_kwargs"].pop("crop_encoder"), "not a PasteGAN checkpoint"),
        (lambda value: value.update(model_state=None), "holds no 'model_state' weights"),
        (lambda value: value["model_kwargs"].pop("vocab"), "holds no 'vocab'"),
        (lambda value: value["model_kwargs"].update(gconv_dim=24), "embedding_dim 16, gconv_dim 24, .* must be equal"),
        (lambda value: value["model_kwargs"].update(canvas_noise_dim=8), "canvas_noise_dim 8: only 0 is known"),
        (lambda value: value["model_kwargs"].update(gconv_hidden_dim=24), "of another shape"),
        (lambda value: value["model_kwargs"].update(gconv_num_layers="many"), "not of the form that its system saves"),
        (lambda value: value["model_kwargs"].update(normalization="layer"), "model_kwargs: normalization"),
        (
            lambda value: value["model_kwargs"]["crop_encoder"].update(category_aware_encoder=True),
            "no model of this form",
        ),
        (lambda value: value["model_state"].pop("module.box_net.0.bias"), r"1 missing \(box_net.0.bias\)"),
    ],
)
def test_checkpoints_of_something_else_are_one_line(tmp_path, whole, change, message):
    value = published(whole)
    change(value)
    torch.save(value, tmp_path / "c.pt")
    with pytest.raises(UserError, match=message) as caught:
        import_pastegan(tmp_path / "c.pt")
    assert "\n" not in str(caught.value)
