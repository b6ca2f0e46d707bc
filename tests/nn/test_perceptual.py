from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from recordings import arrays, close_to_largest
from scenograph.nn.perceptual import ALEXNET, FeatureStack, PerceptualDistance, feature_distance, tensorflow_resize
from scenograph.pretrained.networks import load_vgg19


@pytest.mark.golden
def test_the_feature_distance(golden):
    data = arrays(golden / "wsgc" / "losses" / "losses.npz")
    levels = sum(key.startswith("vgg_x") for key in data)
    ours, theirs = ([data[f"vgg_{kind}{level}"] for level in range(levels)] for kind in "xy")
    features = iter([theirs, ours]).__next__
    found = feature_distance(lambda images: features(), ours[0], theirs[0])
    assert_close(found.mean(), data["vgg_loss"], atol=1e-5, rtol=1e-4)


@pytest.mark.golden
def test_feature_distance(golden):
    folder = golden / "lostgan" / "vgg_loss"
    features, data = load_vgg19(folder / "vgg19_features_narrow.pt"), arrays(folder / "data.npz")
    x = data["x"].requires_grad_()
    loss = feature_distance(features, x, data["y"]).mean()
    torch.testing.assert_close(loss, data["loss"].float(), rtol=1e-5, atol=0)
    loss.backward()
    close_to_largest(x.grad, data["grad_x"], 1e-4)
    levels = [(a - b).abs().mean() for a, b in zip(features(x), features(data["y"]), strict=True)]
    torch.testing.assert_close(torch.stack(levels).float(), data["l1_per_level"].float(), rtol=1e-5, atol=1e-7)
    assert isinstance(features, FeatureStack)


@pytest.mark.golden
def test_recorded_perceptual_distances(golden):
    folder = golden / "lama" / "metrics" / "lpips"
    packed, data = np.load(folder / "alexnet_int8.npz"), np.load(folder / "data.npz")
    names = [name.removesuffix("/q") for name in packed.files if name.endswith("/q")]
    state = {name: torch.from_numpy(packed[f"{name}/q"] * packed[f"{name}/scale"]).float() for name in names}
    tolerance = json.loads((folder / "config.json").read_text())["tolerance"]
    heads = [torch.from_numpy(data[f"lin{level}.model.1.weight"]) for level in range(len(data["per_layer"]))]
    distance = PerceptualDistance(FeatureStack(ALEXNET, state), heads)
    with torch.no_grad():
        found = distance(torch.from_numpy(data["x"]), torch.from_numpy(data["y"]))
    np.testing.assert_allclose(found.numpy(), data["distance"].ravel(), atol=tolerance)
    assert float(found.mean()) == pytest.approx(float(data["diversity_mean"]), abs=tolerance)
    assert float(found.std()) == pytest.approx(float(data["diversity_std"]), abs=tolerance)


def test_tensorflows_resize_goes_from_corner_to_corner():
    row = torch.tensor([0.0, 10.0, 20.0, 30.0]).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    assert tensorflow_resize(row, 8)[0, 0, 0].tolist() == [0, 5, 10, 15, 20, 25, 30, 30]
