"""The parts of PasteGAN one by one against their recordings."""

from __future__ import annotations

import pytest
import torch

from recordings import arrays, close, close_to_largest, settings, state
from scenograph.models.pastegan import CanvasBlock, CropEncoder
from scenograph.models.published.pastegan import used_weights
from scenograph.nn.crn import RefinementNetwork
from scenograph.nn.crops import crop_boxes
from scenograph.nn.discriminators import ImageDiscriminator, ObjectDiscriminator
from scenograph.nn.fusion import ObjectFuser
from scenograph.nn.graph import Edges, LeakyGraphTripleConv
from scenograph.nn.map_graph import MapGraphConv
from scenograph.nn.normalization import exact_norms
from scenograph.nn.painting import paste_crops, placing_weights
from scenograph.nn.perceptual import VGG19, FeatureStack, feature_distance
from scenograph.training.gan import discriminator_loss, generator_loss

pytestmark = pytest.mark.golden


@pytest.fixture
def recorded(golden):
    return golden / "pastegan"


def part_of(weights: dict[str, torch.Tensor], theirs: str, ours: str) -> dict[str, torch.Tensor]:
    """The weights of a part of the model, by its names, under ours."""
    renamed = used_weights({f"{theirs}{key}": value for key, value in weights.items()})
    return {key.removeprefix(ours): value for key, value in renamed.items()}


@pytest.mark.parametrize("name", ["avg", "sum"])
@pytest.mark.parametrize("file", ["data", "data_no_triples"])
def test_vector_layer(recorded, name, file):
    folder = recorded / "gcn_layer" / name
    layer = LeakyGraphTripleConv(**settings(folder))
    layer.load_state_dict(state(folder / "state.pt"))
    data = arrays(folder / f"{file}.npz")
    objects = data["obj_vecs"].requires_grad_()
    predicates = data.get("pred_vecs", torch.zeros(0, objects.shape[1])).requires_grad_()
    edges = data.get("edges", torch.zeros((0, 2), dtype=torch.int64))
    new_objects, new_predicates = layer(objects, predicates, Edges.of(edges, len(objects)))
    close(new_objects, data["new_obj_vecs"], 1e-5)
    close(new_predicates, data.get("new_pred_vecs", torch.zeros(0, new_objects.shape[1])), 1e-5)
    (new_objects.square().sum() + new_predicates.square().sum()).backward()
    for key, tensor in (("grad_obj_vecs", objects), ("grad_pred_vecs", predicates)):
        if key in data:
            close_to_largest(tensor.grad, data[key], 1e-4)


def test_stack_of_vector_layers(recorded):
    folder = recorded / "gcn_net"
    data, options = arrays(folder / "data.npz"), settings(folder)
    objects, predicates = data["obj_vecs"], data["pred_vecs"]
    edges = Edges.of(data["edges"], len(objects))
    for number in range(options["num_layers"]):
        layer = LeakyGraphTripleConv(options["input_dim"], None, options["hidden_dim"], options["pooling"])
        layer.load_state_dict(state(folder / "state.pt", f"gconvs.{number}."), strict=True)
        new_objects, new_predicates = layer(objects, predicates, edges)
        objects, predicates = objects + new_objects, predicates + new_predicates
    close(objects, data["new_obj_vecs"], 1e-5)
    close(predicates, data["new_pred_vecs"], 1e-5)


def test_crop_encoder(recorded):
    folder = recorded / "crop_encoder"
    options, data = settings(folder), arrays(folder / "data.npz")
    network = options["crop_encoder_kwargs"]
    encoder = CropEncoder(
        options["crop_embedding_dim"], network["arch"], network["normalization"], network["activation"]
    ).eval()
    encoder.load_state_dict(part_of(state(folder / "state.pt"), "crop_encoder.", "crop_encoder."))
    for size in ("32x32", "20x36"):
        close(encoder(data[f"crops_{size}"]), data[f"features_{size}"], 1e-5)
    crops = data["crops_32x32"].requires_grad_()
    features = exact_norms(encoder).train()(crops)
    close(features, data["train_features_32x32"], 1e-5)
    features.square().sum().backward()
    close_to_largest(crops.grad, data["train_grad_crops_32x32"], 1e-3)
    after = state(folder / "buffers_after_train_forward.pt")
    for key, value in part_of(after, "crop_encoder.", "crop_encoder.").items():
        close(encoder.state_dict()[key], value, 1e-4)


