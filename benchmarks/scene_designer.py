"""Scene Designer at its published size: seconds for a step of each stage and for a query, ours and the original's.

    python benchmarks/scene_designer.py [--threads 1] [--original CHECKOUT_OF_SCENE_DESIGNER]

"Plain" is a rendering of what the original computes, in the order in which it does, with the networks of this package
where nothing is gained by them: a copy of the picture for every crop, every object encoded twice, photographs, sketches
and negatives each in a pass of their own, triples gathered whole, and masks convolved after every doubling. ``--check``
compares the losses of both with the same weights.

``--original`` measures the original's own code instead, which needs TensorFlow 2 (and tensorflow-addons) beside torch.
Its weights are random ones, so that nothing is downloaded.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from side_by_side import Run, batch_of, compare, training_step
from torch import Tensor, nn

from scenograph.models.scene_designer import SLOPE, SceneDesigner, SceneDesignerConfig, with_graph
from scenograph.nn.graph import Edges
from scenograph.nn.normalization import FrozenBatchNorm2d
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.gan import generator_loss
from scenograph.training.objectives.scene_designer import (
    SceneDesignerObjective,
    SceneDesignerObjectiveConfig,
    box_errors,
    contrastive_loss,
    critic_loss,
    crops_of,
    mask_error,
    others,
    triplet_loss,
)

CATEGORIES, SIDE, CROP, MASK, OBJECTS = 172, 256, 96, 64, 4
VOCABULARY = SceneDesigner.vocabulary_for(Vocabulary(tuple(f"category {i}" for i in range(CATEGORIES)), ()))
ROWS = [
    "step of stage 1, objects 64",
    "step of stage 2, scenes 4",
    "sketched query, scenes 1",
    "sketched query, scenes 16",
]
MARGIN = 0.5


def random_batch(scenes: int, objects: int) -> SceneBatch:
    """Scenes with boxes, masks, sketches and pictures."""
    generator = torch.Generator().manual_seed(0)
    count = scenes * objects
    owner = torch.arange(scenes).repeat_interleave(objects)
    low = torch.rand(count, 2, generator=generator) * 0.6
    empty = torch.zeros((0, 3), dtype=torch.int64)
    return SceneBatch(
        num_images=scenes,
        objects=torch.randint(1, CATEGORIES, (count,), generator=generator),
        attributes=torch.zeros((count, 0), dtype=torch.int64),
        triples=empty,
        object_to_image=owner,
        triple_to_image=empty[:, 0],
        boxes=torch.cat([low, low + 0.1 + 0.3 * torch.rand(count, 2, generator=generator)], dim=1),
        masks=(torch.rand(count, MASK, MASK, generator=generator) > 0.5).float(),
        known_masks=torch.ones(count, dtype=torch.bool),
        images=torch.rand(scenes, 3, SIDE, SIDE, generator=generator) * 2 - 1,
        sketches=(torch.rand(count, CROP, CROP, generator=generator) > 0.05).float(),
        crops=-torch.ones(count, 4, CROP, CROP),
    )


def generators(scenes: int) -> list[torch.Generator]:
    """One per scene."""
    return [torch.Generator().manual_seed(number) for number in range(scenes)]


def model_of(kind: type[SceneDesigner]) -> SceneDesigner:
    """At the published size."""
    torch.manual_seed(0)
    return kind(SceneDesignerConfig(vocabulary=VOCABULARY.to_dict()))


# As the original computes it.


class PlainGraph(nn.Module):
    """A graph layer that gathers both ends of every triple, with the weights of one of ours."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.net1, self.net2, self.hidden, self.width = layer.net1, layer.net2, layer.hidden_dim, layer.output_dim

    def forward(self, objects: Tensor, predicates: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """As ours."""
        first, second = edges.ends[:, 0], edges.ends[:, 1] - len(objects)
        triples = torch.cat([objects[first], predicates, objects[second]], dim=1)  # (T, 2 D + Dp)
        for layer in self.net1:
            triples = (
                F.leaky_relu(triples, SLOPE)
                if isinstance(layer, nn.LeakyReLU)
                else F.linear(triples, layer.weight, layer.bias)
            )
        as_first, middle, as_second = triples.split([self.hidden, self.width, self.hidden], dim=1)
        pooled = objects.new_zeros(len(objects), self.hidden)
        pooled = pooled.index_add(0, first, as_first).index_add(0, second, as_second)
        counts = objects.new_zeros(len(objects)).index_add(
            0, torch.cat([first, second]), objects.new_ones(2 * len(first))
        )
        return self.net2(pooled / counts.clamp(1, 1000)[:, None]), middle


class PlainNet(nn.Module):
    """A stack of these."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.gconvs = nn.ModuleList(PlainGraph(layer) for layer in net.gconvs)

    def forward(self, objects: Tensor, predicates: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """As ours."""
        for layer in self.gconvs:
            objects, predicates = layer(objects, predicates, edges)
        return objects, predicates


class PlainDesigner(SceneDesigner):
    """The same weights in plain layers."""

    def __init__(self, config: SceneDesignerConfig) -> None:
        super().__init__(config)
        self.gconv, self.gconv_net = PlainGraph(self.gconv), PlainNet(self.gconv_net)
        layers: list[nn.Module] = []
        for layer in self.mask_net:
            if isinstance(layer, nn.Identity):
                layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
            elif isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                plain = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
                plain.weight, plain.bias = layer.weight, layer.bias
                layers.append(plain)
            else:
                layers.append(layer if isinstance(layer, FrozenBatchNorm2d | nn.Conv2d) else nn.ReLU())
        self.mask_net = nn.Sequential(*layers)


def plain_crops(batch: SceneBatch) -> Tensor:
    """Crops from a copy of the picture per object, corner by corner (specification: W - 2, and zeros outside)."""
    assert batch.images is not None
    pictures = batch.images.permute(0, 2, 3, 1)[batch.object_to_image]  # (O, H, W, 3)
    rows = torch.arange(len(pictures))[:, None, None]
    steps = torch.linspace(0, 1, CROP)
    x, y = (
        (batch.boxes[:, low, None] * (1 - steps) + batch.boxes[:, low + 2, None] * steps) * (SIDE - 2) for low in (0, 1)
    )
    x, y = x[:, None, :].expand(-1, CROP, -1), y[:, :, None].expand(-1, -1, CROP)
    left, top = (one.floor().long() for one in (x, y))
    found: Any = 0
    for across, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = ((one + more).clamp(0, SIDE - 1) for one, more in ((left, across), (top, down)))
        weight = (1 - (x - column).abs()).clamp(min=0) * (1 - (y - row).abs()).clamp(min=0)
        found = found + weight[..., None] * pictures[rows, row, column]
    return found.permute(0, 3, 1, 2)


def plain_object_terms(
    objective: SceneDesignerObjective,
    model: SceneDesigner,
    seen: tuple[Tensor, Tensor, Tensor],
    batch: SceneBatch,
    other: Tensor,
) -> list[Tensor]:
    """Every object is encoded for these losses alone."""
    sketches, crops, negatives = seen
    photo, negative, sketch = (
        model.encode_photos(crops),
        model.encode_photos(negatives),
        model.encode_sketches(sketches),
    )
    near = [model.represent(encoded) for encoded in (sketch, photo, negative)]
    weight, of_photo = objective.config.object_weight, model.photo_encoder.category
    return [
        weight * triplet_loss(near[0], near[1], near[2], MARGIN),
        weight * 0.5 * objective.category_error(of_photo(photo), batch.objects),
        weight * 0.5 * objective.category_error(of_photo(negative), batch.objects[other]),
        weight * objective.category_error(model.sketch_encoder.category(sketch), batch.objects),
    ]


def plain_scene_terms(
    objective: SceneDesignerObjective,
    model: SceneDesigner,
    seen: tuple[Tensor, Tensor, Tensor],
    batch: SceneBatch,
    own: list[torch.Generator] | None,
) -> tuple[list[Tensor], Tensor | None]:
    """Three passes, and both masks; with the loss of the discriminator from the same scores."""
    sketches, crops, negatives = seen
    config, graph = objective.config, with_graph(batch, VOCABULARY.predicates, own)
    photo = model.encode_scenes(model.encode_photos(crops), graph, own)
    negative = model.encode_scenes(model.encode_photos(negatives), graph, own)
    sketch = model.encode_scenes(model.encode_sketches(sketches), graph, own)
    terms = [contrastive_loss(*(model.compared(one.scenes) for one in (sketch, photo, negative)))]
    masks = []
    for one in (sketch, photo):
        boxes, logits = model.predict(one.objects)
        masks.append(logits.sigmoid())
        terms += [
            config.box_weight * box_errors(boxes, graph.boxes, config.overlap_weight).mean(),
            config.mask_weight * mask_error(logits, graph),
            config.category_weight * objective.category_error(model.category(one.objects), graph.objects),
        ]
    scores = [maps[-1] for maps in objective._maps([graph.masks, masks[1], masks[0]], graph.objects)]
    terms += [config.adversarial_weight * generator_loss("lsgan", score) for score in scores[1:]]
    return terms, critic_loss(scores, torch.ones(()))


def plain_step(scenes: bool, batch: SceneBatch) -> Run:
    """Forward, backward and Adam, for the model and for the discriminator."""
    model = model_of(PlainDesigner).train()
    objective = SceneDesignerObjective(SceneDesignerObjectiveConfig(scenes=scenes), model)
    adams = [torch.optim.Adam(module.parameters(), lr=1e-4, fused=True) for module in objective.modules().values()]
    other, own = others(batch, generators(batch.num_images)), generators(batch.num_images)

    def run() -> object:
        crops = plain_crops(batch) if scenes else crops_of(batch, CROP)
        seen = (batch.sketches, crops, crops[other])
        terms, critic = plain_scene_terms(objective, model, seen, batch, own) if scenes else ([], None)
        if scenes:
            crops = plain_crops(batch)
        terms += plain_object_terms(objective, model, (batch.sketches, crops, crops[other]), batch, other)
        for adam in adams:
            adam.zero_grad(set_to_none=True)
        loss = torch.stack(terms).sum()
        if critic is not None and objective.discriminator is not None:
            # Both updates come from one forward pass: the discriminator's gradients are those of its own loss.
            critics = [*objective.discriminator.parameters()]
            gradients = torch.autograd.grad(critic, critics, retain_graph=True)
            loss.backward()
            for parameter, gradient in zip(critics, gradients, strict=True):
                parameter.grad = gradient
        else:
            loss.backward()
        for adam in adams:
            adam.step()
        return loss

    return run


# Ours.


def our_step(scenes: bool, batch: SceneBatch) -> Run:
    """Every phase of the objective."""
    config = SceneDesignerObjectiveConfig(scenes=scenes)
    return training_step(SceneDesignerObjective(config, model_of(SceneDesigner).train()), batch, 1e-4)


def query(kind: type[SceneDesigner], batch: SceneBatch) -> Run:
    """The vectors of sketched scenes, graphs included."""
    model = model_of(kind).eval()
    if kind is SceneDesigner:
        model = model.for_inference()

    def run() -> object:
        with torch.inference_mode():
            return model.scene_vectors(batch)

    return run


def check() -> None:
    """Print the losses of both with the same weights and nothing random."""
    batch = random_batch(2, 3)
    plain, ours = model_of(PlainDesigner), model_of(SceneDesigner)
    other, crops = others(batch, generators(2)), crops_of(batch, CROP)
    print(f"largest difference of crops {(plain_crops(batch) - crops).abs().max():.1e}")
    objectives = []
    for model in (plain, ours):
        torch.manual_seed(1)
        objectives.append(SceneDesignerObjective(SceneDesignerObjectiveConfig(), model))
    seen = (batch.sketches, crops, crops[other])
    with torch.no_grad():
        terms, _ = plain_scene_terms(objectives[0], plain, seen, batch, None)
        terms += plain_object_terms(objectives[0], plain, seen, batch, other)
        sketch, photo = ours.encode_sketches(batch.sketches), ours.encode_photos(crops)
        encodings = (sketch, photo, photo[other])
        found = objectives[1].object_terms(ours, encodings, batch.objects, batch.objects[other])
        graph = with_graph(batch, VOCABULARY.predicates)
        found |= objectives[1].scene_terms(ours, encodings, graph, None, {})
    print(f"losses: plain {sum(terms):.5f}, ours {sum(found.values()):.5f}")


# The original's own code.


def original_step(checkout: str, scenes: bool, batch: SceneBatch) -> Run:
    """A step of its training function on the same scenes."""
    model, tensors = original_model(checkout, batch)
    if scenes:
        names = (
            "images",
            "objects",
            "boxes",
            "masks",
            "triples",
            "attributes",
            "owner",
            "sketches",
            "negatives",
            "others",
        )
        import tensorflow as tf

        scenes_again = iter(tf.data.Dataset.from_tensors((*(tensors[name] for name in names), 0)).repeat())
        return lambda: model.model_trainer(scenes_again)
    crops, negatives = tensors["crops"], tensors["negatives"]
    labels = [batch.objects.numpy(), tensors["others"][:, 0].numpy().astype("int64")]
    return lambda: model.multidomain_encoder.model_trainer(tensors["sketches"], crops, negatives, *labels)


def original_query(checkout: str, batch: SceneBatch) -> Run:
    """The vectors of sketched scenes, their graphs given."""
    model, tensors = original_model(checkout, batch)

    def run() -> object:
        encoded = model.multidomain_encoder.skt_encoder.encoder(tensors["sketches"])
        edges, predicates = model.embedding_model(tensors["triples"])
        owner, attributes = tensors["owner"], tensors["attributes"]
        return model.compute_common_encoding(encoded, predicates, edges, attributes, batch.num_images, owner, False)[0]

    return run


def original_model(checkout: str, batch: SceneBatch) -> tuple[Any, dict[str, Any]]:
    """The original's model, with random weights, and a batch in its form."""
    sys.path.insert(0, checkout)
    import tensorflow as tf

    from scenograph.models.scene_designer import attributes

    tf.config.threading.set_intra_op_parallelism_threads(torch.get_num_threads())
    tf.config.threading.set_inter_op_parallelism_threads(1)
    mobilenet = tf.keras.applications.MobileNetV2
    tf.keras.applications.MobileNetV2 = lambda **options: mobilenet(**options | {"weights": None})
    from models.graph_attention_rep import GraphAttentionRepresentation
    from models.multidomain_classifier import MultidomainMapper

    names = VOCABULARY.predicates
    dataset = SimpleNamespace(
        image_size=(SIDE, SIDE), mask_size=MASK, n_classes=len(VOCABULARY.categories), crop_size=CROP,
        sketch_size=CROP, pred_idx_to_name=names, ccset=SimpleNamespace(crop_size=CROP),
    )  # fmt: skip
    folder = tempfile.mkdtemp()
    settings: dict[str, Any] = {}
    for kind in (MultidomainMapper, GraphAttentionRepresentation):
        settings |= dict(kind.parse_hparams(None, None).values())
    settings |= {"batch_size": batch.num_images, "slack_config": ""}
    model = GraphAttentionRepresentation(settings, dataset, folder, "bench")
    other = others(batch, generators(batch.num_images))
    graph = with_graph(batch, names)
    crops = crops_of(batch, CROP).permute(0, 2, 3, 1)
    arrays = {
        "images": batch.images.permute(0, 2, 3, 1), "objects": batch.objects[:, None], "boxes": batch.boxes,
        "masks": batch.masks, "triples": graph.triples, "attributes": attributes(batch.boxes).float(),
        "owner": batch.object_to_image, "sketches": batch.sketches[..., None], "crops": crops,
        "negatives": crops[other], "others": batch.objects[other][:, None],
    }  # fmt: skip
    whole = {name: value if value.is_floating_point() else value.int() for name, value in arrays.items()}
    return model, {name: tf.constant(value.contiguous().numpy()) for name, value in whole.items()}


def start(system: str, row: str, options: argparse.Namespace) -> Run:
    """A step of a stage, or a query, of either system."""
    count, scenes = batch_of(row), "stage 2" in row
    batch = random_batch(count, 1 if "objects" in row else OBJECTS)
    checkout = None if options.original == PLAIN else options.original
    if "query" in row:
        batch = replace(batch, images=None)
        if system == "original" and checkout:
            return original_query(checkout, replace(batch, images=torch.zeros(count, 3, SIDE, SIDE)))
        return query(SceneDesigner if system == "ours" else PlainDesigner, batch)
    if system == "ours":
        return our_step(scenes, batch)
    return original_step(checkout, scenes, batch) if checkout else plain_step(scenes, batch)


PLAIN = "plain"

if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--check", action="store_true", help="compare the losses instead of the speed")
    command.set_defaults(original=PLAIN)
    if command.parse_known_args()[0].check:
        check()
    else:
        compare(
            command, "scene-designer; by default the plain rendering", lambda options: "Scene Designer", ROWS, start
        )
