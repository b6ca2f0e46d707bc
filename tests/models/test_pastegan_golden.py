"""PasteGAN against the recorded outputs of the original code."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from recordings import arrays, close, close_to_largest
from scenograph.models.pastegan import PasteGan
from scenograph.models.published.checkpoint import read_checkpoint
from scenograph.models.published.pastegan import UNUSED, import_pastegan, published_settings, used_weights
from scenograph.models.sg2im import denormalize
from scenograph.nn.crops import crop_boxes
from scenograph.nn.perceptual import VGG19, FeatureStack
from scenograph.scenes.batch import SceneBatch
from scenograph.training.objectives import pastegan as objectives
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.pastegan import PasteGanObjective, PasteGanObjectiveConfig

pytestmark = pytest.mark.golden
GENERATORS = ["generator_published", "generator_masked_sum"]


@pytest.fixture
def recorded(golden):
    return golden / "pastegan"


def batch_of(inputs: dict[str, torch.Tensor], boxes: bool = True) -> SceneBatch:
    """Recorded inputs, ``__image__`` objects included, as a batch."""
    count = len(inputs["objs"])
    owner = inputs.get("obj_to_img", torch.zeros(count, dtype=torch.int64))
    return SceneBatch(
        num_images=int(owner.max()) + 1,
        objects=inputs["objs"],
        attributes=torch.zeros((count, 0), dtype=torch.int64),
        triples=inputs["triples"],
        object_to_image=owner,
        triple_to_image=owner[inputs["triples"][:, 0]],
        boxes=inputs["boxes"] if boxes else torch.full((count, 4), float("nan")),
        masks=torch.ones(count, 16, 16),
        known_masks=torch.zeros(count, dtype=torch.bool),
    )


def generated(model: PasteGan, inputs: dict[str, torch.Tensor], boxes: bool = True) -> dict[str, torch.Tensor]:
    """What the original's forward pass returns."""
    scene = batch_of(inputs, boxes)
    graph = model.graph(scene)
    selected, own = (model.branch(scene, graph, inputs[f"{kind}_crops"]) for kind in ("selected", "original"))
    real = ~model.is_image(scene)
    placed = torch.where(scene.known_boxes[:, None], scene.boxes.nan_to_num(), graph.boxes)[real]
    crops = crop_boxes(selected.images, placed, scene.object_to_image[real], *inputs["selected_crops"].shape[2:])
    matching = (model.crop_encoder(crops) - selected.features[real]).abs().mean()
    return {
        "img_pred": selected.images,
        "img_rcst": own.images,
        "boxes_pred": graph.boxes,
        "crop_matching_loss": matching,
    }


def check(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float) -> None:
    for key, value in expected.items():
        close(found[key], value, tolerance if key.startswith("img") else 1e-5)


@pytest.mark.parametrize("name", GENERATORS)
def test_generator(recorded, name):
    folder = recorded / name
    model, inputs = import_pastegan(folder / "checkpoint.pt"), arrays(folder / "inputs.npz")
    model.fuser.batch_maximum = True
    with torch.no_grad():
        check(generated(model, inputs), arrays(folder / "expected_eval.npz"), 2e-4)
        check(generated(model, inputs, boxes=False), arrays(folder / "expected_eval_predicted_boxes.npz"), 2e-4)


@pytest.mark.parametrize("name", GENERATORS)
def test_one_scene_without_owner(recorded, name):
    folder = recorded / name
    model, inputs = import_pastegan(folder / "checkpoint.pt"), arrays(folder / "inputs.npz")
    objects, triples = inputs["obj_to_img"] == 0, inputs["triple_to_img"] == 0
    first = {key: inputs[key][objects] for key in ("objs", "boxes", "selected_crops", "original_crops")}
    with torch.no_grad():
        found = generated(model, first | {"triples": inputs["triples"][triples]})
    check(found, arrays(folder / "expected_eval_first_image_alone.npz"), 2e-4)


@pytest.mark.parametrize("name", GENERATORS)
def test_inner_values(recorded, name):
    folder = recorded / name
    model, inputs = import_pastegan(folder / "checkpoint.pt"), arrays(folder / "inputs.npz")
    expected = arrays(folder / "expected_eval_inner.npz")
    model.fuser.batch_maximum = True
    scene, shape = batch_of(inputs), model.config.image_size
    with torch.no_grad():
        graph = model.graph(scene)
        found = {"obj_vecs": graph.objects, "pred_vecs": graph.predicates}
        for kind, crops in (("sel", inputs["selected_crops"]), ("ori", inputs["original_crops"])):
            features = model.crop_encoder(crops)
            maps, relations = model.refine(graph, features)
            canvas = model.fuse(scene, graph, features, shape)
            found |= {
                f"crop_features_{kind}": features,
                f"refined_crops_{kind}": maps,
                f"refined_predicate_maps_{kind}": relations,
                f"scene_canvas_{kind}": canvas,
                f"scene_canvas_{kind}_2px": canvas[:, :, ::2, ::2],
                f"decoder_input_{kind}_2px": model.canvas_blocks(canvas)[:, :, ::2, ::2],
            }
    compared = expected.keys() & found.keys()
    assert len(compared) >= len(expected) - 1  # the features of generated crops are part of a loss that is compared
    for key in compared:
        close_to_largest(found[key], expected[key], 1e-4)