LAYERS = ["plain", "flow", "mask", "flow_mask", "valid_edges", "sum", "instance"]


def refiner(options: dict, weights: dict[str, torch.Tensor], hidden: int) -> MapGraphConv:
    layer = MapGraphConv(
        options["input_dim"],
        hidden,
        predicate_channels=options["input_dim_pred"],
        normalization=options["normalization"],
        activation=options["activation"],
        pooling=options.get("pooling", "avg"),
        flow=options.get("use_flow_net", False),
        mask=options.get("use_mask_net", False),
        residual=options.get("transform_residual", False),
    )
    layer.load_state_dict(part_of(weights, "object_refiner.gconvs.0.", "refiner.0."))
    return layer.eval()


@pytest.mark.parametrize("name", LAYERS)
def test_map_layer(recorded, name):
    folder = recorded / "crop_refiner" / f"layer_{name}"
    options, data = settings(folder), arrays(folder / "data.npz")
    layer = refiner(options, state(folder / "state.pt"), options["hidden_dim"])
    valid = (data["edges"][:, 2] != 0).float() if options.get("valid_edge_only") else None
    objects, predicates = data["obj_maps"].requires_grad_(), data["pred_vecs"].requires_grad_()
    edges = Edges.of(data["edges"][:, :2], len(objects), valid)
    made = layer(objects, predicates, edges)
    for found, key in zip(made, ("obj", "pred"), strict=True):
        close(found, data[f"new_{key}_maps"], 2e-5)
    sum((part * data[f"cotangent_{key}"]).sum() for part, key in zip(made, ("obj", "pred"), strict=True)).backward()
    close_to_largest(objects.grad, data["grad_obj_maps"], 1e-3)
    close_to_largest(predicates.grad, data["grad_pred_vecs"], 1e-3)
    with torch.no_grad():
        for found, key in zip(layer.train()(objects, predicates, edges), ("obj", "pred"), strict=True):
            close(found, data[f"train_new_{key}_maps"], 1e-4)


@pytest.mark.parametrize("name", ["residual", "no_residual"])
def test_stack_of_map_layers(recorded, name):
    folder = recorded / "crop_refiner" / f"net_{name}"
    options, data = settings(folder), arrays(folder / "data.npz")
    maps, predicates = data["obj_maps"], data["pred_vecs"]
    edges = Edges.of(data["edges"][:, :2], len(maps))
    for number, hidden in enumerate(options["hidden_dims"]):
        layer = refiner(options, state(folder / "state.pt", f"gconvs.{number}."), hidden)
        maps, predicates = layer(maps, predicates, edges)
    close(maps, data["new_obj_maps"], 5e-5)
    close(predicates, data["new_pred_maps"], 5e-5)


def test_many_triples_are_computed_in_parts(recorded, monkeypatch):
    folder = recorded / "crop_refiner" / "layer_valid_edges"
    options, data = settings(folder), arrays(folder / "data.npz")
    layer = refiner(options, state(folder / "state.pt"), options["hidden_dim"])
    monkeypatch.setattr("scenograph.nn.graph.TOGETHER", 5)
    edges = Edges.of(data["edges"][:, :2], len(data["obj_maps"]), (data["edges"][:, 2] != 0).float())
    assert len(edges.parts) > 2
    maps, predicates = layer(data["obj_maps"], data["pred_vecs"], edges)
    close(maps, data["new_obj_maps"], 2e-5)
    close(predicates, data["new_pred_maps"], 2e-5)


