"""``scenograph models`` and ``scenograph import``."""

from __future__ import annotations

import re

import torch
from PIL import Image

from helpers import succeed, tiny
from scenograph.data.clevr import VOCABULARY
from scenograph.models.published import IMPORTERS
from scenograph.models.sg2im import Sg2Im, Sg2ImConfig


def test_models_and_environment(scenograph):
    listed = succeed(scenograph("models", "list", "mise*"))
    assert "mise-rendered-64" in listed and "mise-layout-rendered" in listed and "object-classifier" not in listed
    told = succeed(scenograph("models", "info", "mise-rendered-64"))
    assert "categories (3): cube, sphere, cylinder\n" in told and "material (2): " in told
    assert "torch" in succeed(scenograph("env"))


def test_models_are_found_by_the_words_that_they_know(scenograph, tmp_path):
    known = succeed(scenograph("models", "list", "--knows", "sheep, automobiles,standing on"))
    assert "mise-layout-picture-book" in known and "mise-rendered-64" not in known
    assert "mise-rendered-64" in succeed(scenograph("models", "list", "mise*", "--knows", "cube,grey"))
    code, _, errors = scenograph("models", "list", "--knows", "gnu")
    assert code == 2 and "no model here knows this word; published checkpoints" in errors and errors.count("\n") == 1


def test_models_in_a_folder_are_listed(scenograph, tmp_path):
    """Those of runs, too; what is no model is passed over."""
    tiny("mise").save_pretrained(tmp_path / "runs" / "first" / "model")
    tiny("mise-layout").save_pretrained(tmp_path / "placer")
    for name, content in (("other", '{"model_type": "bert"}'), ("broken", "{"), ("empty", '{"model": "mise"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(content)
    names = [line.split()[0] for line in succeed(scenograph("models", "list", ".")).splitlines()]
    assert names == ["placer", "runs/first/model"]
    assert succeed(scenograph("models", "list", "placer")).split()[:2] == ["placer", "layout"]
    assert "runs/first/model" in succeed(scenograph("models", "list", str(tmp_path / "runs"), "--knows", "cube"))
    code, _, errors = scenograph("models", "list", "runs", "--knows", "sheep")
    assert code == 2 and "no model here knows this word" in errors
    code, _, errors = scenograph("models", "list", "other")
    assert code == 2 and "other holds no model folder, nor do the folders in it" in errors


def test_the_help_of_import_names_every_system(scenograph):
    told = " ".join(succeed(scenograph("import", "--help")).split())
    assert all(re.search(rf"\b{name}\b", told) for name in IMPORTERS)


def test_an_imported_sg2im_draws(scenograph, tmp_path):
    names = Sg2Im.vocabulary_for(VOCABULARY)
    settings = {"image_size": (32, 32), "embedding_dim": 8, "gconv_dim": 8, "gconv_hidden_dim": 8, "gconv_num_layers": 1,
                "refinement_dims": (8, 8), "mask_size": 4, "layout_noise_dim": 2}  # fmt: skip
    plain = {"categories": names.categories, "predicates": names.predicates, "attributes": {}}
    state = Sg2Im(Sg2ImConfig(vocabulary=plain, **settings)).state_dict()
    state = {
        k.replace("object_embedding.category.", "obj_embeddings.").replace(
            "predicate_embedding.", "pred_embeddings."
        ): v
        for k, v in state.items()
    }
    vocabulary = {"object_idx_to_name": list(names.categories), "pred_idx_to_name": list(names.predicates)}
    torch.save({"model_kwargs": {"vocab": vocabulary, **settings}, "model_state": state}, tmp_path / "p.pt")
    assert "wrote p (sg2im" in succeed(scenograph("import", "sg2im", "p.pt"))
    hidden = f"categories ({len(names.categories) - 1}): "  # __image__ cannot be asked for
    assert hidden in succeed(scenograph("models", "info", "p"))
    code, _, errors = scenograph("import", "sg2im", "p.pt")
    assert code == 2 and "p exists" in errors
    succeed(scenograph("generate", "cube left of sphere", "--model", "p", "--draw-layout"))
    assert Image.open(tmp_path / "pictures" / "cube-left-of-sphere-seed0.png").size == (32, 32)
    succeed(scenograph("generate", "cube left of sphere", "--layout", "p", "--out", "both", "--steps", "1"))
    code, _, errors = scenograph("generate", "red cube", "--model", "p")
    assert code == 2 and "unknown word 'red'" in errors


def test_an_imported_lostgan_needs_names(scenograph, tmp_path):
    torch.save({"mask_regress.conv1.0.weight_orig": torch.zeros(1), "label_embedding.weight": torch.zeros(184, 4),
                "fc.weight_orig": torch.zeros(16, 4)}, tmp_path / "g.pth")  # fmt: skip
    code, _, errors = scenograph("import", "lostgan", "g.pth")
    assert code == 2 and "184 categories without their names; give --vocabulary coco-stuff" in errors
    code, _, errors = scenograph("import", "lostgan", "g.pth", "--vocabulary", "none.json")
    assert (
        code == 2
        and "vocabulary none.json: neither coco-stuff, ade20k, cityscapes, a pack, nor a readable JSON file" in errors
    )
    code, _, errors = scenograph("import", "lostgan", "g.pth", "--vocabulary", "coco-stuff")
    assert code == 2 and errors.count("\n") == 1 and not (tmp_path / "g").exists()


def test_the_collage_is_listed_described_and_suggested(scenograph):
    assert "renderer" in succeed(scenograph("models", "list", "coll*"))
    told = succeed(scenograph("models", "info", "collage"))
    assert "things (113): airplane" in told and "riding" in told and "Microsoft Corporation, MIT" in told
    for command in (("models", "info", "collag"), ("generate", "sheep", "--image", "collag")):
        code, _, errors = scenograph(*command)
        assert code == 2 and "did you mean 'collage'?" in errors
    code, _, errors = scenograph("generate", "sheep", "--layout", "collage")
    assert code == 2 and "give it as the image model (--image)" in errors
