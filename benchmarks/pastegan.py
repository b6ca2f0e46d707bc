"""PasteGAN at its published size: seconds for inference and for a training step, ours and as the original computes it.

    python benchmarks/pastegan.py [--threads 1]

The original has no licence, so it is not part of this file, nor of any other: "original" is a plain rendering of what
it computes, in the order in which it does, written from a description. Both branches are always computed, every canvas
block twice, and every channel of every object is placed on the canvas before it is multiplied. ``--check`` compares the
pictures of both with the same weights.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from side_by_side import Run, batch_of, compare, training_step
from torch import Tensor, nn

from scenograph.models.pastegan import PasteGan, PasteGanConfig
from scenograph.models.published.pastegan import used_weights
from scenograph.models.sg2im import add_image_objects, normalize
from scenograph.nn.perceptual import LEVEL_WEIGHTS, VGG19
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.pastegan import PasteGanObjective, PasteGanObjectiveConfig

CATEGORIES, PREDICATES, OBJECTS, SIDE, WIDTH = 184, 7, 5, 64, 128
VOCABULARY = Vocabulary(
    ("__image__", *(f"category {i}" for i in range(1, CATEGORIES))),
    ("__in_image__", *(f"predicate {i}" for i in range(1, PREDICATES))),
)
ROWS = ["inference, batch 1", "inference, batch 16", "training step, batch 8"]


def random_batch(count: int) -> SceneBatch:
    """Scenes of five objects and as many relations, with boxes, crops and pictures."""
    generator = torch.Generator().manual_seed(0)
    objects = count * OBJECTS
    owner = torch.arange(count).repeat_interleave(OBJECTS)
    low = torch.rand(objects, 2, generator=generator) * 0.6
    ends = torch.randint(OBJECTS, (objects, 2), generator=generator) + owner[:, None] * OBJECTS
    predicates = torch.randint(1, PREDICATES, (objects, 1), generator=generator)
    return SceneBatch(
        num_images=count,
        objects=torch.randint(1, CATEGORIES, (objects,), generator=generator),
        attributes=torch.zeros((objects, 0), dtype=torch.int64),
        triples=torch.cat([ends[:, :1], predicates, ends[:, 1:]], dim=1),
        object_to_image=owner,
        triple_to_image=owner,
        boxes=torch.cat([low, low + 0.1 + 0.3 * torch.rand(objects, 2, generator=generator)], dim=1),
        masks=torch.ones(objects, 32, 32),
        known_masks=torch.zeros(objects, dtype=torch.bool),
        crops=torch.cat(
            [torch.rand(objects, 3, 32, 32, generator=generator) * 2 - 1, torch.ones(objects, 1, 32, 32)], 1
        ),
        images=torch.rand(count, 3, SIDE, SIDE, generator=generator) * 2 - 1,
    )


# As the original computes it.


def conv(
    channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1, padding: int | None = None
) -> nn.Module:
    """A padded convolution."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2 if padding is None else padding)


def norm_act(channels: int) -> list[nn.Module]:
    """Batch norm and leaky ReLU."""
    return [nn.BatchNorm2d(channels), nn.LeakyReLU(0.1)]


def two(channels_in: int, hidden: int, channels_out: int, kernel: int, activated: bool) -> nn.Sequential:
    """Two convolutions."""
    layers = [conv(channels_in, hidden), *norm_act(hidden), conv(hidden, channels_out, kernel)]
    return nn.Sequential(*layers, *(norm_act(channels_out) if activated else []))


def pool(values: Tensor, subject: Tensor, target: Tensor, others: Tensor, count: int) -> Tensor:
    """Averages of what subjects and objects are offered."""
    total = values.new_zeros((count, *values.shape[1:])).index_add(0, subject, values).index_add(0, target, others)
    ones = values.new_ones(len(subject))
    seen = values.new_zeros(count).index_add(0, subject, ones).index_add(0, target, ones).clamp(min=1)
    return total / seen.view(-1, *(1,) * (values.ndim - 1))


