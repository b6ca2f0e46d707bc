"""The page of recipes lists what ships, as it is."""

from __future__ import annotations

from pathlib import Path

from scenograph.training.recipe import load_recipe, shipped_recipes

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "recipes.md"


def table() -> str:
    """Every shipped recipe, a row for each."""
    rows = ["| recipe | model | data | steps x batch |", "|---|---|---|---|"]
    for name, path in shipped_recipes().items():
        recipe, link = load_recipe(name), f"../src/scenograph/recipes/{path.name}"
        length = f"{recipe.training.steps:,} x {recipe.training.batch_size}"
        rows.append(f"| [`{name}`]({link}) | {recipe.model['name']} | `{recipe.data.pack}` | {length} |")
    return "\n".join(rows)


def between(mark: str) -> str:
    """The part of the page between two comments."""
    return PAGE.read_text(encoding="utf-8").split(f"<!-- {mark} -->\n")[1].split(f"\n<!-- /{mark} -->")[0]


def test_all_recipes_are_listed_with_their_data_and_length():
    assert between("recipes") == table()


def test_the_recipe_that_is_shown_is_the_one_that_ships():
    assert between("tiny-spade") == f"```yaml\n{shipped_recipes()['tiny-spade'].read_text(encoding='utf-8')}```"
