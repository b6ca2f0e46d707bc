"""The table of drawings, packages in the Iconify form, and drawings in other colours."""

from __future__ import annotations

import builtins
import json

import numpy as np
import pytest

from scenograph.data.picture_book.colours import COLOURS
from scenograph.data.picture_book.drawings import COLUMNS, INSTALL, SETS, Drawing, Drawings, read_table
from scenograph.data.picture_book.recolour import recoloured
from scenograph.data.vocabularies import shipped_vocabulary
from scenograph.errors import UserError

HEAD = ",".join(COLUMNS) + "\n"
BALL = "sports ball,noto,ball,side,ground,0.2,1,1,0\n"
HALF = '<path fill="#d00" d="M0 0H8V32H0z"/><path fill="#00d" d="M8 0H16V32H8z"/>'
"""Red left and blue right of the middle."""


@pytest.fixture
def folder(tmp_path):
    """A package of two icons, an alias that mirrors one, and an alias that turns that."""
    package = {
        "prefix": "noto",
        "width": 32,
        "height": 32,
        "icons": {
            "ball": {"body": '<circle cx="16" cy="16" r="8" fill="#d33"/>'},
            "halves": {"body": HALF, "width": 16},
            "empty": {"body": ""},
            "broken": {"body": "<path"},
        },
        "aliases": {
            "mirrored": {"parent": "halves", "hFlip": True},
            "turned": {"parent": "mirrored", "rotate": 1},
            "lost": {"parent": "nothing"},
            "loop": {"parent": "loop"},
        },
    }
    place = tmp_path / "node_modules/@iconify-json/noto"
    place.mkdir(parents=True)
    (place / "icons.json").write_text(json.dumps(package))
    return tmp_path


def table(tmp_path, *names, sets="noto"):
    path = tmp_path / "table.csv"
    path.write_text(HEAD + "".join(BALL.replace("noto,ball", f"{sets},{name}") for name in names))
    return path


def row(drawings, name):
    return next(one for one in drawings.rows if one.name == name)


def test_the_shipped_table_is_right():
    rows = read_table()
    categories = {one.category for one in rows}
    assert len({one.key for one in rows}) == len(rows) > 1000
    assert len(categories) >= 80 and categories <= set(shipped_vocabulary("coco-stuff").categories)
    assert {one.set for one in rows} == set(SETS) - {"own"}
    assert all(one.licence in ("Apache-2.0", "MIT") and one.author for one in rows)
    assert all(one.height < 50 for one in rows if one.category not in ("mountain", "clouds"))


