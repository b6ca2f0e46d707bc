"""What Scene Designer's objective is trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers import generators, tiny
from scenograph.data.loader import PackLoader
from scenograph.data.pack import write_pack
from scenograph.data.source import Sample, Samples
from scenograph.errors import UserError
from scenograph.models.registry import AutoModel
from scenograph.models.scene_designer import SceneDesigner, SceneDesignerConfig
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.sketch import Sketch
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.scene_designer import (
    SceneDesignerObjective,
    SceneDesignerObjectiveConfig,
    contrastive_loss,
    matching_loss,
    others,
    sketched,
)
from scenograph.training.recipe import load_recipe
from scenograph.training.trainer import Trainer


@pytest.fixture
def batch(painted):
    return PackLoader(painted, "train", (32, 32), 8, "none", sketch_size=32).batch(0, 0, 4)


def without(batch, pictures):
    """The batch without the sketches of these pictures."""
    hidden = torch.isin(batch.object_to_image, torch.tensor(pictures))
    return replace(batch, sketches=torch.where(hidden[:, None, None], 1.0, batch.sketches))


def test_objects_without_sketches_are_left_out(batch):
    left, pictures = sketched(without(batch, [1]))
    assert pictures == [0, 2, 3] and left.num_images == 3
    assert torch.equal(left.images, batch.images[[0, 2, 3]])
    kept = batch.object_to_image != 1
    assert torch.equal(left.boxes, batch.boxes[kept]) and torch.equal(left.objects, batch.objects[kept])
    assert left.object_to_image.unique().tolist() == [0, 1, 2]
    with pytest.raises(UserError, match="no object of a batch has a sketch"):
        sketched(without(batch, [0, 1, 2, 3]))


def test_what_takes_an_objects_place_is_of_another_category(batch):
    chosen = others(batch, generators(0, 1, 2, 3))
    assert (batch.objects[chosen] != batch.objects).all()
    assert torch.equal(chosen, others(batch, generators(0, 1, 2, 3)))
    alike = replace(batch, objects=torch.zeros_like(batch.objects))
    assert torch.equal(others(alike, generators(0, 1, 2, 3)), torch.arange(len(alike.objects)))


@pytest.mark.parametrize("scenes", [True, False])
def test_losses_of_a_batch_with_a_picture_without_sketches(batch, scenes):
    torch.manual_seed(0)
    model = tiny("scene-designer")
    batch = replace(batch, objects=batch.objects + 1)  # __image__ is in front
    objective = SceneDesignerObjective(SceneDesignerObjectiveConfig.tiny().model_copy(update={"scenes": scenes}), model)
    memory = {}
    for phase in objective.phases:
        loss, terms = objective.loss(
            phase, without(batch, [1]), Totals(4, len(batch.objects), 0), generators(0, 1, 2, 3), memory
        )
        assert loss.isfinite() and loss.item() == pytest.approx(sum(terms.values()).item(), rel=1e-5)
    assert ("contrast" in {**objective.loss("model", batch, Totals(4, 1, 0), generators(0, 1, 2, 3), {})[1]}) == scenes


def terms_of(batch, **settings):
    """The terms of the model's loss, the objective, and the gradients by name."""
    torch.manual_seed(0)
    model = tiny("scene-designer", dropout=0.0)
    config = SceneDesignerObjectiveConfig.tiny().model_copy(update=settings)
    objective = SceneDesignerObjective(SceneDesignerObjectiveConfig.model_validate(config.model_dump()), model)
    named = replace(batch, objects=batch.objects + 1)
    loss, terms = objective.loss("model", named, Totals(4, len(batch.objects), 0), generators(0, 1, 2, 3), {})
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    return terms, objective, gradients


@pytest.mark.parametrize(
    ("settings", "gone", "untouched"),
    [
        ({"mask_weight": 0.0, "adversarial_weight": 0.0}, "masks", "mask_net"),
        ({"category_weight": 0.0}, "categories", "category.weight"),
        ({"object_category_weight": 0.0}, "sketch_category", "sketch_encoder.category"),
        ({"object_triplet_weight": 0.0}, "object_triplet", "representation"),
        ({"contrast_weight": 0.0}, "contrast", "contrast"),
        ({"box_weight": 0.0}, "boxes", "box_net"),
    ],
)
def test_an_ablation_leaves_what_only_its_loss_reaches_as_it_is(batch, settings, gone, untouched):
    plain, _, gradients = terms_of(batch)
    assert plain[gone] > 0 and any(name.startswith(untouched) for name in gradients)
    terms, _, gradients = terms_of(batch, **settings)
    assert terms[gone] == 0 and not any(name.startswith(untouched) for name in gradients)


