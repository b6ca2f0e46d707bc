"""The parts of Canonical Sg2Im one by one against their recordings; whole systems are in test_wsgc and test_attspade."""

from __future__ import annotations

import json
import re
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from recordings import arrays, corners, load_recorded
from scenograph.models.published.checkpoint import read_checkpoint, rename
from scenograph.nn.crops import crop_boxes
from scenograph.nn.embedding import AttributeEmbedding
from scenograph.nn.graph import Edges, GraphTripleConv
from scenograph.nn.spade import FeatureConv2d, NormPlan, SpadeBlock, SpadeNorm, neighbourhoods, resized

pytestmark = pytest.mark.golden
CLOSE = {"atol": 1e-5, "rtol": 1e-4}
CLOSE_PICTURES = {"atol": 2e-4, "rtol": 1e-3}
"""The recordings' own recommended tolerances."""


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
    found = crop_boxes(data["imgs"], corners(data["boxes"][kept]), owner, *wanted.shape[2:])
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