def fused(data, weights, factor: float, batch_maximum: bool):
    """Maps that fill the canvas, so that placing changes nothing."""
    fuser = ObjectFuser(data["obj_maps"].shape[1], batch_maximum)
    fuser.load_state_dict(part_of(weights, "obj_img_fuser.", "fuser."))
    objects, relations = ((data[key] * factor).requires_grad_() for key in ("obj_maps", "pred_maps"))
    rows, images = data["edges"][:, 0], data["edges"][:, 1].unique()
    owner = torch.searchsorted(images, data["edges"][:, 1].contiguous())
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(len(rows), 4)
    shape = objects.shape[2:]
    canvas = fuser(objects[rows], relations, objects[images], boxes, boxes[: len(images)], owner, shape)
    return canvas, objects, relations


@pytest.mark.parametrize("batch_maximum", [True, False])
def test_fuser(recorded, batch_maximum):
    folder = recorded / "fuser"
    data, weights = arrays(folder / "data.npz"), state(folder / "state.pt")
    canvas, objects, relations = fused(data, weights, 1.0, batch_maximum)
    close(canvas, data["scene_canvas"], 1e-5)
    (canvas * data["cotangent"]).sum().backward()
    close_to_largest(objects.grad, data["grad_obj_maps"], 1e-3)
    close_to_largest(relations.grad, data["grad_pred_maps"], 1e-3)
    canvas, _, _ = fused(data, weights, float(data["large_factor"]), batch_maximum)
    together, alone = data["large_scene_canvas"], data["large_scene_canvas_each_image_alone"]
    close_to_largest(canvas, together if batch_maximum else alone, 1e-4)
    assert (together - alone).abs().max() > 1, "the original's pictures depend on their batch"


@pytest.mark.parametrize("size", [(16, 16), (24, 40)])
def test_placing(recorded, size):
    data, name = arrays(recorded / "layouts" / "data.npz"), f"{size[0]}x{size[1]}"
    maps = data["feats"].requires_grad_()
    placed = (maps.flatten(2) @ placing_weights(data["boxes"], maps.shape[2:], size)).unflatten(2, size)
    close(placed, data[f"maps_{name}"], 1e-5)
    assert (placed - data[f"newdefault_maps_{name}"]).abs().max() > 1e-2
    spread = data["vecs"][:, :, None].expand(-1, -1, 64) @ placing_weights(data["boxes"], (8, 8), size)
    close(spread.unflatten(2, size), data[f"vec_maps_{name}"], 1e-5)
    if f"grad_weight_{name}" in data:
        (placed * data[f"grad_weight_{name}"]).sum().backward()
        close(maps.grad, data[f"grad_feats_{name}"], 1e-5)


def test_boxes_without_extent_are_placed():
    boxes = torch.tensor([[0.5, 0.2, 0.5, 0.8], [0.7, 0.7, 0.3, 0.3]])
    weights = placing_weights(boxes, (4, 4), (16, 16))
    assert weights.isfinite().all() and (weights >= 0).all() and (weights.sum(dim=1) <= 1 + 1e-5).all()


def test_crops(recorded):
    data = arrays(recorded / "layouts" / "crops.npz")
    images = data["images"].requires_grad_()
    crops = crop_boxes(images, data["boxes"], data["obj_to_img"], 8, 12)
    close(crops, data["crops_8x12"], 2e-5)
    (crops * data["grad_weight"]).sum().backward()
    close(images.grad, data["grad_images"], 2e-5)


def test_canvas(recorded):
    data = arrays(recorded / "canvas" / "data.npz")
    owner = torch.zeros(len(data["boxes"]), dtype=torch.int64)
    for key, crops, transparent in (
        ("canvas_64x64", "crops", False),
        ("canvas_48x80", "crops", False),
        ("transparent_canvas_64x64", "cut_crops", True),
    ):
        canvas = paste_crops(data[crops], data["boxes"], owner, 1, data[key].shape[1:], transparent)
        close(canvas[0], data[key], 1e-5)


