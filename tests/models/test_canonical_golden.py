"""The parts of Canonical Sg2Im one by one against their recordings; whole systems are in test_wsgc and test_attspade."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from test_spade import load_recorded
from torch.testing import assert_close

from scenograph.models.attspade import AttSpade, AttSpadeConfig
from scenograph.models.published.checkpoint import read_checkpoint, rename
from scenograph.nn.crops import crop_boxes
from scenograph.nn.embedding import AttributeEmbedding
from scenograph.nn.graph import Edges, GraphTripleConv
from scenograph.nn.painting import compose_layout, sample_boxes, sample_masks
from scenograph.nn.perceptual import feature_distance
from scenograph.nn.spade import FeatureConv2d, NormPlan, SpadeBlock, SpadeNorm, neighbourhoods, resized
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.geometry import box_iou
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.gan import discriminator_loss, generator_loss

pytestmark = pytest.mark.golden
CLOSE = {"atol": 1e-5, "rtol": 1e-4}
CLOSE_PICTURES = {"atol": 2e-4, "rtol": 1e-3}
"""The recordings' own recommended tolerances."""
MODES = ("train", "test")


def arrays(path):
    return {key: torch.from_numpy(value) for key, value in np.load(path).items()}


def corners(boxes):
    """x, y, width, height (..., 4) to corners."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1)


@pytest.mark.parametrize(("name", "mixed"), [("coco", False), ("coco_fc", True), ("clevr", True)])
def test_attribute_embeddings(golden, name, mixed):
    folder = golden / "wsgc" / "attribute_embedding"
    data, state = arrays(folder / f"{name}.npz"), read_checkpoint(folder / f"{name}.pt")
    tables = [table for key, table in sorted(state.items()) if key.startswith("att_emb_")]
    embedding = AttributeEmbedding([len(table) for table in tables], tables[0].shape[1], mixed)
    rules = ((r"^att_emb_(\d+)\.", r"tables.\1."), (r"^attribute_fc_gen\.", "mix."))
    embedding.load_state_dict(rename(state, rules))
    assert_close(embedding(data["objs"].flatten(0, 1)), data["out"].flatten(0, 1), **CLOSE)


def test_a_graph_layer_and_its_gradients(golden):
    """All pictures at once, without the triples that pad; predicates of another width than objects are padded."""
    folder = golden / "wsgc" / "graph_triple_conv"
    data, state = arrays(folder / "data.npz"), dict(read_checkpoint(folder / "state.pt"))
    sizes = json.loads((folder / "config.json").read_text())
    wide, narrow, hidden = (sizes[key] for key in ("object_output_dim", "predicate_output_dim", "hidden_dim"))
    beliefs = state.pop("predicates_transitive_weights").requires_grad_()
    for key in ("net1.2.weight", "net1.2.bias"):
        subject, middle, target = state[key].split([hidden, narrow, hidden])
        state[key] = torch.cat([subject, middle, torch.zeros(wide - narrow, *middle.shape[1:]), target])
    layer = GraphTripleConv(sizes["obj_input_dim"], wide, hidden, predicate_dim=sizes["predicate_input_dim"])
    layer.load_state_dict(state)
    count, objects = data["obj_vecs"].shape[:2]
    real = data["pred_indicators"].flatten()
    edges = (data["edges"] + objects * torch.arange(count)[:, None, None]).flatten(0, 1)
    vectors, predicates = (data[f"{kind}_vecs"].flatten(0, 1).requires_grad_() for kind in ("obj", "pred"))
    kinds = data["triplet_type"].flatten()
    implied = beliefs.sigmoid()[data["predicate_ids"].flatten()]
    confidence = torch.where(kinds == 0, 1.0, torch.where(kinds == 1, implied, 0.0))
    found, offered = layer(vectors, predicates[real], Edges.of(edges[real], len(vectors), confidence[real]))
    assert_close(found, data["new_obj_vecs"].flatten(0, 1), **CLOSE)
    assert_close(offered[:, :narrow], data["new_pred_vecs"].flatten(0, 1)[real], **CLOSE)
    assert not offered[:, narrow:].any()
    # The recorded loss has the vectors of triples that pad, which no object hears of.
    _, padding = layer(vectors, predicates[~real], Edges.of(edges[~real], len(vectors), confidence[~real]))
    sum(part.square().sum() for part in (found, offered, padding)).backward()
    assert_close(vectors.grad, data["grad_obj_vecs"].flatten(0, 1), **CLOSE)
    assert_close(predicates.grad, data["grad_pred_vecs"].flatten(0, 1), **CLOSE)
    assert_close(beliefs.grad, data["grad_transitive_weights"], **CLOSE)


def test_layouts_of_boxes_and_masks(golden):
    data = arrays(golden / "wsgc" / "layout_xywh" / "layout.npz")
    vectors, boxes, masks = data["vecs"], corners(data["boxes_xywh"]), data["masks"]
    owner = torch.zeros(len(boxes), dtype=torch.long)
    recorded = [key for key in data if re.fullmatch(r"boxes_\d+x\d+", key)]
    assert len(recorded) >= 2
    for key in recorded:
        found = compose_layout(vectors, sample_boxes(boxes, *data[key].shape[2:]), owner, 1)
        assert_close(found, data[key], **CLOSE)
    trained, drawn = (next(data[key] for key in data if re.fullmatch(rf"masks_.*_{mode}", key)) for mode in MODES)
    found = compose_layout(vectors, sample_masks(boxes, masks, *trained.shape[2:]), owner, 1)
    assert_close(found, trained, **CLOSE)
    # In inference the model paints whole objects, the lightest first: as many categories, with these vectors.
    kinds = [f"category {number}" for number in range(len(vectors))]
    names = Vocabulary(("__image__", *kinds), ("near",))
    sizes = {"image_size": 32, "channels": 2, "embedding_dim": vectors.shape[1]}
    model = AttSpade(AttSpadeConfig(vocabulary=names.to_dict(), **sizes)).eval()
    model.config = model.config.model_copy(update={"image_size": drawn.shape[3]})  # smaller than any that is drawn
    with torch.no_grad():
        model.object_embedding.tables[0].weight[1:] = vectors
    things = (SceneObject(name, box=(0, 0, 1, 1), mask=np.ones(masks.shape[1:], dtype=bool)) for name in kinds)
    batch = replace(SceneBatch.from_scenes([Scene(tuple(things))], names), boxes=boxes, masks=masks)
    assert_close(model.paint(batch), drawn, **CLOSE)


def test_crops(golden):
    folder = golden / "wsgc" / "layout_xywh"
    data = arrays(folder / "layout.npz")
    owner = torch.arange(len(data["feats"]))
    wanted = next(value for key, value in data.items() if key.startswith("crops_"))
    found = crop_boxes(data["feats"], corners(data["boxes_xywh"]), owner, *wanted.shape[2:])
    assert_close(found, wanted, **CLOSE)
    data = arrays(folder / "crop_batch.npz")
    wanted = next(value for key, value in data.items() if key.startswith("crops_"))
    kept = data["keep_mask"]
    assert torch.equal(kept, data["objs"][..., 0] != 0)
    owner = torch.arange(len(kept))[:, None].expand_as(kept)[kept]
    found = crop_boxes(data["imgs"], corners(data["boxes"])[kept], owner, *wanted.shape[2:])
    assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("inputs", ["x", "x2"])
def test_residual_blocks(golden, inputs):
    """One with a learnt shortcut, and one that keeps its width."""
    folder = golden / "wsgc" / "spade_block"
    data, states = arrays(folder / "data.npz"), read_checkpoint(folder / "state.pt")
    layout = resized(data["seg"], *data[inputs].shape[2:])
    width_in = data[inputs].shape[1]
    (key,) = (name.removeprefix("block_") for name in states if name.startswith(f"block_{width_in}_"))
    width_out = data[f"eval_{key}"].shape[1]
    block = SpadeBlock(width_in, width_out, NormPlan(partial(FeatureConv2d, layout.shape[1])))
    load_recorded(block, states[f"block_{key}"])
    with torch.no_grad():
        assert_close(block.eval()(data[inputs], layout), data[f"eval_{key}"], **CLOSE_PICTURES)
        found = block(data[inputs], layout, neighbourhoods(layout, 3))
        assert_close(found, data[f"eval_{key}"], **CLOSE_PICTURES)
        assert_close(block.train()(data[inputs], layout), data[f"train_{key}"], **CLOSE_PICTURES)
    if inputs == "x":
        after = block.state_dict()
        assert_close(after["norm1.norm.running_mean"], data["after_train_running_mean_norm_0"], **CLOSE)
        assert_close(after["norm1.norm.running_var"], data["after_train_running_var_norm_0"], **CLOSE)
        assert_close(after["conv1.weight_u"], data["after_train_u_conv_0"], **CLOSE)


@pytest.mark.parametrize("name", ["instance", "batch", "syncbatch"])
def test_norms(golden, name):
    folder = golden / "wsgc" / "spade_block"
    data, states = arrays(folder / "data.npz"), read_checkpoint(folder / "state.pt")
    layout = resized(data["seg"], *data["x"].shape[2:])
    (found,) = (found for key in data if (found := re.fullmatch(rf"spade_spade{name}(\d)x\d", key)))
    channels = data[found[0]].shape[1]
    kind = "instance" if name == "instance" else "batch"
    norm = SpadeNorm(channels, NormPlan(partial(FeatureConv2d, layout.shape[1]), kind, int(found[1])))
    load_recorded(norm, states[found[0]])
    with torch.no_grad():
        assert_close(norm.eval()(data["x"][:, :channels], layout), data[found[0]], **CLOSE_PICTURES)


@pytest.mark.parametrize("kind", ["squares", "gan", "wgan", "hinge"])
@pytest.mark.parametrize("shape", ["list", "tensor"])
def test_gan_losses(golden, kind, shape):
    """A discriminator's loss is the sum of its halves; of several scales the last layers count, and their mean."""
    data = arrays(golden / "wsgc" / "losses" / "losses.npz")
    scores = [data["tensor"]] if shape == "tensor" else [data["scale0_layer1"], data["scale1_layer1"]]
    recorded = {"squares": "ls", "gan": "original", "wgan": "w", "hinge": "hinge"}[kind]
    wanted = data[f"{recorded}_real1_d0_{shape}"]
    assert_close(torch.stack([generator_loss(kind, one) for one in scores]).mean(), wanted.mean(), **CLOSE)
    halves = [data[f"{recorded}_real{real}_d1_{shape}"].mean() for real in (0, 1)]
    found = torch.stack([discriminator_loss(kind, one, one) for one in scores]).mean()
    assert_close(found, halves[0] + halves[1], **CLOSE)


def test_the_feature_distance(golden):
    data = arrays(golden / "wsgc" / "losses" / "losses.npz")
    levels = sum(key.startswith("vgg_x") for key in data)
    ours, theirs = ([data[f"vgg_{kind}{level}"] for level in range(levels)] for kind in "xy")
    features = iter([theirs, ours]).__next__
    found = feature_distance(lambda images: features(), ours[0], theirs[0])
    assert_close(found.mean(), data["vgg_loss"], **CLOSE)


def test_overlaps_of_boxes(golden):
    data = np.load(golden / "wsgc" / "metrics" / "metrics.npz")
    first, second = (corners(torch.from_numpy(data[f"boxes_{kind}_xywh"])).numpy() for kind in "ab")
    found = box_iou(first, second)
    np.testing.assert_allclose(found, data["iou"], atol=1e-6)
    np.testing.assert_array_equal(found > 0.5, data["over_05"])
    np.testing.assert_array_equal(found > 0.3, data["over_03"])
