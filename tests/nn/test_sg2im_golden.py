"""The parts of sg2im one by one against their recordings."""

from __future__ import annotations

import json
import re

import pytest
import torch

from recordings import arrays
from scenograph.models.published.checkpoint import read_checkpoint
from scenograph.nn.crops import crop_boxes
from scenograph.nn.discriminators import ImageDiscriminator, ObjectDiscriminator
from scenograph.nn.graph import Edges, GraphTripleConv, GraphTripleConvNet
from scenograph.nn.painting import paint_vectors, sample_boxes, sample_masks

pytestmark = pytest.mark.golden


CLOSE = {"atol": 1e-5, "rtol": 1e-4}


CLOSE_PICTURES = {"atol": 1e-4, "rtol": 1e-3}


def assert_close(actual, expected, **tolerance):
    torch.testing.assert_close(actual.detach().float(), expected.float(), **(tolerance or CLOSE))


@pytest.mark.parametrize("name", ["avg", "sum", "avg_bn", "net3"])
@pytest.mark.parametrize("file", ["data", "data_no_triples"])
def test_graph_convolution(golden, name, file):
    folder = golden / "sg2im" / "graph_triple_conv" / name
    if not (folder / f"{file}.npz").exists():
        pytest.skip("not recorded")
    settings = json.loads((folder / "config.json").read_text())
    kind = GraphTripleConvNet if name == "net3" else GraphTripleConv
    layer = kind(**settings).train(name != "avg_bn")
    layer.load_state_dict(torch.load(folder / "state.pt", weights_only=True))
    data = arrays(folder / f"{file}.npz")
    predicates = data.get("pred_vecs", torch.zeros(0, settings["input_dim"])).requires_grad_()
    objects = data["obj_vecs"].requires_grad_()
    edges = Edges.of(data.get("edges", torch.zeros((0, 2), dtype=torch.int64)), len(objects))
    new_objects, new_predicates = layer(objects, predicates, edges)
    assert_close(new_objects, data["new_obj_vecs"])
    assert_close(new_predicates, data["new_pred_vecs"])
    (new_objects.square().sum() + new_predicates.square().sum()).backward()
    for key, tensor in (("grad_obj_vecs", objects), ("grad_pred_vecs", predicates)):
        if key in data and tensor.grad is not None:
            assert_close(tensor.grad, data[key])


LAYOUT = re.compile(r"(newdefault_)?(boxes|masks|binmasks)_(\d+)x(\d+)_(sum|avg)")


def test_layout(golden):
    """Sums and averages of boxes and masks, at every size that was recorded."""
    data = arrays(golden / "sg2im" / "layout" / "layout.npz")
    boxes, owner = data["boxes"], data["obj_to_img"]
    recorded = {key: found for key in data if (found := LAYOUT.fullmatch(key))}
    assert len(recorded) >= 12
    for key, found in recorded.items():
        height, width, corners = int(found[3]), int(found[4]), not found[1]
        source = {"masks": data["masks"], "binmasks": data["binary_masks"]}.get(found[2])
        if source is None:
            planes = sample_boxes(boxes, height, width, corners)
        else:
            planes = sample_masks(boxes, source.float(), height, width, corners)
        layout = paint_vectors(data["vecs"], planes, owner, len(data[key]))
        if found[5] == "avg":
            layout = layout / torch.bincount(owner, minlength=len(layout)).clamp(min=1)[:, None, None, None]
        assert_close(layout, data[key])
        if not corners:
            assert not torch.allclose(data[key], data[key.removeprefix("newdefault_")], atol=1e-3)


def test_layout_gradients(golden):
    data = arrays(golden / "sg2im" / "layout" / "layout.npz")
    (size,) = (key.removeprefix("grad_weight_") for key in data if key.startswith("grad_weight_"))
    weight, owner = data[f"grad_weight_{size}"], data["obj_to_img"]
    for kind in ("boxes", "masks"):
        vectors, boxes = data["vecs"].clone().requires_grad_(), data["boxes"].clone().requires_grad_()
        shape = weight.shape[2:]
        planes = sample_boxes(boxes, *shape) if kind == "boxes" else sample_masks(boxes, data["masks"], *shape)
        (paint_vectors(vectors, planes, owner, len(weight)) * weight).sum().backward()
        assert_close(vectors.grad, data[f"{kind}_{size}_grad_vecs"])
        assert_close(boxes.grad, data[f"{kind}_{size}_grad_boxes"], atol=1e-4, rtol=1e-3)


def test_degenerate_boxes_stay_finite(golden):
    data = arrays(golden / "sg2im" / "layout" / "layout_degenerate.npz")
    planes = sample_boxes(data["boxes"], 16, 16)
    masks = sample_masks(data["boxes"], torch.ones(len(planes), 8, 8), 16, 16)
    assert planes.isfinite().all() and masks.isfinite().all()


def test_crops(golden):
    data = arrays(golden / "sg2im" / "crop" / "crop.npz")
    features, boxes = data["feats"].requires_grad_(), data["bbox"].requires_grad_()
    recorded = [key for key in data if re.fullmatch(r"(newdefault_)?crops_\d+(x\d+)?", key)]
    assert len(recorded) >= 3
    for key in recorded:
        corners = not key.startswith("newdefault")
        crops = crop_boxes(features, boxes, data["bbox_to_feats"], *data[key].shape[2:], align_corners=corners)
        assert_close(crops, data[key])
        if not corners:
            assert not torch.allclose(data[key.removeprefix("newdefault_")], data[key], atol=1e-3)
    weight = data["grad_weight"]
    (crop_boxes(features, boxes, data["bbox_to_feats"], *weight.shape[2:]) * weight).sum().backward()
    assert_close(features.grad, data["grad_feats"])
    assert_close(boxes.grad, data["grad_bbox"], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["batch_valid", "none_relu", "instance_same"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_discriminators(golden, name, mode):
    folder = golden / "sg2im" / "discriminators" / name
    saved, data = read_checkpoint(folder / "state.pt"), arrays(folder / "data.npz")
    image_judge = ImageDiscriminator(**saved["d_img_kwargs"])
    image_judge.load_state_dict(saved["d_img_state"])
    settings = dict(saved["d_obj_kwargs"])
    categories = len(settings.pop("vocab")["object_idx_to_name"])
    object_judge = ObjectDiscriminator(categories, **settings)
    object_judge.load_state_dict(saved["d_obj_state"])
    image_judge.train(mode == "train")
    object_judge.train(mode == "train")
    with torch.no_grad():
        assert_close(image_judge(data["imgs"]), data[f"{mode}_img_map"], **CLOSE_PICTURES)
        scores, errors = object_judge(data["imgs"], data["objs"], data["boxes"], data["obj_to_img"])
    assert_close(scores, data[f"{mode}_obj_scores"])
    assert_close(errors.mean(), data[f"{mode}_obj_ac_loss"])