@pytest.mark.parametrize("name", ["batch", "instance"])
def test_decoder(recorded, name):
    folder = recorded / "decoder" / name
    options, data = settings(folder), arrays(folder / "data.npz")
    condition, *dims = options["dims"]
    decoder = RefinementNetwork(condition, dims, options["normalization"], options["activation"]).eval()
    decoder.load_state_dict(state(folder / "state.pt"))
    close(decoder(data["canvas"]), data["image"], 2e-5)
    close(decoder.train()(data["canvas"]), data["train_image"], 1e-4)


def test_canvas_block(recorded):
    folder = recorded / "residual_block"
    data = arrays(folder / "data.npz")
    block = CanvasBlock(data["x"].shape[1]).eval()
    block.load_state_dict(state(folder / "state.pt"))
    close(block(data["x"]), data["y"], 2e-5)
    x = data["x"].requires_grad_()
    y = block.train()(x)
    close(y, data["train_y"], 1e-4)
    (y * data["cotangent"]).sum().backward()
    close_to_largest(x.grad, data["train_grad_x"], 1e-3)
    for key, value in state(folder / "buffers_after_train_forward.pt").items():
        close(block.state_dict()[key], value, 1e-4)


def test_object_discriminator(recorded):
    folder = recorded / "disc_obj"
    data, options = arrays(folder / "data.npz"), settings(folder)
    names = options.pop("vocab")["object_idx_to_name"]
    discriminator = ObjectDiscriminator(len(names), **options).eval()
    discriminator.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["d_obj_state"])
    images, scene = data["images"].requires_grad_(), (data["objs"], data["boxes"], data["obj_to_img"])
    scores, errors = discriminator(images, *scene)
    close_to_largest(scores, data["scores"], 1e-4)
    close_to_largest(errors.mean(), data["ac_loss"], 1e-4)
    (scores.sum() + errors.mean()).backward()
    close_to_largest(images.grad, data["grad_images"], 1e-4)
    scores, errors = discriminator.train()(images, *scene)
    close_to_largest(scores, data["train_scores"], 1e-4)
    close_to_largest(errors.mean(), data["train_ac_loss"], 1e-4)
    for key, value in state(folder / "buffers_after_train_forward.pt").items():
        close_to_largest(discriminator.state_dict()[key], value, 1e-4)


def test_image_discriminator(recorded):
    folder = recorded / "disc_img"
    data = arrays(folder / "data.npz")
    discriminator = ImageDiscriminator(**settings(folder), classifies=True).eval()
    discriminator.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["d_img_state"])
    images = data["images"].requires_grad_()
    scores = discriminator(images)
    close_to_largest(scores, data["scores"], 1e-4)
    scores.sum().backward()
    close_to_largest(images.grad, data["grad_images"], 1e-4)
    close_to_largest(discriminator.train()(images), data["train_scores"], 1e-4)
    for key, value in state(folder / "buffers_after_train_forward.pt").items():
        close_to_largest(discriminator.state_dict()[key], value, 1e-4)


@pytest.mark.parametrize("kind", ["gan", "wgan", "lsgan"])
def test_adversarial_losses(recorded, kind):
    data = arrays(recorded / "losses" / "data.npz")
    close(generator_loss(kind, data["fake"]), data[f"{kind}_g"], 1e-6)
    close(discriminator_loss(kind, data["real"], data["fake"]), data[f"{kind}_d"], 1e-6)


@pytest.mark.parametrize("side", [64, 32, 20])
def test_feature_distance(recorded, side):
    folder = recorded / "vgg_loss"
    data = arrays(folder / "data.npz")
    features = FeatureStack(VGG19, torch.load(folder / "vgg19_sixteenth_width.pt", weights_only=True))
    x = data[f"x_{side}"].requires_grad_()
    with torch.no_grad():
        levels = [
            (one - other).abs().mean() for one, other in zip(features(x), features(data[f"y_{side}"]), strict=True)
        ]
    close_to_largest(torch.stack(levels), data[f"per_level_{side}"], 1e-5)
    loss = feature_distance(features, x, data[f"y_{side}"]).mean()
    close_to_largest(loss, data[f"loss_{side}"], 1e-5)
    loss.backward()
    close_to_largest(x.grad, data[f"grad_x_{side}"], 1e-5)
