from __future__ import annotations

import copy
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from recordings import DISCRIMINATOR_NAMES, arrays, corners
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import UserError
from scenograph.models.attspade import AttSpade, AttSpadeConfig
from scenograph.models.published.attspade import NAMES, import_attspade
from scenograph.models.published.checkpoint import rename
from scenograph.models.published.wsgc import import_wsgc
from scenograph.nn.painting import paint_vectors, sample_boxes, sample_masks
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.sg2im import DiscriminatorConfig
from scenograph.training.objectives.spade import AttSpadeObjective, AttSpadeObjectiveConfig
from scenograph.training.objectives.wsgc import WsgcObjective, WsgcObjectiveConfig

CLOSE = {"atol": 2e-4, "rtol": 1e-3}
IMAGE_NAMES = (
    (r"^attribute_embedding\.att_emb_(\d+)\.", r"embedding.tables.\1."),
    (r"^attribute_embedding\.attribute_fc_gen\.", "embedding.mix."),
    (r"^discriminator_(\d)\.", r"scales.scales.\1."),
    *DISCRIMINATOR_NAMES[1:],
)
SYSTEMS = ["attspade_coco_boxes", "attspade_coco_masks", "attspade_clevr"]


def recorded(folder):
    return (
        {key: torch.from_numpy(value) for key, value in np.load(folder / f"{kind}.npz").items()}
        for kind in ("inputs", "outputs")
    )


def scene_batch(inputs, boxes, masks):
    """The recorded, padded batch without what pads it."""
    objects = inputs["objs"]
    count, width, _ = objects.shape
    real = (objects[..., 0] != 0).flatten()
    sides = boxes.reshape(-1, 4)
    corners = torch.cat([sides[:, :2], sides[:, :2] + sides[:, 2:]], dim=1)[real]
    known = masks is not None
    planes = masks.flatten(0, 1)[real].float() if known else torch.ones(len(corners), 16, 16)
    return SceneBatch(
        num_images=count, objects=objects[..., 0].reshape(-1)[real],
        attributes=objects[..., 1:].reshape(count * width, -1)[real] - 1, triples=torch.zeros((0, 3), dtype=torch.long),
        object_to_image=torch.arange(count).repeat_interleave(width)[real],
        triple_to_image=torch.zeros(0, dtype=torch.long), boxes=corners, masks=planes,
        known_masks=torch.full((len(corners),), known),
    )  # fmt: skip


@pytest.mark.golden
@pytest.mark.parametrize("name", SYSTEMS)
def test_recorded_pictures(golden, two_threads, name):
    folder = golden / "wsgc" / name
    inputs, expected = recorded(folder)
    model = import_attspade(folder / "itr_0.pt")
    predicted = expected["eval_pred_test1_boxes_pred"], expected.get("eval_pred_test1_masks_pred")
    ways = {"gt": (inputs["boxes"], inputs.get("masks")), "pred": predicted}
    if predicted[1] is not None:
        ways["gtbox"] = (inputs["boxes"], predicted[1])
    with torch.no_grad():
        for kind, (boxes, masks) in ways.items():
            batch = scene_batch(inputs, boxes, masks)
            wanted = expected[f"eval_{kind}_test1_img"]
            torch.testing.assert_close(model.render(model.paint(batch)), wanted, **CLOSE)
            faster = model.for_inference()
            torch.testing.assert_close(faster.render(faster.condition(batch).condition), wanted, **CLOSE)
        given = scene_batch(inputs, inputs["boxes"], inputs.get("masks"))
        model.train()
        torch.testing.assert_close(model.render(model.paint(given)), expected["train_img"], **CLOSE)


@pytest.mark.parametrize("upsampling", ["normal", "more", "most"])
def test_attspade_draws_at_the_size_it_was_made_for(upsampling):
    names = AttSpade.vocabulary_for(VOCABULARY)
    config = {"vocabulary": names.to_dict(), "image_size": 128, "channels": 2, "embedding_dim": 4}
    model = AttSpade(AttSpadeConfig(upsampling=upsampling, **config)).eval()
    thing = SceneObject("cube", ("red",), box=(0.2, 0.2, 0.7, 0.7))
    batch = SceneBatch.from_scenes([Scene((thing,)), Scene((thing, thing))], names)
    with torch.no_grad():
        pictures = model(batch).images
    assert pictures.shape == (2, 3, 128, 128) and pictures.abs().max() <= 1
    with pytest.raises(ValueError, match="must be a multiple of 32"):
        AttSpadeConfig(**{**config, "image_size": 100})
    with pytest.raises(UserError, match="needs a box for every object"):
        model.condition(SceneBatch.from_scenes([Scene((SceneObject("cube"),))], names))