def test_without_a_mask_gan_there_is_no_discriminator(batch):
    terms, objective, _ = terms_of(batch, adversarial_weight=0.0)
    assert objective.discriminator is None and objective.phases == ("model",) and "mask_gan" not in terms


def test_without_negative_scenes_their_part_of_the_contrast_is_missing(batch):
    terms, _, _ = terms_of(batch)
    without_them, _, _ = terms_of(batch, negative_scenes=False)
    assert without_them["contrast"] < terms["contrast"]
    assert all(torch.equal(value, terms[name]) for name, value in without_them.items() if name == "object_triplet")
    torch.testing.assert_close(without_them["masks"], terms["masks"])


def test_feature_matching(batch):
    terms, _, _ = terms_of(batch)
    matched, _, _ = terms_of(batch, feature_weight=10.0)
    assert matched.keys() - terms.keys() == {"mask_features"} and matched["mask_features"] > 0
    with pytest.raises(ValueError, match="feature_weight needs the mask discriminator"):
        SceneDesignerObjectiveConfig(feature_weight=1.0, adversarial_weight=0.0)
    fake, real = [torch.ones(2, 3), torch.zeros(2), torch.ones(1)], [torch.zeros(2, 3), torch.ones(2), torch.zeros(1)]
    assert matching_loss(fake, real) == pytest.approx(4 / 3 * 2)  # the scores, which are last, do not count


def test_one_pass_over_all_views_is_three_passes(batch):
    """The contrast of a whole batch, and the same of vectors that are computed view by view."""
    from scenograph.models.scene_designer import with_graph

    torch.manual_seed(0)
    model = tiny("scene-designer", dropout=0.0)
    objective = SceneDesignerObjective(SceneDesignerObjectiveConfig(scenes=True, adversarial_weight=0.0), model)
    graph = with_graph(replace(batch, objects=batch.objects + 1), model.vocabulary.predicates)
    encodings = tuple(torch.randn(len(batch.objects), 16) for _ in range(3))
    terms = objective.scene_terms(model, encodings, graph, None, {})
    compared = [model.compared(model.encode_scenes(encoded, graph).scenes) for encoded in encodings]
    torch.testing.assert_close(terms["contrast"], contrastive_loss(*compared))


STAGES = ("quickdraw-coco-objects", "quickdraw-coco-scenes", "sketchycoco")


