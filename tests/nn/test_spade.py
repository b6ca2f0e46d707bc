from __future__ import annotations

import json
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from recordings import arrays, load_recorded
from scenograph.nn.spade import (
    FeatureConv2d,
    LabelConv2d,
    LabelMap,
    NormPlan,
    SpadeBlock,
    SpadeGenerator,
    SpadeNorm,
    instance_edges,
    neighbourhoods,
)

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.mark.golden
@pytest.mark.parametrize("kind", ["syncbatch3", "instance3", "batch5_nospectral"])
@pytest.mark.parametrize("place", [0, 1])
def test_recorded_blocks(golden, kind, place):
    folder = golden / "spade" / "blocks"
    config = json.loads((folder / "config.json").read_text())
    labels, before, width, name = config["semantic_nc"], config["fin"], config["fout"][place], config["configs"][kind]
    recorded = arrays(folder / f"resblock_{kind}_{before}to{width}.npz")
    plan = NormPlan(partial(LabelConv2d, labels, False), "instance" if "instance" in name else "batch", int(name[-1]))
    block = SpadeBlock(before, width, plan, name.startswith("spectral"))
    load_recorded(block, torch.load(folder / f"resblock_{kind}_{before}to{width}.pt", weights_only=True))
    x = recorded["x"].clone().requires_grad_()
    layout = LabelMap(recorded["seg"].long(), labels).resized(*x.shape[2:])
    with torch.no_grad():
        torch.testing.assert_close(block.eval()(x, layout), recorded["out_eval"], **CLOSE)
        torch.testing.assert_close(block.norm1(x, layout), recorded["norm_0_eval"], **CLOSE)
    out = block.train()(x, layout)
    torch.testing.assert_close(out, recorded["out_train"], **CLOSE)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    torch.testing.assert_close(x.grad, recorded["grad_x"], **CLOSE)


@pytest.mark.golden
def test_recorded_edges_of_real_label_maps(golden):
    (file,) = (golden / "spade" / "coco_samples").glob("expected_*.npz")
    recorded = arrays(file)
    names = [key.removesuffix("_edges") for key in recorded if key.endswith("_edges")]
    assert names
    for name in names:
        edges = instance_edges(recorded[f"{name}_instance"])
        assert torch.equal(edges[:, 0], recorded[f"{name}_edges"].float())


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("kernel", [3, 5])
def test_looking_labels_up_is_convolving_ones(edges, kernel):
    torch.manual_seed(0)
    labels = torch.randint(0, 8, (2, 9, 11))
    layout = LabelMap(labels, 7, instance_edges(labels) if edges else None)
    conv = LabelConv2d(7, edges, 5, kernel)
    wanted = F.conv2d(layout.one_hot(), conv.weight, conv.bias, padding=kernel // 2)
    found = conv(layout)
    torch.testing.assert_close(found, wanted)
    gradients = [torch.autograd.grad(out.square().sum(), conv.weight)[0] for out in (found, wanted)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("kind", ["labels", "labels and edges", "features"])
@pytest.mark.parametrize("kernel", [3, 5])
def test_what_repeats_is_computed_once_and_alike(kind, kernel):
    torch.manual_seed(0)
    labels = torch.full((2, 32, 40), 6)
    labels[0, 3:20, :9] = 2
    labels[0, 10:31, 30:] = 7  # no label
    labels[1, 5:9, 5:30] = 0
    layout = LabelMap(labels, 7, instance_edges(labels) if kind == "labels and edges" else None)
    read = partial(LabelConv2d, 7, kind == "labels and edges")
    if kind == "features":
        painted = torch.randn(7, 4, requires_grad=True)
        layout = F.pad(painted, (0, 0, 0, 1))[labels].permute(0, 3, 1, 2)  # the last one is as beyond the border
        read = partial(FeatureConv2d, 4)
    norm = SpadeNorm(6, NormPlan(read, kernel=kernel, hidden=5))
    repeats = neighbourhoods(layout, kernel)
    assert len(repeats.near) < len(repeats.far) < 0.5 * labels.numel()
    x = torch.randn(2, 6, 32, 40)
    learnt = [*norm.parameters(), *([painted] if kind == "features" else [])]
    found, wanted = norm(x, layout, repeats), norm(x, layout)
    torch.testing.assert_close(found, wanted, **CLOSE)
    target = torch.randn_like(found)
    gradients = (torch.autograd.grad((out * target).sum(), learnt, retain_graph=True) for out in (found, wanted))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_learnt_layouts_have_their_true_gradient():
    torch.manual_seed(0)
    generator = SpadeGenerator(2, "normal", NormPlan(partial(FeatureConv2d, 2), hidden=4)).eval()
    layout = torch.zeros(1, 2, 64, 64, requires_grad=True)
    target = torch.rand(3, 64, 64)
    (gradient,) = torch.autograd.grad((generator(layout, 64, 64) * target).sum(), layout)
    nudged = layout.detach().clone()
    nudged[0, 1, 40, 21] = step = 1e-2
    with torch.no_grad():
        change = ((generator(nudged, 64, 64) - generator(layout.detach(), 64, 64)) * target).sum() / step
    assert float(gradient[0, 1, 40, 21]) == pytest.approx(float(change), rel=0.05)


def test_maps_that_do_not_repeat_are_convolved_as_they_are():
    torch.manual_seed(0)
    assert neighbourhoods(torch.randn(1, 4, 40, 40), 3) is None
    assert neighbourhoods(torch.zeros(1, 4, 16, 16), 3) is None