def test_skin_tones_and_genders_come_evenly():
    names = [one.name.removesuffix("-skin-tone") for one in read_table() if one.category == "person"]
    tones = ("-light", "-medium-light", "-medium", "-medium-dark", "-dark")
    longest = [max((tone for tone in tones if name.endswith(tone)), key=len, default="") for name in names]
    counts = [longest.count(tone) for tone in tones]
    assert min(counts) == max(counts) > 20
    men, women = (sum(name.startswith(who) for name in names) for who in ("man-", "woman-"))
    assert abs(men - women) <= 5


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("view", "below", "line 3, column view: Input should be 'side'"),
        ("habitat", "moon", "line 3, column habitat: .*'moon'"),
        ("height", "tall", "line 3, column height: .*'tall'"),
        ("height", "-1", "line 3, column height: .*greater than 0"),
        ("height", "nan", "line 3, column height: "),
        ("mirror", "maybe", "line 3, column mirror: .*'maybe'"),
        ("foot", "1", "line 3, column foot: .*less than 1"),
        ("category", "", "line 3, column category: "),
        ("set", "notto", "line 3, column set: no set 'notto' .did you mean 'noto'"),
        ("name", "ball", "line 3, column name: noto/ball has a row already"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, column, value, said):
    values = dict(zip(COLUMNS, BALL.strip().split(","), strict=True)) | {"name": "other", column: value}
    path = tmp_path / "table.csv"
    path.write_text(HEAD + BALL + ",".join(values.values()) + "\n")
    with pytest.raises(UserError, match=said) as error:
        read_table(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_wrong_table_is_named(tmp_path):
    path = tmp_path / "table.csv"
    with pytest.raises(UserError, match=r"cannot read .*table.csv: No such file"):
        read_table(path)
    path.write_text("name,set\n")
    with pytest.raises(UserError, match=r"table.csv, line 1: the columns must be category,set,name"):
        read_table(path)
    path.write_text(HEAD + "car,noto\n")
    with pytest.raises(UserError, match=r"line 2: 2 values for 9 columns"):
        read_table(path)


@pytest.mark.parametrize("under", [".", "node_modules", "node_modules/@iconify-json"])
def test_packages_are_found_where_npm_puts_them(folder, under):
    drawings = Drawings(folder / under, table(folder, "ball", "lost", "loop", "halves", "newer"))
    assert [one.key for one in drawings.rows if one.set != "own"] == ["noto/ball", "noto/halves"]
    assert drawings.missing == ("noto/lost", "noto/loop", "noto/newer")
    assert "sports ball" in drawings.categories() and list(drawings.categories()) == sorted(drawings.categories())


def test_rows_of_packages_that_are_not_there_are_left_out(folder):
    drawings = Drawings(folder, table(folder, "ball", sets="noto-v1"))
    assert all(one.set == "own" for one in drawings.rows) and not drawings.missing


def test_without_packages_the_command_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no package of drawings") as error:
        Drawings(tmp_path)
    assert INSTALL in str(error.value) and "npm install @iconify-json/noto@1.2.9 " in INSTALL


@pytest.mark.parametrize("text", ["{", "[]", '{"icons": {"ball": {}}}', '{"icons": 3}', '{"icons": {"ball": 3}}'])
def test_a_damaged_package_is_named(folder, text):
    (folder / "node_modules/@iconify-json/noto/icons.json").write_text(text)
    with pytest.raises(UserError, match=r"icons.json"):
        Drawings(folder, table(folder, "ball"))


def test_sprites_are_cropped_and_kept(folder):
    pytest.importorskip("resvg_py")
    drawings = Drawings(folder, table(folder, "ball", "halves"))
    ball = drawings.sprite(row(drawings, "ball"))
    assert ball.shape == (256, 256, 4) and ball.dtype == np.uint8
    assert ball[128, 128].tolist() == [0xDD, 0x33, 0x33, 255] and ball[0, 0, 3] == 0
    assert (ball[..., 3] > 8).any(0).all() and (ball[..., 3] > 8).any(1).all()
    assert drawings.sprite(row(drawings, "ball"), seed=3) is ball and not ball.flags.writeable
    halves = drawings.sprite(row(drawings, "halves"))
    assert halves.shape == (256, 128, 4)
    blue = drawings.sprite(row(drawings, "ball"), colour="blue")
    assert np.abs(blue[128, 128, :3].astype(int) - COLOURS["blue"]).max() <= 2


def test_aliases_mirror_and_turn(folder):
    pytest.importorskip("resvg_py")
    drawings = Drawings(folder, table(folder, "halves", "mirrored", "turned"))
    halves, mirrored, turned = (drawings.sprite(row(drawings, name)) for name in ("halves", "mirrored", "turned"))
    assert halves[128, 32, 0] > 200 and halves[128, 96, 2] > 200
    assert np.array_equal(mirrored, halves[:, ::-1])
    # Blue is left in the mirrored one; a quarter clockwise brings left to the top.
    assert turned.shape == (128, 256, 4) and turned[32, 128, 2] > 200 and turned[96, 128, 0] > 200


@pytest.mark.parametrize(("name", "said"), [("empty", "nothing of it is visible"), ("broken", "")])
def test_a_drawing_that_cannot_be_drawn_is_named(folder, name, said):
    pytest.importorskip("resvg_py")
    drawings = Drawings(folder, table(folder, name))
    with pytest.raises(UserError, match=f"drawing noto/{name} cannot be drawn: {said}"):
        drawings.sprite(row(drawings, name))


def test_without_resvg_the_extra_is_named(folder, monkeypatch):
    found = builtins.__import__

    def without(name, *rest):
        if name == "resvg_py":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    drawings = Drawings(folder, table(folder, "ball"))
    with pytest.raises(UserError, match=r"resvg-py: python -m pip install 'scenograph\[render\]'"):
        drawings.sprite(row(drawings, "ball"))


def test_our_own_drawings_are_always_there():
    pytest.importorskip("resvg_py")
    drawings = Drawings(None)
    assert drawings.rows and {one.set for one in drawings.rows} == {"own"}
    one = drawings.rows[0]
    assert isinstance(one, Drawing) and one.licence == "Apache-2.0"
    first, second = drawings.sprite(one, 1), drawings.sprite(one, 2)
    assert max(first.shape[:2]) == max(second.shape[:2]) == 256
    assert first.shape != second.shape or not np.array_equal(first, second)
    assert np.array_equal(first, Drawings(None).sprite(one, 1))


def car():
    """Body in three shades of red, black outline, gray wheel, sky-blue window, clear ground; (60, 40, 4)."""
    sprite = np.zeros((60, 40, 4), np.uint8)
    for top, colour in enumerate([(0, 0, 0), (120, 20, 20), (220, 40, 40), (220, 40, 40), (250, 90, 90), (128,) * 3]):
        sprite[top * 8 : top * 8 + 8, :, :3] = colour
    sprite[:48, :, 3] = 255
    sprite[20:24, 10:20, :3] = (90, 200, 250)
    return sprite


@pytest.mark.parametrize("colour", COLOURS)
def test_recolouring_changes_the_body_and_nothing_else(colour):
    sprite = car()
    made = recoloured(sprite, colour)
    body = np.zeros(sprite.shape[:2], bool)
    body[8:40] = True
    body[20:24, 10:20] = False
    assert np.array_equal(made[~body], sprite[~body]) and np.array_equal(made[..., 3], sprite[..., 3])
    assert np.abs(made[26, 0, :3].astype(int) - COLOURS[colour]).max() <= 1
    light = made.astype(int).sum(-1)
    assert light[10, 0] < light[26, 0] <= light[34, 0]
    assert np.array_equal(sprite, car())


def test_recolouring_what_has_no_colour():
    gray = np.full((4, 4, 4), 128, np.uint8)
    assert np.abs(recoloured(gray, "red")[..., :3].astype(int) - COLOURS["red"]).max() <= 1  # all of it is body
    assert np.array_equal(recoloured(np.zeros((4, 4, 4), np.uint8), "red"), np.zeros((4, 4, 4)))
    with pytest.raises(UserError, match="no colour 'grey' .did you mean 'gray'"):
        recoloured(gray, "grey")
