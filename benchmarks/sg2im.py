"""sg2im at its published size: seconds for inference and for a training step, ours and, if given, the original's.

    python benchmarks/sg2im.py [--threads 1] [--original CHECKOUT_OF_GOOGLE_SG2IM]

Both systems get the same random scenes (8 objects and __image__, 16 relations each) in the same run, and the
ratio is what counts.
"""

from __future__ import annotations

import argparse
import sys

import torch
from side_by_side import Run, batch_of, compare, training_step

from scenograph.models.sg2im import Sg2Im, Sg2ImConfig, normalize
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.sg2im import Sg2ImObjective, Sg2ImObjectiveConfig

CATEGORIES, PREDICATES, OBJECTS, RELATIONS = 179, 46, 8, 8
VOCABULARY = Vocabulary(
    ("__image__", *(f"category {i}" for i in range(1, CATEGORIES))),
    ("__in_image__", *(f"predicate {i}" for i in range(1, PREDICATES))),
)
ROWS = ["inference, batch 1", "inference, batch 32", "training step, batch 32"]


def random_batch(count: int) -> SceneBatch:
    """Scenes without their image objects, with boxes, masks and pictures."""
    generator = torch.Generator().manual_seed(0)
    objects = count * OBJECTS
    owner = torch.arange(count).repeat_interleave(OBJECTS)
    low = torch.rand(objects, 2, generator=generator) * 0.6
    ends = torch.randint(OBJECTS, (count * RELATIONS, 2), generator=generator)
    relation_owner = torch.arange(count).repeat_interleave(RELATIONS)
    ends = ends + relation_owner[:, None] * OBJECTS
    predicates = torch.randint(1, PREDICATES, (len(ends), 1), generator=generator)
    return SceneBatch(
        num_images=count,
        objects=torch.randint(1, CATEGORIES, (objects,), generator=generator),
        attributes=torch.zeros((objects, 0), dtype=torch.int64),
        triples=torch.cat([ends[:, :1], predicates, ends[:, 1:]], dim=1),
        object_to_image=owner,
        triple_to_image=relation_owner,
        boxes=torch.cat([low, low + 0.1 + 0.3 * torch.rand(objects, 2, generator=generator)], dim=1),
        masks=(torch.rand(objects, 16, 16, generator=generator) > 0.3).float(),
        known_masks=torch.ones(objects, dtype=torch.bool),
        images=torch.rand(count, 3, 64, 64, generator=generator) * 2 - 1,
    )


def our_inference(count: int) -> Run:
    """From graph to picture, boxes and masks predicted."""
    model = Sg2Im(Sg2ImConfig(vocabulary=VOCABULARY.to_dict())).for_inference()
    batch = random_batch(count).with_layout(torch.full((count * OBJECTS, 4), float("nan")))

    def run() -> object:
        with torch.inference_mode():
            return model(batch).images

    return run


def our_training_step(count: int) -> Run:
    """Generator and both discriminators: three forward and backward passes, three Adam steps."""
    model = Sg2Im(Sg2ImConfig(vocabulary=VOCABULARY.to_dict())).train()
    objective = Sg2ImObjective(Sg2ImObjectiveConfig(mask_weight=0.1), model)
    return training_step(objective, random_batch(count), 1e-4)


def original_inputs(count: int) -> tuple[SceneBatch, dict[str, object]]:
    """The batch with image objects, and the vocabulary in the original's form."""
    full = Sg2Im(Sg2ImConfig(vocabulary=VOCABULARY.to_dict(), refinement_dims=(8,))).add_image_objects(
        random_batch(count)
    )
    names, predicates = VOCABULARY.categories, VOCABULARY.predicates
    vocabulary = {
        "object_idx_to_name": list(names),
        "object_name_to_idx": {name: i for i, name in enumerate(names)},
        "pred_idx_to_name": list(predicates),
        "pred_name_to_idx": {name: i for i, name in enumerate(predicates)},
    }
    return full, vocabulary


def original_model(vocabulary: dict[str, object]) -> torch.nn.Module:
    """The published training settings."""
    from sg2im.model import Sg2ImModel

    return Sg2ImModel(
        vocabulary, image_size=(64, 64), embedding_dim=128, gconv_dim=128, gconv_hidden_dim=512, gconv_num_layers=5,
        refinement_dims=(1024, 512, 256, 128, 64), mask_size=16, layout_noise_dim=32,
    )  # fmt: skip


def original_inference(count: int) -> Run:
    """As ours."""
    full, vocabulary = original_inputs(count)
    model = original_model(vocabulary).eval()

    def run() -> object:
        with torch.no_grad():
            return model(full.objects, full.triples, full.object_to_image)[0]

    return run


def original_training_step(count: int) -> Run:
    """The steps of its training script with its networks and losses."""
    from sg2im.discriminators import AcCropDiscriminator, PatchDiscriminator
    from sg2im.losses import gan_d_loss, gan_g_loss

    full, vocabulary = original_inputs(count)
    model = original_model(vocabulary).train()
    arch = "C4-64-2,C4-128-2,C4-256-2"
    judge_objects = AcCropDiscriminator(vocabulary, arch, normalization="batch", padding="valid", object_size=32)
    judge_images = PatchDiscriminator(arch, normalization="batch", padding="valid")
    adams = [torch.optim.Adam(m.parameters(), lr=1e-4) for m in (model, judge_objects, judge_images)]
    assert full.images is not None
    real, functional = normalize(full.images), torch.nn.functional
    crops = (full.objects, full.boxes, full.object_to_image)

    def run() -> object:
        fake, boxes, masks, _ = model(
            full.objects, full.triples, full.object_to_image, boxes_gt=full.boxes, masks_gt=full.masks
        )
        loss = functional.l1_loss(fake, real) + 10 * functional.mse_loss(boxes, full.boxes)
        loss = loss + 0.1 * functional.binary_cross_entropy(masks, full.masks)
        scores, class_loss = judge_objects(fake, *crops)
        loss = loss + 0.1 * class_loss + 0.01 * gan_g_loss(scores) + 0.01 * gan_g_loss(judge_images(fake))
        losses = [loss]
        fake = fake.detach()
        for adam in adams:
            adam.zero_grad()
        loss.backward()
        adams[0].step()
        adams[1].zero_grad()
        (fake_scores, fake_class), (real_scores, real_class) = judge_objects(fake, *crops), judge_objects(real, *crops)
        losses.append(gan_d_loss(real_scores, fake_scores) + fake_class + real_class)
        losses[-1].backward()
        adams[1].step()
        adams[2].zero_grad()
        losses.append(gan_d_loss(judge_images(real), judge_images(fake)))
        losses[-1].backward()
        adams[2].step()
        return losses

    return run


def start(system: str, row: str, options: argparse.Namespace) -> Run:
    """Inference or a training step, of either system."""
    if options.original:
        sys.path.insert(0, options.original)
    kinds = {"ours": (our_inference, our_training_step), "original": (original_inference, original_training_step)}
    return kinds[system]["training" in row](batch_of(row))


if __name__ == "__main__":
    compare(argparse.ArgumentParser(description=__doc__), "google/sg2im", lambda options: "sg2im", ROWS, start)
