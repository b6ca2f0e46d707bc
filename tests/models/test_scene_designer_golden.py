"""Scene Designer, its parts and its losses against their recordings."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch

from bundles import write_bundle
from helpers import succeed
from recordings import arrays, close, close_to_largest, settings
from scenograph.models.published.scene_designer import convert
from scenograph.models.registry import AutoModel
from scenograph.models.scene_designer import SceneDesigner, SceneDesignerConfig, box_relation, mask_network, places
from scenograph.nn.crops import crop_boxes
from scenograph.nn.graph import Edges, GraphTripleConv, GraphTripleConvNet
from scenograph.nn.mask_discriminator import MaskDiscriminator
from scenograph.nn.scene_transformer import SceneTransformer
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.gan import generator_loss
from scenograph.training.objectives.scene_designer import (
    SceneDesignerObjective,
    SceneDesignerObjectiveConfig,
    box_errors,
    contrastive_loss,
    critic_loss,
    crops_of,
    triplet_loss,
)

pytestmark = pytest.mark.golden


@pytest.fixture
def recorded(golden) -> Path:
    return golden / "scene_designer"


def variables(path: Path, prefix: str = "") -> dict[str, np.ndarray]:
    with np.load(path) as data:
        return {prefix + name: data[name] for name in data.files}


def load(module: torch.nn.Module, state: dict[str, torch.Tensor], prefix: str = "") -> None:
    module.load_state_dict({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})


@pytest.mark.parametrize("activation", ["leakyrelu", "relu"])
def test_graph_convolution(recorded, activation):
    data = arrays(recorded / f"graph_conv_{activation}.npz")
    state, _ = convert(
        {
            name.replace("first", "gconv/layer_with_weights-0").replace("rest", "gconv/layer_with_weights-1"): value
            for name, value in variables(recorded / f"graph_conv_{activation}.weights.npz").items()
        }
    )
    size, hidden, slope = int(data["output_dim"]), int(data["hidden_dim"]), 0.3 if activation == "leakyrelu" else 0.0
    objects, predicates = data["obj_vecs"], data["pred_vecs"]
    first = GraphTripleConv(objects.shape[1], size, hidden, predicate_dim=predicates.shape[1], slope=slope)
    rest = GraphTripleConvNet(size, 2, hidden, slope=slope)
    load(first, state, "gconv.")
    load(rest, state, "gconv_net.")
    edges = Edges.of(data["edges"].long(), len(objects))
    objects, predicates = first(objects, predicates, edges)
    close(objects, data["out1_obj"], 1e-5)
    close(predicates, data["out1_pred"], 1e-5)
    objects, predicates = rest(objects, predicates, edges)
    close(objects, data["out_obj"], 1e-5)
    close(predicates, data["out_pred"], 1e-5)


@pytest.mark.parametrize("positional", [True, False])
def test_transformer(recorded, positional):
    name = "scene_encoder_positional" if positional else "scene_encoder_no_positional"
    data = arrays(recorded / f"{name}.npz")
    state, _ = convert(variables(recorded / f"{name}.weights.npz"))
    objects, owner = data["obj_vecs"], data["obj_to_img"].long()
    hidden = len(state["transformer.layers.0.feed_forward.0.bias"])
    layers = len({key.split(".")[2] for key in state if key.startswith("transformer.layers")})
    network = SceneTransformer(objects.shape[1], layers, int(data["num_heads"]), hidden, positional=positional).eval()
    load(network, state, "transformer.")
    counts = torch.bincount(owner)
    padded = torch.zeros(len(counts), int(counts.max()), objects.shape[1])
    real = torch.arange(padded.shape[1]) < counts[:, None]
    padded[real] = objects
    where = torch.zeros(real.shape, dtype=torch.int64)
    where[real] = data["attributes"][:, 10:].argmax(dim=1)
    scenes, seen = network(padded, real, where)
    close(scenes, data["out_token"], 1e-5)
    close(seen[real], data["out_objects"], 1e-5)
    if positional:
        close(network.positions, data["positional_encoding"][: len(network.positions)], 1e-6)


def test_mask_network(recorded):
    data = arrays(recorded / "mask_net.npz")
    network = mask_network(data["vectors"].shape[1], data["masks"].shape[1])
    load(network, convert(variables(recorded / "mask_net.weights.npz"))[0], "mask_net.")
    close(network(data["vectors"][:, :, None, None])[:, 0], data["logits"], 1e-5)


@pytest.mark.parametrize("kind", ["plain", "spectral"])
def test_mask_discriminator(recorded, kind):
    data = arrays(recorded / f"mask_discriminator_{kind}.npz")
    weights = convert(variables(recorded / f"mask_discriminator_{kind}.weights.npz"))[1]
    network = MaskDiscriminator(int(data["n_classes"]), data["call1_0"].shape[3], 3, spectral=kind == "spectral")
    network.load_state_dict(weights)
    masks = data["masks"].permute(0, 3, 1, 2)
    network.project()
    for index, seen in enumerate(network(masks, data["labels"])):
        close(seen, data[f"call1_{index}"].permute(0, 3, 1, 2), 1e-5)
    if kind == "spectral":
        network.project()
        close(network(masks, data["labels"])[-1], data["call2_score"].permute(0, 3, 1, 2), 1e-5)
        after = {key.removeprefix("after2:"): value.numpy() for key, value in data.items() if key.startswith("after2:")}
        for key, value in convert(after)[1].items():
            close(network.state_dict()[key], value, 1e-5)


def test_losses(recorded):
    data = arrays(recorded / "losses.npz")
    one, two, three = data["anchor"], data["positive"], data["negative"]
    close(triplet_loss(one, two, three, 0.5), data["triplet_margin_0_5"], 1e-5)
    close(triplet_loss(one, two, three, 1.0), data["triplet_margin_1"], 1e-5)
    close(contrastive_loss(one, two, three), data["contrastive"], 1e-5)
    close(contrastive_loss(one, two), data["contrastive_without_negatives"], 1e-5)
    close(box_errors(data["boxes_pred"], data["boxes"], 0.1), data["giou_plus_mse_per_box"], 1e-5)
    close(generator_loss("lsgan", data["feat_fake_2"]), data["lsgan_real"], 1e-5)
    close(data["feat_fake_2"].sigmoid().square().mean(), data["lsgan_fake"], 1e-5)


def test_focal_loss(recorded):
    data = arrays(recorded / "losses.npz")
    vocabulary = Vocabulary(("a", "b"), ("__in_image__", *SG2IM_PREDICATES))
    model = SceneDesigner(SceneDesignerConfig.tiny(vocabulary))
    for focal, name in ((True, "focal"), (False, "categorical_crossentropy")):
        objective = SceneDesignerObjective(SceneDesignerObjectiveConfig(scenes=False, focal=focal), model)
        close(objective.category_error(data["logits"], data["labels"]), data[name], 1e-5)


def test_relations_and_places(recorded):
    data = arrays(recorded / "scene_graph.npz")
    boxes, expected = data["boxes"], data["predicate_of_pair"]
    names = ("__in_image__", *SG2IM_PREDICATES)
    for one, other in permutations(range(len(boxes)), 2):
        assert names[expected[one, other]] == box_relation(boxes[one].tolist(), boxes[other].tolist())
    assert torch.equal(places(boxes), data["attributes"][:, 10:].argmax(dim=1))


def test_crops(recorded):
    data = arrays(recorded / "layout.npz")
    size, pictures = int(data["crop_size"]), data["images"].permute(0, 3, 1, 2)
    reach = torch.tensor([(side - 2) / (side - 1) for side in (pictures.shape[3], pictures.shape[2])]).repeat(2)
    crops = crop_boxes(pictures, data["boxes"] * reach, data["obj_to_img"].long(), size, size)
    close(crops, data["crops"].permute(0, 3, 1, 2), 2e-5)


def whole(folder: Path) -> tuple[SceneDesigner, dict[str, torch.Tensor]]:
    """The recorded model and its mask discriminator's weights."""
    given, state = settings(folder), convert(variables(folder / "weights.npz"))
    names = tuple(str(number) for number in range(given["n_classes"]))
    config = SceneDesignerConfig(
        vocabulary=Vocabulary(names, ("__in_image__", *SG2IM_PREDICATES)).to_dict(),
        alpha=given["backbone_alpha"],
        image_size=given["scene_size"],
        object_size=given["crop_size"],
        mask_size=given["mask_size"],
        encoding_dim=given["encoding_size"],
        photo_hidden_dim=len(state[0]["photo_encoder.head.0.bias"]),
        shared_dim=given["edge_repr_net_hidden_size"],
        representation_dim=given["common_repr_size"],
        predicate_dim=given["obj_pred_embedding_dim"],
        gconv_dim=given["gconv_dim"],
        gconv_hidden_dim=given["gconv_hidden_dim"],
        gconv_num_layers=given["gconv_num_layers"],
        gconv_pooling=given["gconv_pooling"],
        transformer_layers=given["g_enc_n_layers"],
        transformer_heads=given["g_enc_n_heads"],
        transformer_hidden_dim=given["feed_forward"],
        box_hidden_dim=len(state[0]["box_net.0.bias"]),
        positional=given["use_pos_encoding"],
    )
    model = SceneDesigner(config).eval()
    model.load_state_dict(state[0])
    return model, state[1]


