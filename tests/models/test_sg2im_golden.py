"""sg2im against the recorded outputs of the original code."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from recordings import arrays
from scenograph.models.published.checkpoint import read_checkpoint
from scenograph.models.published.sg2im import import_sg2im
from scenograph.models.sg2im import denormalize, normalize, stretch_contrast
from scenograph.scenes.batch import SceneBatch, images_to_uint8
from scenograph.scenes.scene import load_scenes
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.sg2im import Sg2ImObjective, Sg2ImObjectiveConfig

pytestmark = pytest.mark.golden

CLOSE = {"atol": 1e-5, "rtol": 1e-4}
CLOSE_PICTURES = {"atol": 1e-4, "rtol": 1e-3}


def assert_close(actual, expected, **tolerance):
    torch.testing.assert_close(actual.detach().float(), expected.float(), **(tolerance or CLOSE))


def graph_batch(inputs: dict[str, torch.Tensor], boxes=False, masks=False) -> SceneBatch:
    """Recorded inputs, ``__image__`` objects included, as a batch; boxes and masks known only where asked."""
    count = len(inputs["objs"])
    owner = inputs.get("obj_to_img", torch.zeros(count, dtype=torch.int64))
    recorded_boxes = inputs.get("boxes_gt", inputs.get("boxes"))
    recorded_masks = inputs.get("masks_gt", inputs.get("masks"))
    masks = masks and recorded_masks is not None
    return SceneBatch(
        num_images=int(owner.max()) + 1,
        objects=inputs["objs"],
        attributes=torch.zeros((count, 0), dtype=torch.int64),
        triples=inputs["triples"],
        object_to_image=owner,
        triple_to_image=owner[inputs["triples"][:, 0]],
        boxes=recorded_boxes if boxes else torch.full((count, 4), float("nan")),
        masks=recorded_masks.float() if masks else torch.ones(count, 16, 16),
        known_masks=torch.full((count,), masks),
    )


MODELS = ["model_masks16", "model_nomask_instance", "model_nogconv", "model_mlpbatchnorm_sum"]
MODES = {
    "eval": {},
    "eval_gtboxes": {"boxes": True},
    "eval_gtmasks": {"masks": True},
    "eval_gtboxes_gtmasks": {"boxes": True, "masks": True},
    "train_gtboxes_gtmasks": {"boxes": True, "masks": True},
}


def check_generator(model, inputs, expected, **known):
    batch = graph_batch(inputs, **known)
    with torch.no_grad():
        layout, predicted = model.encode_graph(batch, layout_noise=inputs.get("noise"))
        image = model.render_normalized(layout)
    assert_close(predicted.boxes, expected["boxes_pred"])
    assert_close(predicted.relation_scores, expected["rel_scores"])
    assert (predicted.masks is None) == ("masks_pred" not in expected)
    if predicted.masks is not None:
        assert_close(predicted.masks, expected["masks_pred"])
    if "layout_with_noise" in expected:
        assert_close(layout, expected["layout_with_noise"])
    assert_close(image, expected["img"], **CLOSE_PICTURES)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
def test_generator(golden, name, mode):
    folder = golden / "sg2im" / name
    if not (folder / f"outputs_{mode}.npz").exists():
        pytest.skip("not recorded: this model has no mask head")
    model = import_sg2im(folder / "checkpoint_stripped.pt")
    inputs, expected = arrays(folder / "inputs.npz"), arrays(folder / f"outputs_{mode}.npz")
    model.train(mode.startswith("train"))
    if mode == "eval":
        with torch.no_grad():
            assert_close(model.object_vectors(graph_batch(inputs))[1], expected["obj_vecs"])
    check_generator(model, inputs, expected, **MODES[mode])
    state = model.state_dict()
    for key, value in expected.items():
        if key.startswith("after__") and not key.endswith("num_batches_tracked"):
            assert_close(state[key.removeprefix("after__").replace("__", ".")], value)


def test_one_graph_without_owner(golden):
    folder = golden / "sg2im" / "model_masks16"
    inputs, expected = arrays(folder / "inputs.npz"), arrays(folder / "outputs_eval_single_no_objtoimg.npz")
    first = {
        "objs": inputs["objs"][inputs["obj_to_img"] == 0],
        "triples": inputs["triples"][inputs["triple_to_img"] == 0],
        "noise": inputs["noise"][:1],
    }
    check_generator(import_sg2im(folder / "checkpoint_stripped.pt"), first, expected)


def test_legacy_container_gives_the_same_model(golden):
    folder = golden / "sg2im" / "model_masks16"
    model = import_sg2im(folder / "checkpoint_legacy.pt")
    check_generator(model, arrays(folder / "inputs.npz"), arrays(folder / "outputs_eval.npz"))


def test_one_training_step(golden, tmp_path):
    """Losses, gradients and weights of one step of all three players, batch statistics included."""
    folder = golden / "sg2im" / "train_step"
    inputs, expected = arrays(folder / "inputs.npz"), arrays(folder / "outputs.npz")
    losses = json.loads((folder / "losses.json").read_text())
    norms = json.loads((folder / "grad_norms.json").read_text())
    initial = read_checkpoint(folder / "initial.pt")
    model = import_sg2im(folder / "initial.pt").train()
    weights = losses["weights"]
    judges = {
        player: {key: initial[f"{player}_kwargs"][key] for key in ("arch", "normalization", "activation", "padding")}
        for player in ("d_obj", "d_img")
    }
    objective = Sg2ImObjective(
        Sg2ImObjectiveConfig(
            pixel_weight=weights["l1"],
            box_weight=weights["bbox"],
            mask_weight=weights["mask"],
            relation_weight=weights["predicate"],
            class_weight=weights["ac"],
            adversarial_weight=weights["d"],
            gan_loss=weights["gan"],
            crop_size=initial["d_obj_kwargs"]["object_size"],
            object_discriminator={**judges["d_obj"], "weight": weights["d_obj"]},
            image_discriminator={**judges["d_img"], "weight": weights["d_img"]},
        ),
        model,
    )
    modules = objective.modules()
    modules["object_discriminator"].load_state_dict(initial["d_obj_state"])
    modules["image_discriminator"].load_state_dict(initial["d_img_state"])
    batch = replace(graph_batch(inputs, boxes=True, masks=True), images=denormalize(inputs["imgs"]))
    # The recorded batch already holds its image objects and its noise.
    model.add_image_objects = lambda scene: scene
    encode = model.encode_graph
    model.encode_graph = lambda scene, draws: encode(scene, layout_noise=inputs["noise"])
    images, objects, relations = batch.num_images, len(batch.objects), len(batch.triples)
    totals, memory = Totals(images, objects - images, relations - objects + images), {}
    named = {
        "pixels": "L1_pixel_loss", "boxes": "bbox_pred", "masks": "mask_loss", "relations": "predicate_pred",
        "object_class": "ac_loss", "object_gan": "g_gan_obj_loss", "image_gan": "g_gan_img_loss",
        "object_critic": "d_obj_gan_loss", "class_real": "d_ac_loss_real", "class_fake": "d_ac_loss_fake",
        "image_critic": "d_img_gan_loss",
    }  # fmt: skip
    recorded = losses["generator"] | losses["d_obj"] | losses["d_img"]
    after = read_checkpoint(folder / "checkpoint_with_model.pt")
    short = {"generator": "model", "object_discriminator": "d_obj", "image_discriminator": "d_img"}
    totals_relations = totals.relations + totals.objects
    assert totals_relations == relations
    for phase in objective.phases:
        optimizer = torch.optim.Adam(modules[phase].parameters(), lr=weights["lr"])
        loss, terms = objective.loss(phase, batch, totals, [], memory)
        for name, value in terms.items():
            assert_close(value, torch.tensor(recorded[named[name]]))
        if phase == "generator":
            assert_close(loss, torch.tensor(recorded["total_loss"]))
            assert_close(memory["fake"], expected["img"], **CLOSE_PICTURES)
            assert_close(normalize(batch.images), inputs["imgs"])
        optimizer.zero_grad()
        loss.backward()
        check_gradients_and_step(modules[phase], optimizer, norms, after[f"{short[phase]}_state"], short[phase])


OLD_NAMES = {"object_embedding.category.": "obj_embeddings.", "predicate_embedding.": "pred_embeddings."}


def published_name(name: str) -> str:
    for ours, theirs in OLD_NAMES.items():
        name = name.replace(ours, theirs)
    return name


def check_gradients_and_step(module, optimizer, norms, after, label):
    norms = next(value for key, value in norms.items() if key in (label, {"model": "generator"}.get(label)))
    norms = norms.get("norms", norms.get("grad_norms", norms))
    checked = 0
    for name, parameter in module.named_parameters():
        theirs = published_name(name)
        if theirs in norms and norms[theirs] is not None and parameter.grad is not None:
            torch.testing.assert_close(
                float(parameter.grad.norm()), float(norms[theirs]), rtol=1e-3, atol=1e-6, msg=f"gradient of {name}"
            )
            checked += 1
    assert checked > 5
    optimizer.step()
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            clear = parameter.grad.abs() >= 1e-6
            torch.testing.assert_close(parameter[clear], after[published_name(name)][clear], atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", ["figure_5_coco", "figure_5_vg", "figure_6_sheep", "figure_6_street"])
def test_published_scene_graphs(golden, name):
    """From the JSON file to the saved picture, and that files parse into the recorded graphs."""
    folder = golden / "sg2im" / "scene_graph_json"
    model, data = import_sg2im(folder / "checkpoint_stripped.pt"), arrays(folder / f"{name}.npz")
    scenes = load_scenes(folder / f"{name}.json")
    batch = model.add_image_objects(SceneBatch.from_scenes(scenes, model.vocabulary))
    assert torch.equal(batch.objects, data["objs"])
    assert torch.equal(batch.triples, data["triples"])
    assert torch.equal(batch.object_to_image, data["obj_to_img"])
    with torch.no_grad():
        layout, predicted = model.encode_graph(batch, layout_noise=data["noise"])
        pictures = model.render_normalized(layout)
    assert_close(predicted.boxes, data["boxes_pred"])
    assert_close(pictures, data["img"], **CLOSE_PICTURES)
    ours = np.stack([np.asarray(image) for image in images_to_uint8(stretch_contrast(pictures))])
    theirs = data["img_uint8"].numpy()
    if theirs.shape[1] == 3:
        theirs = theirs.transpose(0, 2, 3, 1)
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    assert difference.max() <= 1 and (difference > 0).mean() <= 0.001
