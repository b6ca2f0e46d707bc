"""Files of LabelMe and X-AnyLabeling as they are met: every kind of shape, and fields that are missing or wrong."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scenograph.data.folder import FolderOptions
from scenograph.data.labelme import LabelMe
from scenograph.data.records import Skip
from scenograph.data.source import Sample


def png(image: Image.Image | np.ndarray) -> str:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def square(x: float, y: float, side: float = 10) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


def shape(label: Any, points: Any, kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, **more}


@pytest.fixture
def read(tmp_path):
    """Reads an annotation of the shapes, whose other fields may be changed (or left out: ...)."""

    def run(*shapes: Any, picture: str | None = "a.png", file: str = "a.json", **fields: Any) -> Sample:
        if picture is not None:
            (tmp_path / picture).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (80, 60), "blue").save(tmp_path / picture)
        record = {"imagePath": "a.png", "imageData": None, "imageWidth": 80, "imageHeight": 60, "shapes": list(shapes)}
        record = {name: value for name, value in (record | fields).items() if value is not ...}
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(json.dumps(record))
        source = LabelMe(tmp_path, FolderOptions(), tmp_path)
        source.plan(lambda *_: None)
        return source.read(str(tmp_path / file))

    return run


def only(sample: Sample) -> Any:
    (thing,) = sample.scene.objects
    return thing


def test_masks_lie_between_two_corners_that_are_inside(read):
    mask = np.zeros((21, 31), bool)
    mask[5:16, 5:26] = True
    for picture in (Image.fromarray(mask), mask.astype(np.uint8), mask.astype(np.uint8) * 255):
        for corners in ([[10, 10], [40, 30]], [[40, 30], [10, 10]]):
            thing = only(read(shape("cat", corners, "mask", mask=png(picture))))
            assert np.allclose(thing.box, [10 / 80, 10 / 60, 41 / 80, 31 / 60])
            assert thing.mask.shape == (21, 31) and np.array_equal(thing.mask, mask)


def test_masks_of_the_whole_picture_and_at_its_edge(read):
    whole = np.zeros((60, 80), np.uint8)
    whole[10:20, 30:40] = 255
    thing = only(read(shape("cat", [[30, 10], [39, 19]], "mask", mask=png(whole))))
    assert np.allclose(thing.box, [30 / 80, 10 / 60, 40 / 80, 20 / 60]) and thing.mask.all()
    thing = only(read(shape("cat", [[70, -5], [89, 4]], "mask", mask=png(np.full((10, 20), 255, np.uint8)))))
    assert np.allclose(thing.box, [70 / 80, 0, 1, 5 / 60]) and thing.mask.shape == (5, 10)
    thing = only(read(shape("cat", [[-9, -5], [39, 19]], "mask", mask=png(whole))))
    assert np.allclose(thing.box, [0, 0, 40 / 80, 20 / 60])
    assert thing.mask.shape == (20, 40) and thing.mask[10:, 30:].all() and thing.mask.sum() == 100


@pytest.mark.parametrize(
    ("points", "kind"),
    [(square(-30, 0, 60), "polygon"), ([[-30, 0], [30, 60]], "rectangle"), ([[0, 30], [30, 30]], "circle")],
)
def test_shapes_that_reach_out_of_the_picture_are_clipped_and_noted(read, points, kind):
    sample = read(shape("cat", points, kind))
    assert np.allclose(only(sample).box, [0, 0, 30 / 80, 1])
    assert sample.remarks == ("shape reaches out of the picture: it is clipped",)
    if kind == "polygon":
        assert only(sample).mask.all() and only(sample).mask.shape == (60, 30)


@pytest.mark.parametrize(
    ("mask", "remark"),
    [
        (png(np.zeros((3, 3), np.uint8)), "shape is empty or outside the picture"),
        (png(np.ones((300, 300), np.uint8)), "mask is larger than the picture"),
        ("no base64", "mask cannot be read"),
        (base64.b64encode(b"no picture").decode(), "mask cannot be read"),
        (None, "mask cannot be read"),
        ([[1]], "mask cannot be read"),
    ],
)
def test_masks_that_are_none_are_remarked(read, mask, remark):
    sample = read(shape("cat", [[1, 1], [3, 3]], "mask", mask=mask), shape("cat", square(1, 1)))
    assert sample.remarks == (remark,) and len(sample.scene.objects) == 1


@pytest.mark.parametrize("kind", ["rotation", "oriented_rectangle", "quadrilateral", "polygon", None])
def test_corners_of_rotated_shapes_make_a_polygon(read, kind):
    thing = only(read(shape("ship", [[50, 10], [70, 20], [65, 30], [45, 20]], kind)))
    assert np.allclose(thing.box, [45 / 80, 10 / 60, 70 / 80, 30 / 60])
    assert thing.mask.shape == (20, 25) and 200 < thing.mask.sum() < 300


def test_shapes_of_one_group_and_label_are_one_object(read):
    sample = read(
        shape("cow", square(10, 10), group_id=1),
        shape("post", square(20, 10), group_id=1),
        shape("cow", square(30, 10), group_id=1),
        shape("cow", square(60, 40), group_id=2),
        shape("cow", square(60, 10)),
        shape("cow", [[1, 40], [5, 44]], "rectangle", group_id=[3]),
        shape("cow", [[7, 40], [9, 44]], "rectangle", group_id=[3]),
    )
    first, post, second, third, fourth = sample.scene.objects
    assert np.allclose(first.box, [10 / 80, 10 / 60, 40 / 80, 20 / 60])
    assert first.mask.shape == (10, 30) and first.mask.sum() == 200 and not first.mask[:, 10:20].any()
    assert post.category == "post" and second.mask.sum() == third.mask.sum() == 100
    assert np.allclose(fourth.box, [1 / 80, 40 / 60, 9 / 80, 44 / 60]) and fourth.mask.sum() == 16 + 8


@pytest.mark.parametrize("size", [..., None, 0, "wide", float("nan"), float("inf"), 1e300, 900_000_000, [80]])
def test_sizes_that_are_none_are_the_pictures(read, size):
    sample = read(shape("cow", square(10, 10)), imageWidth=size)
    assert np.allclose(only(sample).box, [10 / 80, 10 / 60, 20 / 80, 20 / 60]) and sample.size == (80, 60)
    assert sample.remarks == ("annotation states no size: the picture's is taken",)


def test_sizes_as_text_or_fractions_are_sizes(read):
    sample = read(shape("cow", square(10, 10)), imageWidth="80", imageHeight=60.0)
    assert sample.size == (80, 60) and sample.remarks == ()


def test_sizes_of_turned_pictures_are_those_that_viewers_show(read, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 60)).save(tmp_path / "t.jpg", exif=exif)
    sample = read(shape("cow", square(10, 10)), imagePath="t.jpg", imageWidth=..., imageHeight=..., picture=None)
    assert sample.size == (60, 80)


def test_pictures_inside_the_annotation(read, tmp_path):
    inside = png(Image.new("RGB", (80, 60), "red"))
    for data in (inside, f"data:image/png;base64,{inside}"):
        sample = read(shape("cow", square(1, 1)), imageData=data, imagePath="gone.png", imageWidth=..., picture=None)
        assert sample.picture == base64.b64decode(inside) and sample.size == (80, 60)
    for data in ("damaged", base64.b64encode(b"damaged").decode()):
        sample = read(shape("cow", square(1, 1)), imageData=data)
        assert sample.picture == tmp_path / "a.png"
        assert sample.remarks == ("picture inside the annotation is damaged: its file is taken",)


@pytest.mark.parametrize(
    ("picture", "file", "stated"),
    [
        ("a.png", "a.json", r"C:\Users\me\pics\a.png"),
        ("a.png", "a.json", "/home/me/pics/a.png"),
        ("images/a.png", "labels/a.json", "a.png"),
        ("images/a.png", "labels/a.json", r"..\images\a.png"),
        ("deep/er/a.png", "a.json", "a.png"),
    ],
)
def test_pictures_are_found_wherever_tools_put_them(read, tmp_path, picture, file, stated):
    sample = read(shape("cow", square(1, 1)), picture=picture, file=file, imagePath=stated)
    assert isinstance(sample.picture, Path) and sample.picture.resolve() == (tmp_path / picture).resolve()


@pytest.mark.parametrize("stated", ["renamed.png", "", None, ..., 5, "\0"])
def test_a_picture_of_the_annotations_own_name_is_its_picture(read, tmp_path, stated):
    sample = read(shape("cow", square(1, 1)), imagePath=stated)
    assert sample.picture == tmp_path / "a.png"
    assert sample.remarks == ("picture of the annotation's own name is taken, not of the one it states",)
    with pytest.raises(Skip):
        read(shape("cow", square(1, 1)), imagePath=stated, picture=None, file="b.json")


def test_pictures_and_annotations_outside_the_root_are_not_read(read, tmp_path):
    Image.new("RGB", (80, 60)).save(tmp_path.parent / "secret.png")
    with pytest.raises(Skip, match="outside the root") as caught:
        read(shape("cow", square(1, 1)), imagePath="../secret.png", picture=None)
    assert "secret.png" in caught.value.example
    (tmp_path.parent / "other.json").write_text(json.dumps({"shapes": [shape("secret", square(1, 1))]}))
    (tmp_path / "link.json").symlink_to(tmp_path.parent / "other.json")
    source = LabelMe(tmp_path, FolderOptions(), tmp_path)
    assert source.plan(lambda *_: None).vocabulary.categories == ("cow",)


def test_one_bad_shape_loses_no_other(read):
    good = shape("cow", square(10, 10))
    bad = {
        "shape has no label": [shape(None, square(1, 1)), shape("", square(1, 1)), shape(["a"], square(1, 1)), None, 5],
        "shape has no list of points": [
            shape("cow", value) for value in (None, [], [[1]], [[1, "a"]], [[1, float("nan")]] * 3, [[0, 10**400]] * 3)
        ],
        "shape of kind 'line' has no area": [shape("cow", [[5, 5], [20, 20]], "line")],
        "shape of kind 'polygon' has no area": [shape("cow", [[5, 5], [20, 20]])],
        "shape of kind 'cuboid' with 4 points cannot be read": [shape("cow", square(1, 1), "cuboid")],
        "shape is empty or outside the picture": [shape("cow", square(100, 100)), shape("cow", [[1, 1]] * 3)],
    }
    for remark, shapes in bad.items():
        sample = read(*shapes, good)
        assert len(sample.scene.objects) == 1 and sample.remarks == (remark,) * len(shapes), remark


def test_files_without_an_object_say_why(read):
    with pytest.raises(Skip, match="no shape is an object: shape has no label"):
        read(shape(None, square(1, 1)))
    with pytest.raises(Skip, match="annotation has no shapes"):
        read()


def test_labels_that_are_numbers_are_names(read):
    assert only(read(shape(7, square(1, 1)))).category == "7"


def test_files_that_are_no_annotations(tmp_path):
    contents = {
        "list": (b"[]", "file is not a LabelMe annotation"),
        "coco": (b'{"images": [], "annotations": []}', "file is not a LabelMe annotation"),
        "broken": (b"{", "file is not a LabelMe annotation"),
        "deep": (b"[" * 100_000, "file is not a LabelMe annotation"),
        "gbk": ('{"shapes": [], "text": "沙发上的猫"}'.encode("gbk"), "file is not UTF-8 text"),
    }
    for name, (content, _) in contents.items():
        (tmp_path / f"{name}.json").write_bytes(content)
    (tmp_path / "._list.json").write_bytes(b"\0\5\x16\7")
    source = LabelMe(tmp_path, FolderOptions(), tmp_path)
    assert [path.stem for path in source.files] == sorted(contents)
    source.plan(lambda *_: None)
    for name, (_, said) in contents.items():
        with pytest.raises(Skip, match=said) as caught:
            source.read(str(tmp_path / f"{name}.json"))
        assert f"{name}.json" in caught.value.example


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_byte_order_are_no_part_of_the_text(tmp_path, encoding):
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    record = {"imagePath": "a.png", "imageWidth": 80, "imageHeight": 60, "shapes": [shape("猫", square(1, 1))]}
    (tmp_path / "a.json").write_text(json.dumps(record, ensure_ascii=False), encoding=encoding)
    source = LabelMe(tmp_path, FolderOptions(), Path())
    assert source.plan(lambda *_: None).vocabulary.categories == ("猫",)
    assert only(source.read(str(tmp_path / "a.json"))).category == "猫"


def test_masks_that_would_fill_the_memory_are_left_out(read, monkeypatch):
    monkeypatch.setattr("scenograph.data.labelme.MAX_MASKS", 250)
    with pytest.raises(Skip, match="masks of a picture are too large"):
        read(*[shape("cow", square(1, 1))] * 3)
