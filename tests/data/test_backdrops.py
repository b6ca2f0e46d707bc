"""Backdrops of the picture-book world: exact labels, ranges, habitats and determinism."""

import numpy as np
import pytest

from scenograph.data.picture_book.backdrops import WORLDS, Light
from scenograph.data.picture_book.noise import Plane, flat_noise, mix
from scenograph.data.picture_book.surfaces import INDOORS, UPRIGHT
from scenograph.data.picture_book.textures import GROUNDS, SCENERY, paint
from scenograph.data.vocabularies import coco_ids

DAY = Light("day", (1.0, 1.0, 1.0), 1.0)
HABITATS = {"ground", "water", "air", "road", "snow", "table", "floor", "wall"}
EXPECTED = {
    **{name: {"ground", "air"} for name in ("meadow", "farm", "forest", "savanna", "park", "field")},
    "sea": {"water", "air"},
    "beach": {"water", "ground", "air"},
    "river": {"water", "ground", "air"},
    "street": {"road", "ground", "air"},
    "city": {"road", "ground", "air"},
    "railway": {"road", "ground", "air"},
    "snow": {"snow", "ground", "air"},
    "kitchen": {"table", "floor", "wall"},
    "living room": {"floor", "wall"},
    "sky": {"air"},
}
SHOWN = {
    "meadow": "grass",
    "farm": "dirt",
    "forest": "leaves",
    "savanna": "grass",
    "sea": "sea",
    "beach": "sand",
    "river": "river",
    "street": "road",
    "city": "pavement",
    "snow": "snow",
    "park": "grass",
    "field": "playingfield",
    "railway": "railroad",
    "sky": "sky-other",
}


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize(("side", "seeds"), [(64, range(8)), (128, range(3))])
def test_every_world_is_known_exactly(name, side, seeds):
    for seed in seeds:
        backdrop = WORLDS[name](side, np.random.default_rng(seed))
        assert backdrop.pixels.shape == (side, side, 3)
        assert backdrop.pixels.dtype == np.float32
        assert backdrop.pixels.min() >= 0
        assert backdrop.pixels.max() <= 1
        assert backdrop.pixels.std() > 0.01
        assert backdrop.labels.shape == (side, side)
        assert backdrop.labels.dtype == np.int16
        shares = np.bincount(backdrop.labels.ravel(), minlength=len(backdrop.names)) / side**2
        assert len(shares) == len(backdrop.names) == len(set(backdrop.names))
        assert shares.min() >= 0.01
        assert 0.3 <= backdrop.horizon <= 0.6
        assert EXPECTED[name] <= set(backdrop.grounds) <= HABITATS
        for habitat in backdrop.grounds.values():
            assert habitat.shape == (side, side)
            assert habitat.dtype == bool
        for habitat in EXPECTED[name]:
            assert backdrop.grounds[habitat].mean() > 0.01
        if name in SHOWN:
            assert SHOWN[name] in backdrop.names


@pytest.mark.parametrize("name", WORLDS)
def test_a_seed_decides_everything(name):
    first, again, other = (WORLDS[name](64, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.labels, again.labels)
    assert first.names == again.names
    assert first.light == again.light
    assert not np.array_equal(first.pixels, other.pixels)


@pytest.mark.parametrize("name", WORLDS)
def test_sizes_show_the_same_scene(name):
    small, large = (WORLDS[name](side, np.random.default_rng(5)) for side in (64, 128))
    assert small.horizon == large.horizon
    assert small.light == large.light
    common = set(small.names) & set(large.names)
    assert len(common) >= max(len(small.names), len(large.names)) - 1
    reduced = large.labels[::2, ::2]
    same = np.array(small.names)[small.labels] == np.array(large.names)[reduced]
    assert same.mean() > 0.85


def test_feet_stand_below_the_horizon():
    for name in ("meadow", "street", "snow", "sea"):
        backdrop = WORLDS[name](64, np.random.default_rng(1))
        for habitat, mask in backdrop.grounds.items():
            if habitat not in ("air", "wall"):
                assert np.nonzero(mask)[0].min() / 64 >= backdrop.horizon


def test_names_are_of_the_coco_vocabulary():
    known = set(coco_ids())
    for name, world in WORLDS.items():
        for seed in range(12):
            assert set(world(64, np.random.default_rng(seed)).names) <= known, name


@pytest.mark.parametrize("category", ["sky-other", *GROUNDS, *SCENERY, *INDOORS, *UPRIGHT])
def test_textures(category):
    for light in (DAY, Light("dusk", (1.0, 0.8, 0.7), 0.8), Light("night", (0.5, 0.6, 0.8), 0.9)):
        pixels = paint(category, 64, np.random.default_rng(0), light, 0.4)
        assert pixels.shape == (64, 64, 3)
        assert pixels.dtype == np.float32
        assert 0 <= pixels.min() < pixels.max() <= 1
    assert np.array_equal(pixels, paint(category, 64, np.random.default_rng(0), light, 0.4))


def test_an_unknown_texture():
    with pytest.raises(KeyError):
        paint("zebra", 64, np.random.default_rng(0), DAY, 0.4)


def test_light_multiplies():
    assert np.allclose(Light("dusk", (1.0, 0.5, 0.0), 0.5).factor(), [1.0, 0.75, 0.5])


def test_features_get_finer_towards_the_horizon():
    plane = Plane.of(256, 0.4, 0.1)
    sizes = plane.across_pixels(10)[:, 0]
    assert (np.diff(sizes) > 0).all()
    noise = plane.noise(np.random.default_rng(0), 6, 3)
    assert noise.shape == (256 - plane.top, 256)
    assert abs(noise.mean()) < 0.2
    assert noise[-20:].std() > 0.2


def test_noise_and_mixtures():
    noise = flat_noise(np.random.default_rng(0), (32, 48), (4, 6))
    assert noise.shape == (32, 48)
    assert 0 <= noise.min() < noise.max() <= 1
    black, white = np.zeros(3, np.float32), np.ones(3, np.float32)
    assert np.allclose(mix(black, white, noise), noise[..., None])
    assert np.allclose(mix(black, white, 0.25), 0.25)