def test_whole_model(recorded):
    folder = recorded / "full_model"
    model, critic = whole(folder)
    given, data, expected = settings(folder), arrays(folder / "inputs.npz"), arrays(folder / "expected.npz")
    owner, triples = data["obj_to_img"].long(), data["triples"].long()
    batch = SceneBatch(
        num_images=len(data["images"]),
        objects=data["objects"],
        attributes=torch.zeros(len(owner), 0, dtype=torch.int64),
        triples=triples,
        object_to_image=owner,
        triple_to_image=owner[triples[:, 0]],
        boxes=data["boxes"],
        masks=data["masks"],
        known_masks=torch.ones_like(owner, dtype=torch.bool),
        images=data["images"].permute(0, 3, 1, 2),
    )
    crops = crops_of(batch, given["crop_size"])
    close(crops.permute(0, 2, 3, 1), expected["crops"], 1e-4)
    photo, negative = (model.encode_photos(seen) for seen in (crops, data["negative_crops"].permute(0, 3, 1, 2)))
    sketch = model.encode_sketches(data["sketches"][..., 0].float())
    for name, encoded in (("object", photo), ("negative_object", negative), ("sketch", sketch)):
        close(encoded, expected[f"{name}_encoding"], 1e-4)
        close(model.represent(encoded), expected[f"{name}_rep"], 1e-4)
    for name, encoded in (("image", photo), ("sketch", sketch)):
        seen = model.encode_scenes(encoded, batch)
        boxes, logits = model.predict(seen.objects)
        close(seen.scenes, expected[f"{name}_scene"], 1e-4)
        close(seen.objects, expected[f"{name}_object_vecs"], 1e-4)
        close(model.compared(seen.scenes), expected[f"{name}_embedding"], 1e-4)
        close(boxes, expected[f"{name}_boxes"], 1e-4)
        close(logits.sigmoid(), expected[f"{name}_masks"], 1e-4)

    config = SceneDesignerObjectiveConfig(
        label_smoothing=given["use_lab_smooth"],
        object_weight=given["obj_emb_weight"],
        mask_weight=given["abbl_mask_recon_loss"],
        discriminator_width=given["mask_discriminator_ndf"],
        discriminator_layers=given["mask_discriminator_layers"],
    )
    objective = SceneDesignerObjective(config, model)
    assert objective.discriminator is not None
    objective.discriminator.load_state_dict(critic)
    objective.discriminator.requires_grad_(False)
    memory: dict = {}
    encodings = (sketch, photo, negative)
    terms = objective.object_terms(model, encodings, data["objects"], data["negative_objects"])
    terms |= objective.scene_terms(model, encodings, batch, None, memory)
    for name, parts in {
        "obj_triplet_loss": ["object_triplet"],
        "enc_obj_clas_loss": ["photo_category"],
        "enc_sketch_clas_loss": ["sketch_category"],
        "global_triplet_loss": ["contrast"],
        "bbox_recon_loss": ["boxes"],
        "mask_recon_loss": ["masks"],
        "end_clas_loss": ["categories"],
        "total_generator": list(terms),
    }.items():
        value = sum(terms[part] for part in parts)
        torch.testing.assert_close(value.detach(), expected[f"loss_{name}"], rtol=1e-4, atol=0)
    both = expected["loss_g_mask_loss"] + expected["loss_g_mask_sketch_loss"]
    torch.testing.assert_close(terms["mask_gan"].detach(), both, rtol=1e-4, atol=0)
    found = critic_loss(memory["scores"], torch.ones(()))
    torch.testing.assert_close(found.detach(), expected["loss_mask_discriminator"], rtol=1e-4, atol=0)

    sum(terms.values()).backward()
    for name, weight in {
        "end_classifier": model.category.weight,
        "global_triplet_encoder": model.contrast.weight,
        "box_net_0": model.box_net[0].weight,
        "box_net_2": model.box_net[2].weight,
        "repr_net_0": model.shared[0].weight,
    }.items():
        close_to_largest(weight.grad.T, expected[f"grad_{name}"], 1e-3)
    close_to_largest(model.predicate_embedding.weight.grad, expected["grad_pred_embeddings"], 1e-3)


