from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from scenograph.errors import UserError
from scenograph.scenes.labels import LossyLabelsError, read_label_map, remarks_on, scene_from_labels
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


LABELS = np.array([[0, 0, 1], [2, 255, 1]], np.uint8)


def tiff(path, **options):
    Image.fromarray(np.repeat(np.repeat(LABELS, 16, 0), 16, 1)).save(path, "TIFF", **options)
    return path


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("8 bits.png", Image.fromarray(LABELS)),
        ("8 bits.bmp", Image.fromarray(LABELS)),
        ("16 bits.png", Image.fromarray(LABELS.astype(np.uint16))),
        ("32 bits.tif", Image.fromarray(LABELS.astype(np.int32))),
        ("floats.tif", Image.fromarray(LABELS.astype(np.float32))),
        ("big endian.tif", Image.frombytes("I;16B", (3, 2), LABELS.astype(">u2").tobytes())),
        ("opaque.png", Image.merge("LA", (Image.fromarray(LABELS), Image.new("L", (3, 2), 255)))),
    ],
)
def test_numbers_are_read_from_every_kind_that_keeps_them(tmp_path, name, image):
    image.save(tmp_path / name)
    assert np.array_equal(read_label_map(tmp_path / name), LABELS)


def test_one_bit_is_zero_and_one_and_palettes_are_positions(tmp_path):
    Image.fromarray(LABELS > 0).save(tmp_path / "1.png")
    assert np.array_equal(read_label_map(tmp_path / "1.png"), LABELS > 0)
    painted = Image.fromarray(LABELS, "P")
    painted.putpalette([200, 10, 10] * 256)
    painted.save(tmp_path / "p.png")
    assert np.array_equal(read_label_map(tmp_path / "p.png"), LABELS)


def test_files_that_change_numbers_are_refused_by_name(tmp_path):
    for name in ("a.jpg", "a.jp2", "a.webp"):
        Image.fromarray(LABELS).convert("RGB" if name == "a.webp" else "L").save(tmp_path / name)
        with pytest.raises(
            LossyLabelsError, match=f"{name}: a (JPEG|JPEG2000|WEBP) file may hold .*; save label maps as PNG"
        ):
            read_label_map(tmp_path / name)
    with pytest.raises(LossyLabelsError, match="a TIFF compressed as JPEG may hold"):
        read_label_map(tiff(tmp_path / "jpeg.tif", compression="jpeg"))
    assert read_label_map(tiff(tmp_path / "lzw.tif", compression="tiff_lzw")).max() == 255


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.merge("RGB", [Image.fromarray(LABELS)] * 3), "mode RGB; .* all of it is gray: save it as gray"),
        (Image.new("RGB", (3, 2), (128, 0, 0)), "mode RGB; a label map has one number per pixel, not colours"),
        (Image.new("RGBA", (3, 2), (128, 0, 0, 9)), "mode RGBA; a label map has one number per pixel, not colours"),
        (Image.new("LA", (3, 2), (1, 0)), "has transparent pixels"),
        (Image.fromarray(np.full((2, 2), 0.5, np.float32)), "has numbers that are not whole"),
        (Image.fromarray(np.full((2, 2), np.nan, np.float32)), "has numbers that are not whole"),
    ],
)
def test_other_pictures_are_told_what_is_wrong_with_them(tmp_path, image, said):
    path = tmp_path / ("a.tif" if image.mode == "F" else "a.png")
    image.save(path)
    with pytest.raises(UserError, match=said):
        read_label_map(path)


def test_maps_that_are_largely_nothing_are_remarked():
    few, many = ("sky", "road"), names(256).categories
    assert remarks_on(LABELS, few) == []
    assert remarks_on(np.array([[0, 1]]), many) == []
    assert remarks_on(np.array([[1, 255]]), few) == ["half or more of the label map is 255, which is nothing"]
    assert remarks_on(np.array([[0, 0, 255]]), few) == [
        "label map has 0 and 255 alone, which is nothing: masks of two classes have 0 and 1"
    ]
    assert len(remarks_on(np.array([[0, 255]]), few)) == 2
    assert remarks_on(LABELS, many) == ["label 255 is nothing, though the classes name it"]
