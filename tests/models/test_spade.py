from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from recordings import DISCRIMINATOR_NAMES, arrays
from scenograph import Pipeline
from scenograph.data.vocabularies import class_names, vocabulary_of
from scenograph.errors import UserError
from scenograph.models.base import Conditioned
from scenograph.models.published.checkpoint import rename
from scenograph.models.published.spade import BLOCKS, ENCODER_NAMES, NAMES, import_spade, join_modulations
from scenograph.models.spade import Spade, SpadeConfig
from scenograph.nn.spade import MultiScaleDiscriminator, instance_edges
from scenograph.nn.spectral import SpectralConv2d
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.labels import read_label_map, scene_from_labels
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.spade import SpadeObjective, SpadeObjectiveConfig

COCO_LABELS = 182
"""Of COCO-Stuff's label maps, in which 255 is no label."""
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
RULES = {"G": NAMES, "D": DISCRIMINATOR_NAMES, "E": ENCODER_NAMES}


def names(count):
    return Vocabulary(tuple(f"label {number}" for number in range(count)), ())


def recorded_model(folder, tmp_path):
    """The generator, read as a user would: beside an opt.txt."""
    options = json.loads((folder / "config.json").read_text())
    for file in folder.glob("*.pth"):
        state = torch.load(file, weights_only=True)
        torch.save({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, tmp_path / file.name)
    lines = [f"{key:>25}: {value!s:<30}\t[default: x]" for key, value in options.items()]
    (tmp_path / "opt.txt").write_text("----- Options -----\n" + "\n".join(lines) + "\n")
    return import_spade(tmp_path / "latest_net_G.pth", names(options["label_nc"])), options


def recorded_discriminator(folder, options):
    channels = options["semantic_nc"] + 3
    judge = MultiScaleDiscriminator(channels, options["ndf"], options["num_D"], options["n_layers_D"])
    state = torch.load(folder / "latest_net_D.pth", weights_only=True)
    judge.load_state_dict(rename({key: value.float() for key, value in state.items()}, DISCRIMINATOR_NAMES))
    return judge


def recorded_layout(model, inputs):
    labels = inputs["label"][:, 0].long()
    labels = torch.where(labels >= len(model.vocabulary.categories), -1, labels)
    return model.label_map(labels, inputs["instance"][:, 0])


@pytest.mark.golden
@pytest.mark.parametrize("name", ["coco_edges", "vae", "wide_aspect"])
def test_recorded_pictures_and_judgements(golden, tmp_path, name):
    folder = golden / "spade" / name
    # Instance norms of 1 x 2 pixels magnify rounding: the recorded picture itself is 3e-5 from one in float64.
    model, options = recorded_model(folder, tmp_path)
    close = {"atol": 5e-5, "rtol": 1e-5} if "instance" in options["norm_G"] else CLOSE
    inputs, expected = arrays(folder / "inputs.npz"), arrays(folder / "expected_eval.npz")
    layout = recorded_layout(model, inputs)
    if options["use_vae"]:
        mean, log_variance = model.style(inputs["image"])
        torch.testing.assert_close(mean, expected["mu"], **close)
        torch.testing.assert_close(log_variance, expected["logvar"], **close)
        drawn = model.render(replace(layout, latents=mean))
        stride = drawn.shape[-1] // expected["fake_from_mu"].shape[-1]
        torch.testing.assert_close(drawn[:, :, ::stride, ::stride], expected["fake_from_mu"], **close)
    with torch.no_grad():
        layout = replace(layout, latents=inputs.get("z"))
        fake = model.render(layout)
        stride = int(expected["fake_stride"])
        torch.testing.assert_close(fake[:, :, ::stride, ::stride], expected["fake"], **close)
        torch.testing.assert_close(fake.mean(dim=(2, 3)), expected["fake_channel_mean"], **close)
        torch.testing.assert_close(model.for_inference().render(layout), fake, **close)
        semantics = layout.one_hot()
        assert semantics.shape[1] == int(expected["semantics_channels"])
        judge = recorded_discriminator(folder, options).eval()
        for kind, pictures in (("fake", fake), ("real", inputs["image"])):
            for scale, found in enumerate(judge(torch.cat([semantics, pictures], dim=1))):
                for layer, features in enumerate(found):
                    key = f"D{scale}_{kind}_{layer}"
                    assert list(features.shape) == expected[f"D{scale}_feature_shape_{layer}"].tolist()
                    if key in expected:
                        torch.testing.assert_close(features, expected[key], **close)
                    else:
                        torch.testing.assert_close(features.mean(dim=(2, 3)), expected[f"{key}_mean"], **close)


@pytest.mark.golden
@pytest.mark.parametrize("name", ["coco_edges", "vae", "wide_aspect"])
def test_recorded_training(golden, tmp_path, monkeypatch, float64, name):
    """In float64, so that rounding, which small maps' norms amplify, is the recording's alone."""
    folder = golden / "spade" / name
    model, options = recorded_model(folder, tmp_path)
    inputs, expected = (
        {key: value.double() if value.is_floating_point() else value for key, value in arrays(path).items()}
        for path in (folder / "inputs.npz", folder / "expected_train.npz")
    )
    gan_loss = {"hinge": "hinge", "ls": "squares"}[options["gan_mode"]]
    weights = {"matching_weight": options["lambda_feat"], "style_weight": options["lambda_kld"], "feature_weight": 0.0}
    assert options["no_vgg_loss"] and not options["no_ganFeat_loss"]
    objective = SpadeObjective(SpadeObjectiveConfig(gan_loss=gan_loss, **weights), model)
    judge = objective.discriminators["image_discriminator"] = recorded_discriminator(folder, options)
    layout = recorded_layout(model, inputs)
    monkeypatch.setattr(model, "condition", lambda batch: Conditioned(boxes=batch.boxes, condition=layout))
    noise = iter(expected.get("epsilon", []))
    monkeypatch.setattr("scenograph.training.objectives.spade.normal", lambda generators, shape: next(noise))
    count = len(inputs["image"])
    batch = replace(
        SceneBatch.from_scenes([Scene((SceneObject("label 0"),))] * count, model.vocabulary), images=inputs["image"]
    )
    modules = {phase: module.train() for phase, module in objective.modules().items()}
    torch.manual_seed(1)
    lr = {"generator": float(expected["lr_G"]), "image_discriminator": float(expected["lr_D"])}
    assert [objective.rates(phase)[""] * options["lr"] for phase in objective.phases] == pytest.approx(
        list(lr.values())
    )
    betas = (options["beta1"], options["beta2"])
    adams = {p: torch.optim.Adam(m.parameters(), lr=lr[p], betas=betas) for p, m in modules.items()}
    for step in range(int(expected["steps"])):
        memory, terms = {}, {}
        for phase in objective.phases:
            adams[phase].zero_grad()
            loss, found = objective.loss(phase, batch, Totals(count, count, 0), [None] * count, memory)
            loss.backward()
            terms |= found
            if step == 0:
                # One difference of features that changes its sign, by rounding, moves the vae's gradients by 0.4 %.
                close = 3e-2 if options["use_vae"] else 1e-3
                check_gradients(modules[phase], expected, "GE" if phase == "generator" else "D", close)
            # Of gradients that are rounding alone, those of biases before norms, Adam makes whole steps, whose direction
            # decides on which side of the hinge one patch is at the second step. With this rounding, as recorded.
            for parameter in modules[phase].parameters():
                if parameter.grad is not None:
                    parameter.grad += 1e-7 * torch.randn_like(parameter)
            adams[phase].step()
            if step == 0 and phase == "generator":
                stride = memory["fake"].shape[-1] // expected["step0_fake"].shape[-1]
                torch.testing.assert_close(
                    memory["fake"][:, :, ::stride, ::stride], expected["step0_fake"], atol=1e-4, rtol=0
                )
        wanted = {"image_gan": expected[f"step{step}_loss_GAN"], "matching": expected[f"step{step}_loss_GAN_Feat"]}
        wanted["image_critic"] = expected[f"step{step}_loss_D_Fake"] + expected[f"step{step}_loss_D_real"]
        if options["use_vae"]:
            wanted["styles"] = expected[f"step{step}_loss_KLD"]
        assert set(terms) == set(wanted)
        for key, value in wanted.items():
            torch.testing.assert_close(terms[key], value.squeeze(), atol=1e-6, rtol=1e-4)
    differences = []
    for kind, owner in {"G": model, "D": judge, "E": model}.items():
        state = owner.state_dict()
        gradients = ours(expected, f"step0_grad_{kind}.", RULES[kind])
        for key, value in ours(expected, f"after_{kind}.", RULES[kind]).items():
            # Running statistics follow the biases before them, wherever those went.
            if "running" in key:
                torch.testing.assert_close(state[key], value, atol=2e-4, rtol=1e-4)
            elif key not in gradients or gradients[key].abs().max() > 1e-4:
                differences.append((state[key].float() - value.float()).abs().flatten())
    found = torch.cat(differences)
    assert found.max() <= 2 * max(lr.values()) and (found > 2e-5).float().mean() <= 0.01


def ours(recorded, prefix, rules):
    """Recorded arrays by our names; gains and shifts that were recorded together, as one."""
    state = {key.removeprefix(prefix): value for key, value in recorded.items() if key.startswith(prefix)}
    return rename(join_modulations(state), rules)


def check_gradients(module, expected, kinds, close):
    found = {name: parameter.grad for name, parameter in module.named_parameters()}
    for kind in kinds:
        recorded = ours(expected, f"step0_grad_{kind}.", RULES[kind])
        largest = max((float(value.abs().max()) for value in recorded.values()), default=0.0)
        for key, value in recorded.items():
            # Biases before a norm have no gradient but rounding.
            torch.testing.assert_close(
                found[key],
                value,
                atol=close * float(value.abs().max()) + 1e-4 * largest,
                rtol=0,
                msg=lambda m, key=key: f"{key}: {m}",
            )


VOCABULARY = names(5)


def small(**options):
    return Spade(
        SpadeConfig(vocabulary=VOCABULARY.to_dict(), image_size=(32, 32), channels=2, mask_size=8, **options)
    ).eval()


def test_pictures_of_other_sizes():
    scene = Scene((SceneObject("label 3", box=(0.25, 0.25, 0.75, 0.75)),))
    wide = Spade(SpadeConfig(vocabulary=VOCABULARY.to_dict(), image_size=(32, 64), channels=2)).eval()
    pictures = {size: Pipeline(wide)(scene, size=size).images[0] for size in (None, 64, 128)}
    assert [picture.size for picture in pictures.values()] == [(64, 32), (64, 32), (128, 64)]
    assert pictures[None].tobytes() == pictures[64].tobytes()
    assert wide.draws(128) and not wide.draws(96), "48 pixels do not result from doubling"
    assert small().draws(64) and not small(latent_size=4).draws(64)


def test_scenes_become_label_maps():
    """Smaller objects over larger ones, whatever their order; nothing else has a label."""
    things = (SceneObject("label 3", box=(0.25, 0.25, 0.5, 0.5)), SceneObject("label 1", box=(0.0, 0.0, 1.0, 0.75)))
    batch = SceneBatch.from_scenes([Scene(things), Scene(things[::-1])], VOCABULARY, 8)
    model = small()
    layout = model.condition(batch).condition
    assert torch.equal(layout.labels[0], layout.labels[1])
    assert layout.labels[0, 12, 12] == 3 and layout.labels[0, 4, 4] == 1 and layout.labels[0, 31, 5] == 5
    assert layout.one_hot().shape == (2, 7, 32, 32)
    assert layout.edges[0, 0, 12, 8] == 1 and layout.edges[0, 0, 12, 12] == 0 and layout.edges[0, 0, 31, 5] == 0
    with torch.no_grad():
        assert model(batch).images.shape == (2, 3, 32, 32)


def test_real_pictures_are_judged_by_the_weights_that_judged_the_drawn_ones(monkeypatch):
    torch.manual_seed(0)
    model = small().train()
    batch = SceneBatch.from_scenes([Scene((SceneObject("label 3", box=(0.2, 0.2, 0.7, 0.7)),))], VOCABULARY, 8)
    batch = replace(batch, images=torch.rand(1, 3, 32, 32))
    objective = SpadeObjective(SpadeObjectiveConfig(feature_weight=0.0, discriminator_channels=8), model)
    drawn = batch.images.clone().requires_grad_()
    monkeypatch.setattr(objective, "_render", lambda *_: (drawn, {}))
    judge = objective.discriminators["image_discriminator"].train()
    vector = judge.scales[0].middle[0].weight_u
    before = vector.clone()
    loss, terms = objective.loss("generator", batch, Totals(1, 1, 0), [torch.Generator()], {})
    loss.backward()
    assert float(terms["matching"]) == pytest.approx(0, abs=1e-6)
    assert not torch.equal(vector, before) and judge.training and drawn.grad.any()


def test_styles_belong_to_the_seed_or_to_a_picture():
    model = small(latent_size=6, unknown_label=False)
    batch = SceneBatch.from_scenes([Scene((SceneObject("label 0", box=(0, 0, 1, 1)),))] * 2, VOCABULARY, 8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(20)  # from the small weights that training starts with
        layout = model.condition(batch).condition
        one, other = model.render(layout, [torch.Generator().manual_seed(seed) for seed in (1, 2)])
        assert not torch.allclose(one, other)
        alone = model.render(layout, [torch.Generator().manual_seed(seed) for seed in (2, 1)])
        torch.testing.assert_close(alone[0], other)
        mean, log_variance = model.style(torch.rand(2, 3, 32, 32) * 2 - 1)
        assert mean.shape == log_variance.shape == (2, 6)
        model.style.log_variance.bias.fill_(-30)  # the encoder is sure of what it reads
        model.style.log_variance.weight.zero_()
        pipe = Pipeline(model)
        scene = Scene((SceneObject("label 0", box=(0, 0, 1, 1)),))
        noisy = Image.effect_noise((90, 60), 80)
        styled, again, in_other_style = (
            pipe.pixels(pipe.encode(scene, [seed], style=style))
            for seed, style in ((1, noisy), (2, noisy), (1, Image.linear_gradient("L").rotate(90)))
        )
        torch.testing.assert_close(styled, again)
        assert not torch.allclose(styled, in_other_style) and not torch.allclose(styled, one[None])
    with pytest.raises(UserError, match="spade: this model reads no style off a picture"):
        Pipeline(small()).encode(scene, style=noisy)


@pytest.mark.parametrize(
    ("labels", "options", "generator", "discriminator", "style"),
    [
        (182, {}, 97_480_899, 5_904_514, 0),
        (182, {"latent_size": 256}, 112_626_883, 5_904_514, 10_463_424),
        (150, {"edges": False}, 96_492_483, 5_836_930, 0),
        (35, {"unknown_label": False, "image_size": (256, 512), "upsampling": "more"}, 93_048_003, 5_601_410, 0),
    ],
)
def test_published_networks_have_the_published_sizes(labels, options, generator, discriminator, style):
    with torch.device("meta"):
        model = Spade(SpadeConfig(vocabulary=names(labels).to_dict(), **options))
        judge = MultiScaleDiscriminator(model.generator.blocks[0].norm1.shared.in_channels + 3)
    parts = (model.generator, judge, *([model.style] if model.style else []))
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [
        size for size in (generator, discriminator, style) if size
    ]


ORIGINAL_NAMES = (
    (r"^generator\.first\.", "fc."),
    (r"^generator\.last\.", "conv_img."),
    *((rf"^generator\.blocks\.{number}\.", f"{name}.") for number, name in enumerate(BLOCKS)),
    (r"\.(conv|norm)1\.", r".\1_0."),
    (r"\.(conv|norm)2\.", r".\1_1."),
    (r"\.norm_shortcut\.", ".norm_s."),
    (r"\.shortcut\.", ".conv_s."),
    (r"(norm_\w)\.norm\.", r"\1.param_free_norm."),
    (r"\.shared\.", ".mlp_shared.0."),
    (r"(conv_\w)\.weight$", r"\1.weight_orig"),
)


def original_state(model):
    """A generator's weights as SPADE saves them."""
    state = {}
    for key, value in rename(model.state_dict(), ORIGINAL_NAMES).items():
        if ".modulation." in key:
            for kind, part in zip(("gamma", "beta"), value.chunk(2), strict=True):
                state[key.replace(".modulation.", f".mlp_{kind}.")] = part
        else:
            state[key] = value
    return state


def test_a_list_of_names_names_the_labels_of_maps_and_of_checkpoints(tmp_path):
    file = tmp_path / "classes.json"
    file.write_text('["sky", "grass", "unlabeled"]')
    assert class_names(str(file)) == ["sky", "grass", "unlabeled"]
    assert vocabulary_of(str(file)).categories == ("sky", "grass", "unlabeled")
    assert vocabulary_of(str(file)).predicates == vocabulary_of("cityscapes").predicates
    for wrong in ("[]", '["sky", 3]', '"sky"', "[", '{"categories": ["sky"]}'):
        file.write_text(wrong)
        with pytest.raises(UserError, match="classes.json: neither coco-stuff"):
            vocabulary_of(str(file))


def test_generators_of_ade20k_read_maps_whose_zero_is_unknown(tmp_path):
    """The original's channel k is number k of the maps: unknown, wall, building, ..."""
    torch.manual_seed(0)
    original = Spade(
        SpadeConfig(
            vocabulary=names(151).to_dict(), image_size=(256, 256), channels=1, unknown_label=False, edges=False
        )
    ).eval()
    torch.save(original_state(original), tmp_path / "latest_net_G.pth")
    model = import_spade(tmp_path / "latest_net_G.pth", vocabulary_of("ade20k"))
    assert model.vocabulary.categories[0] == "wall" and class_names("ade20k")[:2] == ["unlabeled", "wall"]
    numbers = torch.randint(0, 151, (1, 16, 16)).repeat_interleave(16, 1).repeat_interleave(16, 2)
    with torch.no_grad():
        wanted = original.render(original.label_map(numbers, numbers))
        found = model.render(model.label_map(numbers - 1, numbers))
    torch.testing.assert_close(found, wanted)
    assert not torch.allclose(model.render(model.label_map(numbers.clamp(max=149), numbers)), wanted, atol=1e-2)


@pytest.mark.parametrize("normalized", [True, False])
def test_spectral_norms_of_old_files(tmp_path, normalized):
    """They lack v, and have the weight as it was last normalized."""
    torch.manual_seed(0)
    model = small()
    for layer in (module for module in model.modules() if isinstance(module, SpectralConv2d)):
        for _ in range(200):
            layer.iterate()
    state = original_state(model)
    for key in [key for key in state if key.endswith(".weight_v")]:
        name = key.removesuffix("_v")
        if normalized:
            weight = state[f"{name}_orig"]
            state[name] = weight / torch.dot(state[f"{name}_u"], weight.flatten(1) @ state[key])
        del state[key]
    torch.save(state, tmp_path / "latest_net_G.pth")
    options = {"label_nc": 5, "contain_dontcare_label": True, "no_instance": False, "crop_size": 32}
    lines = [f"{key:>25}: {value!s:<30}" for key, value in options.items()]
    (tmp_path / "opt.txt").write_text("\n".join(lines) + "\n")
    labels = torch.randint(-1, 5, (1, 32, 32))
    imported = import_spade(tmp_path / "latest_net_G.pth", names(5))
    with torch.no_grad():
        wanted, found = (one.render(one.label_map(labels, labels)) for one in (model, imported))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.golden
@pytest.mark.parametrize("stem", ["000000000785", "000000001490"])
def test_real_label_maps_stay_what_they_are_as_scenes(golden, stem):
    folder = golden / "spade" / "coco_samples"
    (file,) = folder.glob("expected_*.npz")
    sides = arrays(file)[f"{stem}_label"].shape[1:]
    labels, instances = (
        np.asarray(Image.open(folder / f"val_{kind}" / f"{stem}.png").resize(sides[::-1], 0))
        for kind in ("label", "inst")
    )
    model = Spade(SpadeConfig(vocabulary=names(COCO_LABELS).to_dict(), image_size=sides, channels=1))
    scene = scene_from_labels(labels.astype(int), model.vocabulary.categories, instances.astype(int))
    layout = model.condition(SceneBatch.from_scenes([scene], model.vocabulary, model.config.mask_size)).condition
    wanted = torch.from_numpy(labels.astype(int))[None]
    assert (layout.labels == torch.where(wanted == 255, COCO_LABELS, wanted)).float().mean() > 0.999
    edges = instance_edges(torch.from_numpy(instances.astype(int))[None])
    assert (layout.edges == edges).float().mean() > 0.995


def test_labels_outside_the_vocabulary_are_named():
    with pytest.raises(UserError, match="label 5: this model knows labels 0 to 4, and -1 for none"):
        small().label_map(torch.full((1, 32, 32), 5), torch.zeros(1, 32, 32))


@pytest.mark.parametrize(
    ("channels", "message"),
    [(9, "reads 9 channels, as no released generator; put its opt.txt beside it"), (36, "draws 35 labels without")],
)
def test_imports_that_say_too_little_are_refused(tmp_path, channels, message):
    state = {"up_0.norm_0.mlp_shared.0.weight": torch.zeros(128, channels, 3, 3), "fc.weight": torch.zeros(32, 4, 3, 3)}
    torch.save(state, tmp_path / "latest_net_G.pth")
    with pytest.raises(UserError, match=message):
        import_spade(tmp_path / "latest_net_G.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "latest_net_G.pth")
    with pytest.raises(UserError, match="not a SPADE generator"):
        import_spade(tmp_path / "latest_net_G.pth")


def test_label_maps_become_scenes_and_label_maps_again(tmp_path):
    labels = np.full((32, 32), 255)
    labels[4:20, 2:30], labels[8:16, 8:16], labels[24:30, 4:10] = 1, 3, 1
    instances = np.zeros_like(labels)
    instances[24:30] = 7
    scene = scene_from_labels(labels, VOCABULARY.categories, instances)
    assert [thing.category for thing in scene.objects] == ["label 1", "label 3", "label 1"]
    assert scene.objects[2].box == (4 / 32, 24 / 32, 10 / 32, 30 / 32)
    model = small()
    layout = model.condition(SceneBatch.from_scenes([scene], VOCABULARY, 64)).condition
    again = torch.where(layout.labels[0] == 5, 255, layout.labels[0]).numpy()
    assert (again == labels).mean() > 0.95
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "map.png")
    assert np.array_equal(read_label_map(tmp_path / "map.png"), labels)
