from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from scenograph.errors import UserError
from scenograph.scenes.labels import read_label_map, scene_from_labels
from scenograph.scenes.vocabulary import Vocabulary


def names(count):
    return Vocabulary(tuple(f"label {number}" for number in range(count)), ())


VOCABULARY = names(5)


@pytest.mark.parametrize(
    ("labels", "instances", "message"),
    [
        (np.full((4, 4), 9), None, "label 9 has no name; the vocabulary names 0 to 4"),
        (np.full((4, 4), 255), None, "no pixel has a label"),
        (np.zeros((4, 4), int), np.zeros((4, 5), int), "4 x 4 labels but 5 x 4 instances"),
        (np.zeros((20, 20), int), np.arange(400).reshape(20, 20), "400 objects; at most 256"),
    ],
)
def test_bad_label_maps(labels, instances, message):
    with pytest.raises(UserError, match=message):
        scene_from_labels(labels, VOCABULARY.categories, instances)


def test_pictures_in_colours_are_no_label_maps(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    with pytest.raises(UserError, match="a picture of mode RGB; a label map has one number per pixel"):
        read_label_map(tmp_path / "photo.png")
    (tmp_path / "broken.png").write_bytes(b"x")
    with pytest.raises(UserError, match="cannot read"):
        read_label_map(tmp_path / "broken.png")
