"""The parts of LostGAN and LAMA one by one against their recordings."""

from __future__ import annotations

import re

import pytest
import torch

from recordings import arrays, close, close_to_largest, discriminator_state, present, settings, slots, state, unpacked
from scenograph.models.published import lostgan as lostgan_names
from scenograph.models.published.checkpoint import rename
from scenograph.nn.crops import roi_align
from scenograph.nn.normalization import LayoutNorm, pixel_shares
from scenograph.nn.object_discriminators import ObjectAwareDiscriminator

pytestmark = pytest.mark.golden


@pytest.mark.parametrize("system", ["lama", "lostgan"])
@pytest.mark.parametrize("size", [64, 128, 256])
def test_discriminator(golden, system, size):
    folder = golden / system / f"disc{size}"
    config = settings(folder)
    plan, channels = config["constructor"]["num_classes"], config["constructor"]["ch"]
    judge = ObjectAwareDiscriminator(system, config["image_size"], plan, channels=channels).eval()
    judge.load_state_dict(discriminator_state(unpacked(folder / "checkpoint.pt.gz")))
    data = arrays(folder / "data.npz")
    batch = slots(data)
    kept = present(batch)
    rows = ((batch.objects > 0).cumsum(0) - 1)[data["object_row_order"]]

    def scores(images):
        return judge(images, kept.objects, kept.attributes, kept.boxes, kept.object_to_image)

    images = data["images"].clone().requires_grad_()
    on_images, on_objects = scores(images)
    close_to_largest(on_images, data["out_image"][:, 0], 1e-4)
    close_to_largest(on_objects[rows], data["out_object"][:, 0], 1e-4)
    (0.5 * on_images.sum() + on_objects.sum()).backward()
    stride = config["grad_stride"]
    close_to_largest(images.grad[:, :, ::stride, ::stride], data["grad_images"], 1e-4)
    judge.train()
    with torch.no_grad():
        on_images, on_objects = scores(data["images"])
    close_to_largest(on_images, data["train_out_image"][:, 0], 1e-4)
    close_to_largest(on_objects[rows], data["train_out_object"][:, 0], 1e-4)


def test_lostgan_norm(golden):
    folder = golden / "lostgan" / "norm"
    data, sizes = arrays(folder / "data.npz"), settings(folder)
    norm = LayoutNorm(sizes["num_features"], sizes["num_w"])
    recorded = {f".{key}": value for key, value in state(folder / "weights.pt").items()}
    norm.load_state_dict({k.removeprefix("."): v for k, v in rename(recorded, lostgan_names.NAMES).items()})
    mask, (height, width) = data["mask"], data["x"].shape[2:]
    styles = data["vector"].unflatten(0, mask.shape[:2])
    here = pixel_shares(mask, height, width, 1e-6)
    with torch.no_grad():
        close(norm.eval()(data["x"], here, styles), data["out_eval"], 2e-5)
        (corner,) = (int(found[1]) for key in data if (found := re.fullmatch(r"out_eval_mask(\d+)", key)))
        cropped = pixel_shares(mask[:, :, :corner, :corner], height, width, 1e-6)
        close(norm(data["x"], cropped, styles), data[f"out_eval_mask{corner}"], 2e-5)
        close(norm.train()(data["x"], here, styles), data["out_train"], 2e-5)


def test_roi_align(golden):
    folder = golden / "lama" / "roi_align"
    data, config = arrays(folder / "data.npz"), settings(folder)
    boxes, owner = data["rois"][:, 1:], data["rois"][:, 0].long()
    for name, scale in config["scales"].items():
        features = data["features"].clone().requires_grad_()
        crops = roi_align(features, boxes, owner, tuple(config["output_size"]), scale)
        close(crops, data[f"out_{name}"], 1e-5)
        (crops * data[f"cotangent_{name}"]).sum().backward()
        close(features.grad, data[f"grad_{name}"], 1e-5)
    others = {key: found for key in data if (found := re.fullmatch(r"out_(s\d+)_(?:sampling(\d+)|\d+x\d+)", key))}
    assert len(others) >= 2
    for key, found in others.items():
        scale, shape = config["scales"][found[1]], tuple(data[key].shape[2:])
        close(roi_align(data["features"], boxes, owner, shape, scale, int(found[2] or 0)), data[key], 1e-5)