def test_the_published_stages_follow_each_other(painted, tmp_path, monkeypatch):
    """At a tiny size: objects, then scenes with drawings made on the fly, then scenes with sketches of their own."""
    monkeypatch.chdir(tmp_path)
    lines = [Sketch((np.array([[0, 0], [1, n / 9]]),)) for n in range(9)]
    names = ("cube", "sphere", "cylinder")
    rows = [
        Sample(f"{name}-{n}", Scene((SceneObject(name, (), (0.0, 0.0, 1.0, 1.0), sketch=line),)), None)
        for name in names
        for n, line in enumerate(lines)
    ]
    write_pack(tmp_path / "drawings", Samples(Vocabulary(names, ()), {"train": rows, "validation": rows}))
    tiny_model = SceneDesignerConfig.tiny(Vocabulary((), ())).model_dump(exclude={"vocabulary"}, exclude_unset=True)
    sizes = [f"model.{name}={value}" for name, value in tiny_model.items()]
    sizes += ["objective.discriminator_width=4", "objective.discriminator_layers=1"]
    sizes += ["training.steps=2", "training.batch_size=8", "training.validation_scenes=4", f"data.pack={painted}"]

    def run(stage: str) -> Trainer:
        drawn = ["data.drawings=drawings"] if "quickdraw" in stage else []
        given = load_recipe(f"scene-designer-{stage}", [*sizes, *drawn])
        return Trainer(given, tmp_path / "runs" / given.name, torch.device("cpu"))

    for stage in STAGES[1:]:
        with pytest.raises(UserError, match=r"training\.start_from: no model 'runs/scene-designer-quickdraw-coco"):
            run(stage)
    first = run(STAGES[0])
    assert first.objective.phases == ("model",)
    batch = first.loaders["train"].batch(0, 0, 8)
    assert batch.num_images == len(batch.objects) == 8 and (batch.sketches.amin(dim=(1, 2)) < 1).all()
    before = {key: value.clone() for key, value in first.model.state_dict().items()}
    first.run()
    learned = {
        key.split(".")[0] for key, value in first.model.state_dict().items() if not torch.equal(value, before[key])
    }
    assert learned == {"photo_encoder", "sketch_encoder", "shared", "representation"}
    second = run(STAGES[1])
    assert all(torch.equal(value, first.model.state_dict()[key]) for key, value in second.model.state_dict().items())
    assert second.objective.phases == ("model", "mask_discriminator")
    second.run()
    third = run(STAGES[2])
    assert third.loaders["train"].drawings is None
    assert third.objective.discriminator is not None
    for key, value in second.objective.discriminator.state_dict().items():
        assert torch.equal(third.objective.discriminator.state_dict()[key], value), key
    third.run()
    with pytest.raises(UserError, match="discriminator_layers 3: masks of 8 pixels leave no map; take at most 2"):
        SceneDesignerObjective(SceneDesignerObjectiveConfig(), third.model)
    made = AutoModel.from_pretrained(tmp_path / "runs" / "scene-designer-sketchycoco" / "model")
    assert isinstance(made, SceneDesigner)


def test_a_run_starts_from_keras_weights(painted, tmp_path):
    h5py = pytest.importorskip("h5py")
    torch.manual_seed(5)
    given = tiny("scene-designer").photo_encoder.backbone.state_dict()
    names = {"convolution.weight": "kernel", "weight": "gamma", "bias": "beta"}
    names |= {"running_mean": "moving_mean", "running_var": "moving_variance"}
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        layers: dict[str, list[str]] = {}
        for key, value in given.items():
            layer, name = keras_name(key, names)
            layers.setdefault(layer, []).append(name)
            array = value.numpy()
            if array.ndim == 4:
                array = array.transpose(2, 3, 0, 1) if "depthwise" in name else array.transpose(2, 3, 1, 0)
            file.create_dataset(f"{layer}/{layer}/{name}:0", data=array)
        file.attrs["layer_names"] = [*layers]
        for layer, arrays in layers.items():
            file[layer].attrs["weight_names"] = [f"{layer}/{name}:0" for name in arrays]
    sizes = SceneDesignerConfig.tiny(Vocabulary((), ())).model_dump(exclude={"vocabulary"}, exclude_unset=True)
    overrides = [*(f"model.{name}={value}" for name, value in sizes.items()), f"data.pack={painted}"]
    overrides += [f"training.start_from={tmp_path / 'weights.h5'}", "training.ema_decay=0.9", "training.steps=1"]
    trainer = Trainer(load_recipe("tiny-scene-designer", overrides), tmp_path / "run", torch.device("cpu"))
    for model in (trainer.model, trainer.ema):
        for encoder in (model.photo_encoder, model.sketch_encoder):
            for key, value in encoder.backbone.state_dict().items():
                assert torch.equal(value, given[key]), key
    with pytest.raises(UserError, match=r"missing\.h5"):
        Trainer(
            load_recipe("tiny-scene-designer", [*overrides, f"training.start_from={tmp_path / 'missing.h5'}"]),
            tmp_path / "other",
        )


def keras_name(key: str, names: dict[str, str]) -> tuple[str, str]:
    """The layer and the array of Keras' MobileNetV2 for one of our weights."""
    parts = key.split(".")
    last = names[".".join(parts[-2:])] if parts[-2] == "convolution" else names[parts[-1]]
    if parts[0] == "first":
        return ("Conv1" if parts[1] == "convolution" else "bn_Conv1"), last
    block = "expanded_conv" if parts[1] == "0" else f"block_{parts[1]}"
    layer = f"{block}_{parts[2]}" + ("_BN" if parts[3] == "norm" else "")
    return layer, "depthwise_kernel" if layer.endswith("depthwise") else last