def test_norms_over_each_picture_take_no_heed_of_the_others():
    names = AttSpade.vocabulary_for(VOCABULARY)
    config = {"vocabulary": names.to_dict(), "image_size": 64, "channels": 2, "embedding_dim": 4}
    large, small = (Scene((SceneObject("cube", ("red",), box=(0.1, 0.1, side, side)),)) for side in (0.9, 0.2))
    differences = []
    for norm in ("instance", "batch"):
        torch.manual_seed(0)
        model = AttSpade(AttSpadeConfig(norm=norm, **config))
        state = copy.deepcopy(model.state_dict())
        drawn = []
        for scenes in ([large], [large, small, small]):
            model.load_state_dict(state)  # spectral norms go on in training
            with torch.no_grad():
                drawn.append(model(SceneBatch.from_scenes(scenes, names)).images[0])
        differences.append(float((drawn[0] - drawn[1]).abs().max()))
    assert differences[0] < 1e-5 < 1e-2 < differences[1]
    with pytest.raises(ValueError, match="image_size 32: begins with one pixel"):
        AttSpadeConfig(norm="instance", **{**config, "image_size": 32})


def test_smaller_objects_hide_larger_ones():
    names = AttSpade.vocabulary_for(VOCABULARY)
    config = {"vocabulary": names.to_dict(), "image_size": 64, "channels": 2, "embedding_dim": 4}
    model = AttSpade(AttSpadeConfig(overlaps="smaller", **config))
    round_mask = np.hypot(*np.mgrid[-1:1:16j, -1:1:16j]) < 0.9
    large = SceneObject("cube", ("red",), box=(0.1, 0.1, 0.9, 0.9))
    small = SceneObject("sphere", ("blue",), box=(0.3, 0.3, 0.6, 0.6), mask=round_mask)
    alone, both, turned = (
        model.paint(SceneBatch.from_scenes([Scene(things)], names))
        for things in ((large,), (large, small), (small, large))
    )
    torch.testing.assert_close(both, turned)
    vector = model.object_embedding(model.attributes(SceneBatch.from_scenes([Scene((small,))], names)))[0]
    torch.testing.assert_close(both[0, :, 28, 28], vector)
    corner = slice(19, 21)  # in the box of the sphere, but not in its mask
    torch.testing.assert_close(both[..., corner, corner], alone[..., corner, corner])
    crowd = SceneBatch.from_scenes([Scene((large,)), Scene((large, small, small) * 9)], names)
    planes = model.planes(crowd)
    assert planes.min() >= 0 and planes[1:].sum(dim=0).max() <= 1 + 1e-5
    torch.testing.assert_close(model.eval().paint(crowd)[:1], alone)
    published = AttSpade(AttSpadeConfig(**config))
    assert published.planes(crowd)[1:].sum(dim=0).max() > 20


def test_pixels_know_where_in_their_box_they_lie():
    names = AttSpade.vocabulary_for(VOCABULARY)
    config = {"vocabulary": names.to_dict(), "image_size": 64, "channels": 2, "embedding_dim": 4}
    model = AttSpade(AttSpadeConfig(overlaps="smaller", coordinates=True, **config)).eval()
    last = 63  # pixels lie at linspace(0, 1, 64)
    large = SceneObject("cube", box=(7 / last, 15 / last, 47 / last, 31 / last))
    small = SceneObject("cube", box=(11 / last, 17 / last, 15 / last, 21 / last))
    batch = SceneBatch.from_scenes([Scene((large, small))], names)
    across, down = model.paint(batch)[0, -2:].detach()
    for pixel, place in (((23, 27), (0, 0)), ((31, 47), (1, 1)), ((19, 13), (0, 0)), ((17, 15), (-1, 1))):
        assert (float(down[pixel]), float(across[pixel])) == pytest.approx(place, abs=1e-4)
    outside = torch.ones(64, 64, dtype=torch.bool)
    outside[10:37, 0:55] = False
    assert not across[outside].any() and not down[outside].any()
    pictures = model(batch).images
    assert pictures.shape == (1, 3, 64, 64)
    torch.testing.assert_close(model.for_inference()(batch).images, pictures, atol=1e-5, rtol=1e-4)


def test_attspade_needs_its_companion_file(tmp_path):
    torch.save({"model_state": {"layout_to_image_model.module.fc.weight": torch.zeros(16, 4, 3, 3)}}, tmp_path / "i.pt")
    with pytest.raises(UserError, match="needs the run_args.json that training wrote beside it"):
        import_attspade(tmp_path / "i.pt")
    torch.save({"model_state": {"a": torch.zeros(1)}}, tmp_path / "i.pt")
    with pytest.raises(UserError, match="not a checkpoint with an AttSPADE generator"):
        import_attspade(tmp_path / "i.pt")


