"""What every registered model has, so that it is tested, documented, trained and imported like all others."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from helpers import tiny
from scenograph.data.clevr import VOCABULARY
from scenograph.models.base import ModelConfig
from scenograph.models.published import IMPORTERS
from scenograph.models.registry import MODELS
from scenograph.training.objectives import OBJECTIVES
from scenograph.training.objectives.base import ObjectiveConfig
from scenograph.training.recipe import load_recipe, shipped_recipes

OURS = {"detector", "mise", "mise-layers", "mise-layout", "object-classifier", "scene-encoder"}
"""Models that no published code made: there is nothing to import."""
PAGES = [path.read_text(encoding="utf-8") for path in (Path(__file__).parents[1] / "docs" / "systems").glob("*.md")]


@pytest.fixture(scope="module")
def recipes() -> dict[str, str]:
    """Of every shipped recipe, the model that it trains."""
    return {name: load_recipe(name).model["name"] for name in shipped_recipes()}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_complete(name, recipes):
    model = tiny(name)
    assert model.name == name
    assert sum(parameter.numel() for parameter in model.parameters()) < 1_500_000
    assert isinstance(OBJECTIVES[name].Config.tiny(), OBJECTIVES[name].Config)
    its_own = [recipe for recipe, trained in recipes.items() if trained == name]
    assert any(recipe in page for recipe in its_own for page in PAGES), "no page in docs/systems says how to train it"
    assert (name in IMPORTERS) == (name not in OURS)


def test_no_table_names_what_is_no_model():
    assert {*OBJECTIVES} <= {*MODELS} and {*IMPORTERS} <= {*MODELS} and {*OURS} <= {*MODELS}


@pytest.mark.parametrize("name", IMPORTERS)
def test_every_importer_is_there_and_documented(name):
    module, _, function = IMPORTERS[name].partition(":")
    assert callable(getattr(import_module(module), function))
    assert any(re.search(rf"^scenograph import {name} ", page, re.MULTILINE) for page in PAGES)


@pytest.mark.parametrize(
    ("kind", "settings"), [(ModelConfig, {"vocabulary": VOCABULARY.to_dict()}), (ObjectiveConfig, {})]
)
def test_a_configuration_without_a_tiny_size_is_refused(kind, settings):
    with pytest.raises(TypeError, match=r"abstract method '?tiny"):
        type("Forgetful", (kind,), {})(**settings)