class VectorLayer(nn.Module):
    """Graph convolution over vectors."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.net1 = nn.Sequential(nn.Linear(3 * width, hidden), nn.LeakyReLU(), nn.Linear(hidden, 2 * hidden + width))
        self.net2 = nn.Sequential(
            nn.LeakyReLU(), nn.Linear(hidden, hidden), nn.LeakyReLU(), nn.Linear(hidden, width), nn.LeakyReLU()
        )

    def forward(self, objects: Tensor, predicates: Tensor, subject: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """As the class says."""
        made = self.net1(torch.cat([objects[subject], predicates, objects[target]], dim=1))
        first, middle, last = made.split([self.hidden, predicates.shape[1], self.hidden], dim=1)
        return self.net2(pool(first, subject, target, last, len(objects))), F.leaky_relu(middle)


class MapLayer(nn.Module):
    """Graph convolution over maps."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.net1_2d = two(3 * width, hidden, 2 * hidden + width, 3, False)
        self.activation = nn.Sequential(*norm_act(width))
        self.net2_2d = two(hidden, hidden, width, 1, True)
        self.net_obj = two(width, hidden, width, 1, True)
        flow = [conv(width, width), *norm_act(width), conv(width, width), *norm_act(width), conv(width, 2)]
        self.flow_net = nn.Sequential(nn.Sequential(*flow))

    def forward(self, maps: Tensor, predicates: Tensor, subject: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """As the class says."""
        count, width, rows, columns = maps.shape
        identity = F.affine_grid(torch.eye(2, 3).expand(count, 2, 3), [count, width, rows, columns], align_corners=True)
        moved = identity + torch.tanh(self.flow_net(maps)).permute(0, 2, 3, 1)
        x = F.grid_sample(maps, moved, align_corners=True)
        if predicates.ndim == 2:
            predicates = predicates[:, :, None, None].expand(-1, -1, rows, columns)
        made = self.net1_2d(torch.cat([x[subject], predicates, x[target]], dim=1))
        first, middle, last = made.split([self.hidden, width, self.hidden], dim=1)
        pooled = pool(first, subject, target, last, count)
        return self.net2_2d(pooled) + self.net_obj(x) + maps, self.activation(middle)


class Fuser(nn.Module):
    """Attention over the objects at every pixel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn_1, self.attn_2, self.attn_3 = (nn.Sequential(conv(width, width, 1)) for _ in range(3))

    def forward(self, objects: Tensor, relations: Tensor, rows: Tensor, images: Tensor, owner: Tensor) -> Tensor:
        """As the class says."""
        queries = self.attn_1(objects[rows])
        scores = (queries * self.attn_2(relations)).sum(dim=1, keepdim=True)
        weights = ((scores - scores.max(dim=0, keepdim=True).values) / math.sqrt(objects.shape[1])).exp()
        sums = weights.new_zeros((len(images), *weights.shape[1:])).index_add(0, owner, weights).clamp(min=1e-5)
        values = weights / sums[owner] * self.attn_3(queries)
        return values.new_zeros((len(images), *values.shape[1:])).index_add(0, owner, values) + objects[images]


class Block(nn.Module):
    """A residual block of the canvas."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.BatchNorm2d(width), nn.ReLU(), conv(width, width)]
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        self.net(x)  # thrown away
        return x + self.net(x)


class Module(nn.Module):
    """One scale of the decoder."""

    def __init__(self, condition: int, before: int, after: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            conv(condition + before, after), *norm_act(after), conv(after, after), *norm_act(after)
        )


class Decoder(nn.Module):
    """The cascaded refinement network."""

    def __init__(self, condition: int, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.refinement_modules = nn.ModuleList(
            Module(condition, before, after) for before, after in zip((1, *dims), dims, strict=False)
        )
        self.output_conv = nn.Sequential(conv(dims[-1], dims[-1]), nn.LeakyReLU(0.1), conv(dims[-1], 3, 1))

    def forward(self, canvas: Tensor) -> Tensor:
        """As the class says."""
        side = SIDE // 2 ** len(self.refinement_modules)
        x = canvas.new_zeros((len(canvas), 1, side, side))
        for module in self.refinement_modules:
            x = F.interpolate(x, scale_factor=2)
            small = F.avg_pool2d(canvas, SIDE // x.shape[2])
            x = module.net(torch.cat([small, x], dim=1))
        return self.output_conv(x)


class Encoder(nn.Module):
    """The encoder of crops."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 64), (64, 128), (128, 256)):
            layers += [conv(before, after, 3, 2), *norm_act(after)]
        self.model = nn.Sequential(*layers)
        self.output_mean = nn.Sequential(conv(256, width, 1), *norm_act(width))

    def forward(self, crops: Tensor) -> Tensor:
        """As the class says."""
        return self.output_mean(self.model(crops))


def place(maps: Tensor, boxes: Tensor) -> Tensor:
    """Maps into boxes on the canvas."""
    x0, y0, x1, y1 = boxes[:, :, None].unbind(dim=1)
    steps = torch.linspace(0, 1, SIDE)[None]
    x, y = 2 * (steps - x0) / (x1 - x0) - 1, 2 * (steps - y0) / (y1 - y0) - 1
    grid = torch.stack([x[:, None].expand(-1, SIDE, -1), y[:, :, None].expand(-1, -1, SIDE)], dim=3)
    return F.grid_sample(maps, grid, align_corners=True)


def crop(images: Tensor, boxes: Tensor, owner: Tensor, side: int) -> Tensor:
    """Crops of boxes."""
    x0, y0, x1, y1 = (2 * boxes[:, :, None] - 1).unbind(dim=1)
    steps = torch.linspace(0, 1, side)[None]
    x, y = x0 + steps * (x1 - x0), y0 + steps * (y1 - y0)
    grid = torch.stack([x[:, None].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], dim=3)
    return F.grid_sample(images[owner], grid, align_corners=True)


class Original(nn.Module):
    """The generator, without the weights that its pictures do not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.obj_embeddings, self.pred_embeddings = nn.Embedding(CATEGORIES + 1, WIDTH), nn.Embedding(PREDICATES, WIDTH)
        self.gconv = VectorLayer(WIDTH, 512)
        self.gconv_net = nn.ModuleDict({"gconvs": nn.ModuleList(VectorLayer(WIDTH, 512) for _ in range(3))})
        self.box_net = nn.Sequential(nn.Linear(WIDTH, 512), nn.ReLU(), nn.Linear(512, 4), nn.ReLU())
        self.crop_encoder = Encoder(WIDTH)
        self.object_refiner = nn.ModuleDict({"gconvs": nn.ModuleList(MapLayer(WIDTH, 512) for _ in range(4))})
        self.obj_img_fuser = Fuser(2 * WIDTH)
        for number in range(1, 7):
            setattr(self, f"canvas_res{number}", Block(2 * WIDTH))
        self.img_decoder = Decoder(2 * WIDTH, (1024, 512, 256, 128, 64))

    def forward(self, scene: SceneBatch, *crops: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Pictures of each kind of crops, boxes and the crop matching loss."""
        subject, kinds, target = scene.triples.unbind(dim=1)
        embedded = self.pred_embeddings(kinds)
        vectors, relations = self.gconv(self.obj_embeddings(scene.objects), embedded, subject, target)
        for layer in self.gconv_net["gconvs"]:
            vectors, relations = layer(vectors, relations, subject, target)
        member = kinds == 0
        rows, images = subject[member], (scene.objects == 0).nonzero()[:, 0]
        features = [self.crop_encoder(part) for part in crops]
        pictures = []
        for part in features:
            maps, edges = part, embedded
            for layer in self.object_refiner["gconvs"]:
                maps, edges = layer(maps, edges, subject, target)
            objects = torch.cat([vectors[:, :, None, None].expand_as(maps), maps], dim=1)
            between = torch.cat([relations[:, :, None, None].expand_as(edges), edges], dim=1)[member]
            placed, related = place(objects, scene.boxes), place(between, scene.boxes[rows])
            canvas = self.obj_img_fuser(placed, related, rows, images, scene.object_to_image[rows])
            for number in range(1, 7):
                canvas = getattr(self, f"canvas_res{number}")(canvas)
            pictures.append(self.img_decoder(canvas))
        real = scene.objects != 0
        again = self.crop_encoder(crop(pictures[0], scene.boxes[real], scene.object_to_image[real], 32))
        return pictures, self.box_net(vectors), F.l1_loss(again, features[0][real])


class Discriminator(nn.Module):
    """Of pictures or, with categories, of crops of objects."""

    def __init__(self, categories: int = 0) -> None:
        super().__init__()
        self.cnn = nn.Sequential(
            conv(3, 64, 4, 2, 0), *norm_act(64), conv(64, 128, 4, 2, 0), *norm_act(128), conv(128, 256, 4, 2, 0)
        )
        self.heads = nn.ModuleList([nn.Linear(1024, 1), nn.Linear(1024, categories)] if categories else [])
        self.last: nn.Module = nn.Linear(256, 1024) if categories else conv(256, 1, 1)

    def forward(self, images: Tensor, scene: SceneBatch) -> tuple[Tensor, Tensor]:
        """Scores, and the mean error of the classes."""
        if not self.heads:
            return self.last(self.cnn(images)), images.new_zeros(())
        hidden = self.last(self.cnn(crop(images, scene.boxes, scene.object_to_image, 32)).mean(dim=(2, 3)))
        return self.heads[0](hidden), F.cross_entropy(self.heads[1](hidden), scene.objects)


def random_vgg() -> dict[str, Tensor]:
    """VGG19 with random weights: what it computes takes the same time."""
    torch.manual_seed(1)
    widths = (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512)
    state = {}
    for layer, before, after in zip(VGG19.convolutions, (3, *widths), widths, strict=False):
        state[f"features.{layer}.weight"] = torch.randn(after, before, 3, 3) * math.sqrt(2 / (9 * before))
        state[f"features.{layer}.bias"] = torch.zeros(after)
    return state


def original_vgg() -> nn.Module:
    """As plain layers, which give the five levels."""
    state = random_vgg()

    class Levels(nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            x, found = images, []
            for layer in range(VGG19.levels[-1] + 1):
                if layer in VGG19.convolutions:
                    x = F.conv2d(x, state[f"features.{layer}.weight"], state[f"features.{layer}.bias"], padding=1)
                else:
                    x = F.max_pool2d(x, 2) if layer in VGG19.pools else x.relu()
                if layer in VGG19.levels:
                    found.append(x)
            return found

    return Levels()


def perceptual(vgg: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The weighted distance of five levels; both pictures go through the network each time."""
    pairs = zip(LEVEL_WEIGHTS, vgg(images), vgg(targets), strict=True)
    return torch.stack([weight * F.l1_loss(one, other.detach()) for weight, one, other in pairs]).sum()


def original_inference(count: int) -> Run:
    """From graph, boxes and crops to both pictures, of which one is wanted."""
    torch.manual_seed(0)
    model = Original().eval()
    scene = add_image_objects(random_batch(count), VOCABULARY)
    crops = our_crops(scene)

    def run() -> object:
        with torch.no_grad():
            return model(scene, crops, crops)[0][0]

    return run


def our_crops(scene: SceneBatch) -> Tensor:
    """The batch's crops in normalized units; zeros for ``__image__``."""
    assert scene.crops is not None
    return normalize(scene.crops[:, :3]) * (scene.crops[:, 3:] + 1) / 2


def original_training_step(count: int) -> Run:
    """The steps of its training script with its losses."""
    torch.manual_seed(0)
    model, of_objects, of_images = Original().train(), Discriminator(CATEGORIES), Discriminator()
    vgg = original_vgg()
    adams = [torch.optim.Adam(part.parameters(), lr=5e-4) for part in (model, of_objects, of_images)]
    batch = random_batch(count)
    scene, real = add_image_objects(batch, VOCABULARY), normalize(batch.images)
    selected, owner = our_crops(scene), scene.object_to_image
    own = crop(real, scene.boxes, owner, 32)
    things = scene.objects != 0
    yes, no = (
        (lambda s: F.binary_cross_entropy_with_logits(s, torch.ones_like(s))),
        (lambda s: F.binary_cross_entropy_with_logits(s, torch.zeros_like(s))),
    )

    def run() -> object:
        (made, again), boxes, matching = model(scene, selected, own)
        loss = F.l1_loss(again, real) + 10 * F.mse_loss(boxes, scene.boxes) + 10 * matching
        for picture in (made, again):
            scores, errors = of_objects(picture, scene)
            loss = loss + 0.01 * yes(of_images(picture, scene)[0]) + 0.01 * yes(scores) + 0.1 * errors
        loss = loss + perceptual(vgg, again, real) + 0.5 * perceptual(vgg, made, real)
        shown = crop(again, scene.boxes[things], owner[things], 32)
        loss = loss + 0.5 * perceptual(vgg, shown, own[things])
        for adam in adams:
            adam.zero_grad()
        loss.backward()
        adams[0].step()
        for adam, network in zip(adams[1:], (of_objects, of_images), strict=True):
            adam.zero_grad()
            (fake, _), (true, errors), (other, _) = (network(p, scene) for p in (made.detach(), real, again.detach()))
            critic = 2 * yes(true) + no(fake) + no(other) + errors
            critic.backward()
            adam.step()
        return loss

    return run


# Ours.


def our_model() -> PasteGan:
    """At the published size."""
    return PasteGan(PasteGanConfig(vocabulary=VOCABULARY.to_dict()))


def our_inference(count: int) -> Run:
    """From graph, boxes and crops to pictures."""
    model, batch = our_model().eval(), random_batch(count)

    def run() -> object:
        with torch.inference_mode():
            return model(batch).images

    return run


def our_training_step(count: int) -> Run:
    """Generator and both discriminators: three forward and backward passes, three Adam steps."""
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        torch.save(random_vgg(), file.name)
        objective = PasteGanObjective(PasteGanObjectiveConfig(vgg_file=Path(file.name)), our_model().train())
        return training_step(objective, random_batch(count), 5e-4)


def check() -> None:
    """Print the largest difference between the pictures of both, with the same weights."""
    torch.manual_seed(0)
    original, ours, batch = Original().train(), our_model(), random_batch(2)
    scene = add_image_objects(batch, VOCABULARY)
    with torch.no_grad():
        original(scene, our_crops(scene), our_crops(scene))  # for running statistics worth having
    original.eval()
    counters = {key: value for key, value in ours.state_dict().items() if key.endswith("num_batches_tracked")}
    ours.load_state_dict(counters | used_weights(original.state_dict()))
    ours.eval()
    with torch.no_grad():
        (expected, _), _, _ = original(scene, our_crops(scene), our_crops(scene))
        found = ours.render_normalized(ours.condition(batch).condition)
    print(f"largest difference {(found - expected).abs().max():.1e} of {expected.abs().max():.1f}")


def start(system: str, row: str, options: argparse.Namespace) -> Run:
    """Inference or a training step, of either system."""
    kinds = {"ours": (our_inference, our_training_step), "original": (original_inference, original_training_step)}
    return kinds[system]["training" in row](batch_of(row))


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--check", action="store_true", help="compare the pictures instead of the speed")
    command.set_defaults(original="a plain rendering of it")
    if command.parse_known_args()[0].check:
        check()
    else:
        compare(command, "nothing: this one is always measured", lambda options: "PasteGAN", ROWS, start)