def without_unused(state):
    return {key: value for key, value in state.items() if not key.startswith(("repr_net", "image_encoder"))}


def recorded_objective(folder, model):
    """The objective with the checkpoint's discriminators."""
    options = json.loads((folder / "run_args.json").read_text())
    checkpoint = torch.load(folder / "itr_0.pt", weights_only=True)
    judge = {
        "arch": "d_obj_arch",
        "normalization": "d_normalization",
        "activation": "d_activation",
        "padding": "d_padding",
    }
    config = AttSpadeObjectiveConfig(
        gan_loss=options["gan_mode"], image_weight=options["discriminator_img_loss_weight"],
        matching_weight=options["lambda_feat"], feature_weight=0.0, discriminator_channels=options["ndf"],
        discriminator_scales=options["num_D"], discriminator_layers=options["n_layers_D"],
        objects=not options["use_img_disc"], object_weight=options["discriminator_obj_loss_weight"],
        class_weight=options["ac_loss_weight"], crop_size=options["crop_size"],
        object_discriminator=DiscriminatorConfig(**{ours: options[theirs] for ours, theirs in judge.items()}),
    )  # fmt: skip
    objective = AttSpadeObjective(config, model)
    state = rename(without_unused(checkpoint["d_img_state"]), IMAGE_NAMES)
    objective.discriminators["image_discriminator"].load_state_dict(state)
    if config.objects:
        objective.discriminators["object_discriminator"].load_state_dict(checkpoint["d_obj_state"])
    return objective


@pytest.mark.golden
@pytest.mark.parametrize("name", SYSTEMS)
def test_recorded_judgements_and_losses(golden, two_threads, name):
    folder = golden / "wsgc" / name
    inputs, expected = recorded(folder)
    losses = json.loads((folder / "losses.json").read_text())
    model = import_attspade(folder / "itr_0.pt")
    objective = recorded_objective(folder, model)
    batch = replace(scene_batch(inputs, inputs["boxes"], inputs.get("masks")), images=inputs["imgs"])
    modules = objective.modules()
    with torch.no_grad():
        for module in modules.values():
            module.eval()
        found = objective._discriminate([batch.images], objective._discriminator_condition(batch, None))
        for key in (key for key in expected if key.startswith("d_img_scale")):
            torch.testing.assert_close(found[int(key[11])][int(key[-1])], expected[key], **CLOSE)
        if "d_obj_scores" in expected:
            scores, errors = objective._discriminate_objects(batch.images, batch)
            torch.testing.assert_close(scores, expected["d_obj_scores"], **CLOSE)
            torch.testing.assert_close(errors.mean(), expected["d_obj_ac_loss"], **CLOSE)
    for module in modules.values():
        module.train()
    memory, terms = {}, {}
    totals = Totals(batch.num_images, len(batch.objects), 0)
    for phase in objective.phases:
        loss, found = objective.loss(phase, batch, totals, [torch.Generator()] * batch.num_images, memory)
        terms |= found
        if phase == "generator":
            loss.backward()
            check_gradient_norms(model, losses["generator_grad_norms"])
            rate = json.loads((folder / "run_args.json").read_text())["img_learning_rate"]
            torch.optim.Adam(model.parameters(), lr=rate).step()
    everything = losses["generator"] | losses["discriminators"]
    names = {
        "image_gan": "GAN_Img", "matching": "GAN_Feat", "object_gan": "GAN_Obj", "object_class": "GAN_Ac",
        "image_critic": "total_img_loss", "object_critic": "D_obj", "class_real": "D_ac_real", "class_fake": "D_ac_fake",
    }  # fmt: skip
    assert {key: float(value) for key, value in terms.items()} == pytest.approx(
        {ours: everything[theirs] for ours, theirs in names.items() if theirs in everything}, rel=1e-4, abs=1e-6
    )


def check_gradient_norms(model, norms):
    prefix = "layout_to_image_model.module."
    wanted = {key.removeprefix(prefix): torch.tensor(value) for key, value in norms.items() if key.startswith(prefix)}
    largest, found = max(wanted.values()), dict(model.named_parameters())
    for key, value in rename(wanted, NAMES).items():
        if "mlp_" in key:  # gains and shifts are one convolution here
            continue
        torch.testing.assert_close(found[key].grad.norm(), value, rtol=2e-3, atol=1e-3 * float(largest), msg=key)