@pytest.mark.parametrize("name", GENERATORS)
def test_training_mode(recorded, name):
    folder = recorded / name
    model, inputs = import_pastegan(folder / "checkpoint.pt").train(), arrays(folder / "inputs.npz")
    model.fuser.batch_maximum = True
    with torch.no_grad():
        if name == "generator_masked_sum":  # without the loss whose crops would count in the encoder's statistics
            scene = batch_of(inputs)
            graph = model.graph(scene)
            kinds = {"img_pred": "selected_crops", "img_rcst": "original_crops"}
            found = {key: model.branch(scene, graph, inputs[crops]).images for key, crops in kinds.items()}
            found["boxes_pred"] = graph.boxes
        else:
            found = generated(model, inputs)
    check(found, arrays(folder / "expected_train.npz"), 5e-4)
    after = used_weights(torch.load(folder / "buffers_after_train_forward.pt", weights_only=True))
    assert after
    for key, value in after.items():
        own = model.state_dict()[key]
        assert torch.equal(own, value) if key.endswith("tracked") else True, key
        close(own, value, 1e-4)


NAMES = {
    "pixels_own": "L1_pixel_loss", "boxes": "bbox_pred", "matching": "Crop-Matching-Loss",
    "image_gan": "g_gan_img_loss", "image_gan_own": "g_gan_img_rcst_loss",
    "object_class": "ac_loss", "object_class_own": "ac_loss_rcst",
    "object_gan": "g_gan_obj_loss", "object_gan_own": "g_gan_obj_rcst_loss",
    "features": "double_perceptual_loss", "features_own": "img_rcst_perceptual_loss",
    "object_features_own": "obj_rcst_perceptual_loss",
    "object_critic": "d_obj_gan_loss", "object_critic_own": "d_obj_gan_rcst_loss", "class_real": "d_ac_loss_real",
    "image_critic": "d_img_gan_loss", "image_critic_own": "d_img_gan_rcst_loss",
}  # fmt: skip
PLAYERS = {"generator": "model", "object_discriminator": "d_obj", "image_discriminator": "d_img"}


def under_test(folder, monkeypatch) -> tuple[PasteGanObjective, SceneBatch, dict[str, torch.Tensor]]:
    """The objective with the recorded weights, and the recorded batch, which holds its image objects and crops."""
    before, inputs = read_checkpoint(folder / "before.pt"), arrays(folder / "inputs.npz")
    weights = json.loads((folder / "losses.json").read_text())["weights"]
    kinds = ("arch", "normalization", "activation", "padding")
    players = {player: {key: before[f"{player}_kwargs"][key] for key in kinds} for player in ("d_obj", "d_img")}
    vgg = FeatureStack(VGG19, torch.load(folder / "vgg19_sixteenth_width.pt", weights_only=True))
    monkeypatch.setattr("scenograph.training.objectives.features.load_vgg19", lambda path: vgg)
    monkeypatch.setattr(objectives, "add_image_objects", lambda batch, names: batch)
    model = import_pastegan(folder / "before.pt").train()
    model.fuser.batch_maximum = True
    config = PasteGanObjectiveConfig(
        pixel_weight=weights["l1_pixel_loss_weight"],
        box_weight=weights["bbox_pred_loss_weight"],
        matching_weight=weights["CML_weight"],
        adversarial_weight=weights["d_loss_weight"],
        class_weight=weights["ac_loss_weight"],
        feature_weight=weights["perceptual_loss_weight"],
        selected_feature_weight=weights["double_ploss_weight"],
        object_feature_weight=weights["obj_perceptual_loss_weight"],
        object_discriminator={**players["d_obj"], "weight": weights["d_obj_weight"]},
        image_discriminator={**players["d_img"], "weight": weights["d_img_weight"]},
    )
    objective = PasteGanObjective(config, model)
    for phase, player in list(PLAYERS.items())[1:]:
        objective.modules()[phase].load_state_dict(before[f"{player}_state"])
    monkeypatch.setattr(objective, "_crops", lambda *_: (inputs["selected_crops"], inputs["original_crops"]))
    return objective, replace(batch_of(inputs), images=denormalize(inputs["images"])), inputs