def test_published_widths():
    """Sizes that section 6 of the specification states, with 173 classes."""
    vocabulary = Vocabulary(tuple(str(i) for i in range(172)), ()).with_image_object()
    model = SceneDesigner(SceneDesignerConfig(vocabulary=SceneDesigner.vocabulary_for(vocabulary).to_dict()))
    counted = {
        name: sum(parameter.numel() for parameter in getattr(model, name).parameters()) / 1e6
        for name in ("gconv", "gconv_net", "transformer", "contrast", "box_net", "mask_net", "category")
    }
    assert counted["gconv"] + counted["gconv_net"] == pytest.approx(5.71, abs=0.02)
    for name, size in {
        "transformer": 1.58,
        "contrast": 0.066,
        "box_net": 0.134,
        "mask_net": 3.55,
        "category": 0.044,
    }.items():
        assert counted[name] == pytest.approx(size, rel=0.02), name


def test_checkpoint_of_tensorflow(recorded, tmp_path, scenograph):
    folder = recorded / "full_model"
    model, _ = whole(folder)
    write_bundle(tmp_path / "ckpt-3", variables(folder / "weights.npz"))
    names = [f"name {number}" for number in range(settings(folder)["n_classes"] - 1)]
    (tmp_path / "names.json").write_text(json.dumps(names))
    succeed(
        scenograph(
            "import",
            "scene-designer",
            tmp_path / "ckpt-3.index",
            "--vocabulary",
            tmp_path / "names.json",
            "--out",
            tmp_path / "model",
        )
    )
    imported = AutoModel.from_pretrained(tmp_path / "model")
    assert imported.vocabulary.categories == (*names, "__image__")
    for key, value in model.state_dict().items():
        assert torch.equal(imported.state_dict()[key], value), key