@pytest.mark.golden
def test_recorded_losses_of_masks(golden, monkeypatch):
    folder = golden / "wsgc" / "attspade_coco_masks"
    inputs, expected = recorded(folder)
    losses = json.loads((folder / "losses.json").read_text())
    options = json.loads((folder / "run_args.json").read_text())
    network = import_wsgc(folder / "itr_0.pt").train()
    state = rename(
        without_unused(torch.load(folder / "itr_0.pt", weights_only=True)["d_mask_state"]), DISCRIMINATOR_NAMES
    )
    config = WsgcObjectiveConfig(
        box_weight=options["bbox_pred_loss_weight"],
        mask_weight=options["mask_pred_loss_weight"],
        mask_gan_weight=options["discriminator_mask_loss_weight"],
        matching_weight=options["lambda_feat"],
        discriminator_channels=len(state["scales.0.first.weight"]),
    )
    objective = WsgcObjective(config, network)
    objective.discriminator.load_state_dict(state)
    batch = scene_batch(inputs, inputs["boxes"], inputs["masks"])
    with torch.no_grad():
        scales = objective.discriminator.eval() and objective._discriminate(batch.masks, batch)
        for key in (key for key in expected if key.startswith("d_mask_scale")):
            torch.testing.assert_close(scales[int(key[12])][int(key[-1])], expected[key], **CLOSE)
    objective.discriminator.train()
    real = (inputs["objs"][..., 0] != 0).flatten()
    sides = expected["train_boxes_pred"].reshape(-1, 4)[real]
    corners = torch.cat([sides[:, :2], sides[:, :2] + sides[:, 2:]], dim=1)
    masks = expected["train_masks_pred"].flatten(0, 1)[real].requires_grad_()
    monkeypatch.setattr(network, "layout", lambda *arguments: (corners, masks))
    monkeypatch.setattr(network, "canonicalize", lambda *arguments: None)
    memory, terms = {}, {}
    totals = Totals(batch.num_images, len(batch.objects), 0)
    for phase in ("layout", "mask_discriminator"):
        _, found = objective.loss(phase, batch, totals, [torch.Generator()] * batch.num_images, memory)
        terms |= found
    everything = losses["generator"] | losses["discriminators"]
    names = {"boxes": "bbox_pred", "masks": "masks_pred", "mask_gan": "GAN_Mask", "matching": "GAN_Mask_Feat"}
    names["mask_critic"] = "total_mask_loss"
    assert {key: float(value) for key, value in terms.items()} == pytest.approx(
        {ours: everything[theirs] for ours, theirs in names.items()}, rel=1e-4
    )


@pytest.mark.golden
def test_layouts_of_boxes_and_masks(golden):
    data = arrays(golden / "wsgc" / "layout_xywh" / "layout.npz")
    vectors, boxes, masks = data["vecs"], corners(data["boxes_xywh"]), data["masks"]
    owner = torch.zeros(len(boxes), dtype=torch.long)
    close = {"atol": 1e-5, "rtol": 1e-4}
    recorded = [key for key in data if re.fullmatch(r"boxes_\d+x\d+", key)]
    assert len(recorded) >= 2
    for key in recorded:
        found = paint_vectors(vectors, sample_boxes(boxes, *data[key].shape[2:]), owner, 1)
        assert_close(found, data[key], **close)
    trained, drawn = (
        next(data[key] for key in data if re.fullmatch(rf"masks_.*_{mode}", key)) for mode in ("train", "test")
    )
    found = paint_vectors(vectors, sample_masks(boxes, masks, *trained.shape[2:]), owner, 1)
    assert_close(found, trained, **close)
    # In inference the model paints whole objects, the lightest first: as many categories, with these vectors.
    kinds = [f"category {number}" for number in range(len(vectors))]
    names = Vocabulary(("__image__", *kinds), ("near",))
    sizes = {"image_size": 32, "channels": 2, "embedding_dim": vectors.shape[1]}
    model = AttSpade(AttSpadeConfig(vocabulary=names.to_dict(), **sizes)).eval()
    model.config = model.config.model_copy(
        update={"image_size": tuple(drawn.shape[2:])}
    )  # smaller than any that is drawn
    with torch.no_grad():
        model.object_embedding.tables[0].weight[1:] = vectors
    things = (SceneObject(name, box=(0, 0, 1, 1), mask=np.ones(masks.shape[1:], dtype=bool)) for name in kinds)
    batch = replace(SceneBatch.from_scenes([Scene(tuple(things))], names), boxes=boxes, masks=masks)
    assert_close(model.paint(batch), drawn, **close)