def test_one_training_step(recorded, monkeypatch):
    """Losses, gradients, weights and statistics of one step of all three players."""
    folder = recorded / "train_step"
    objective, batch, _ = under_test(folder, monkeypatch)
    expected, losses = arrays(folder / "outputs.npz"), json.loads((folder / "losses.json").read_text())
    norms = json.loads((folder / "grad_norms.json").read_text())
    after = read_checkpoint(folder / "after.pt")
    values = losses["generator"] | losses["d_obj"] | losses["d_img"]
    images = batch.num_images
    generators = [torch.Generator() for _ in range(images)]
    totals, memory, seen = Totals(images, len(batch.objects) - images, len(batch.triples)), {}, set()
    for phase, module in objective.modules().items():
        adam = torch.optim.Adam(module.parameters(), lr=losses["adam"]["lr"], betas=losses["adam"]["betas"])
        loss, terms = 0.0, {}
        for summand, found in objective.losses(phase, batch, totals, generators, memory):
            summand.backward()
            loss, terms = loss + summand.item(), terms | found
        for name, value in terms.items():
            assert float(value) == pytest.approx(values[NAMES[name]], rel=1e-4), name
        seen |= terms.keys()
        if phase == "generator":
            assert loss == pytest.approx(values["total_loss"], rel=1e-4)
            for fake, key in zip(memory["fakes"], ("img_pred", "img_rcst"), strict=True):
                close(fake, expected[key], 5e-4)
        player = PLAYERS[phase]
        recorded_norms = norms["generator" if player == "model" else player]
        clear = {name: torch.tensor(value) for name, value in recorded_norms.items() if value is not None}
        state = after[f"{player}_state"]
        if phase == "generator":
            clear, state = used_weights(clear), used_weights(state)
        assert clear.keys() == dict(module.named_parameters()).keys()
        clear = {name: float(value) for name, value in clear.items() if value > 1e-4}
        parameters = {name: parameter for name, parameter in module.named_parameters() if name in clear}
        for name, parameter in parameters.items():
            assert parameter.grad.norm().item() == pytest.approx(clear[name], rel=1e-2), name
        adam.step()
        moved = [
            (parameter.detach() - state[name]).abs()[parameter.grad.abs() >= 1e-6]
            for name, parameter in parameters.items()
        ]
        assert (torch.cat(moved) > 2e-5).float().mean() < 0.003
        for name, value in module.state_dict().items():
            if "running" in name or name.endswith("tracked"):
                close(value, state[name], 1e-4)
    assert seen == NAMES.keys()


def test_scores_of_one_training_step(recorded, monkeypatch):
    folder = recorded / "train_step"
    objective, batch, inputs = under_test(folder, monkeypatch)
    expected = arrays(folder / "outputs.npz")
    pictures = {"pred": expected["img_pred"], "rcst": expected["img_rcst"], "real": inputs["images"]}
    for key, picture in pictures.items():
        scores, _ = objective._discriminate_objects(picture, batch)
        close_to_largest(scores, expected[f"d_obj_scores_{key}"], 1e-3)
        scores = objective.discriminators["image_discriminator"](picture)
        close_to_largest(scores, expected[f"d_img_scores_{key}"], 1e-3)


@pytest.mark.parametrize("name", ["checkpoint_with_model", "checkpoint_module_prefix"])
def test_training_checkpoints(recorded, name):
    path = recorded / "training_checkpoint" / f"{name}.pt"
    model = import_pastegan(path)
    weights = read_checkpoint(path)["model_state"]
    theirs = used_weights({key.removeprefix("module."): value for key, value in weights.items()})
    assert theirs.keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(value, theirs[key])


@pytest.mark.parametrize("data", ["coco", "visual_genome"])
def test_published_names_and_shapes(recorded, data, tmp_path):
    """Of the generator and both discriminators."""
    schema = json.loads((recorded / "published_schema.json").read_text())[data]
    published = json.loads((recorded / "generator_published" / "config.json").read_text())
    crop_encoder = published["crop_encoder"]
    categories, predicates = {"coco": (184, 7), "visual_genome": (179, 46)}[data]
    names = {
        "object_idx_to_name": ["__image__", *(f"object {i}" for i in range(1, categories))],
        "pred_idx_to_name": ["__in_image__", *(f"predicate {i}" for i in range(1, predicates))],
    }
    wide = {
        **published,
        "vocab": names,
        **dict.fromkeys(("embedding_dim", "gconv_dim"), 128),
        "gconv_hidden_dim": 512,
        "refinement_dims": [1024, 512, 256, 128, 64],
        "crop_encoder": {
            **crop_encoder,
            "crop_embedding_dim": 128,
            "crop_encoder_kwargs": {**crop_encoder["crop_encoder_kwargs"], "arch": "C3-64-2,C3-128-2,C3-256-2"},
        },
    }
    with torch.device("meta"):
        model = PasteGan(published_settings(wide, None, tmp_path))
        options = PasteGanObjectiveConfig(feature_weight=0, selected_feature_weight=0, object_feature_weight=0)
        shapes = {
            "object_discriminator": objectives.ObjectDiscriminator(
                categories, object_size=32, **options.object_discriminator.model_dump(exclude={"weight"})
            ),
            "image_discriminator": objectives.ImageDiscriminator(
                **options.image_discriminator.model_dump(exclude={"weight"}), classifies=True
            ),
        }
    with torch.device("meta"):
        expected = used_weights({key: torch.empty(shape) for key, shape in schema["generator"].items()})
    assert {key: value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in expected.items()
    }
    unused = sum(bool(UNUSED.match(key)) for key in schema["generator"])
    assert len(expected) + unused == len(schema["generator"]) == 558
    for name, network in shapes.items():
        assert {key: list(value.shape) for key, value in network.state_dict().items()} == schema[name]
