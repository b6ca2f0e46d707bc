"""Picture files of every kind, as packs and evaluation read them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scenograph.data.pictures import decode_rgb, encode_picture, files_in, picture_size, read_rgb
from scenograph.data.records import Skip
from scenograph.errors import UserError

RAMP = np.linspace(0, 1, 48).reshape(6, 8)
SHADES = (RAMP * 255).round()


def save(path: Path, image: Image.Image | bytes, **options) -> Path:
    if isinstance(image, bytes):
        path.write_bytes(image)
    else:
        image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("float to 1.tif", RAMP.astype(np.float32)),
        ("float to 255.tif", (RAMP * 255).astype(np.float32)),
        ("float to 65535.tif", (RAMP * 65535).astype(np.float32)),
        ("int to 255.tif", SHADES.astype(np.int32)),
        ("int to 65535.tif", (SHADES * 257).astype(np.int32)),
        ("16 bits.png", (SHADES * 257).astype(np.uint16)),
        ("16 bits.tif", (SHADES * 257).astype(np.uint16)),
        ("16 bits.pgm", (SHADES * 257).astype(np.uint16)),
        ("8 bits.webp", np.repeat(SHADES.astype(np.uint8)[..., None], 3, axis=2)),
    ],
)
def test_shades_do_not_depend_on_how_many_bits_hold_them(tmp_path, name, pixels):
    path = save(tmp_path / name, Image.fromarray(pixels), **({"lossless": True} if name.endswith("webp") else {}))
    read = np.asarray(decode_rgb(path))
    assert np.array_equal(read, np.repeat(SHADES[..., None], 3, axis=2))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_picture(path, None)))), read)


def test_wide_numbers_are_not_taken_for_narrow_ones(tmp_path):
    dark = Image.fromarray(np.full((4, 4), 200, np.uint16))
    assert decode_rgb(save(tmp_path / "dark.png", dark)).getpixel((0, 0)) == (1, 1, 1)
    big_endian = Image.frombytes("I;16B", (2, 1), b"\x00\x00\xff\xff")
    assert np.asarray(decode_rgb(save(tmp_path / "b.tif", big_endian)))[0, :, 0].tolist() == [0, 255]
    inverted = Image.fromarray(np.array([[0, 65535]], np.uint16))
    path = save(tmp_path / "white is zero.tif", inverted, tiffinfo={262: 0})
    assert np.asarray(decode_rgb(path))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("pixels", "range_"),
    [
        (np.array([[-1000, 1000]], np.int32), "-1000 to 1000"),
        (np.array([[0, 2_000_000_000]], np.int32), "0 to 2e[+]09"),
        (np.array([[-0.5, 0.5]], np.float32), "-0.5 to 0.5"),
        (np.array([[np.nan, 0.5]], np.float32), "nan"),
        (np.array([[0, np.inf]], np.float32), "inf"),
    ],
)
def test_numbers_that_are_no_shades_are_said(tmp_path, pixels, range_):
    path = save(tmp_path / "x.tif", Image.fromarray(pixels))
    with pytest.raises(Skip, match="picture has numbers that are no shades: not from 0 to 65535") as caught:
        encode_picture(path, None)
    assert str(path) in caught.value.example
    with pytest.raises(UserError, match="x.tif: picture has numbers that are no shades"):
        read_rgb(path)


def test_every_kind_of_transparency_is_over_white(tmp_path):
    palette = Image.new("P", (4, 4), 3)
    palette.putpalette([10] * 768)
    for name, image, options in [
        ("rgba.png", Image.new("RGBA", (4, 4), (255, 0, 0, 0)), {}),
        ("rgba.webp", Image.new("RGBA", (4, 4), (255, 0, 0, 0)), {"lossless": True}),
        ("la.png", Image.new("LA", (4, 4), (9, 0)), {}),
        ("palette.png", palette, {"transparency": 3}),
        ("one gray.png", Image.new("L", (4, 4), 9), {"transparency": 9}),
        ("one colour.png", Image.new("RGB", (4, 4), (1, 2, 3)), {"transparency": (1, 2, 3)}),
    ]:
        path = save(tmp_path / name, image, **options)
        assert decode_rgb(path).getpixel((0, 0)) == (255, 255, 255), name
        assert Image.open(io.BytesIO(encode_picture(path, None))).convert("RGB").getpixel((0, 0)) == (255,) * 3, name


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(80), r"a kind of picture that cannot be read here \(HEIC\)"),
        (b"\xff\x0a1234", r"a kind of picture that cannot be read here \(JPEG XL\)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", r"cannot be read here \(EPS\)"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', r"cannot be read here \(SVG\)"),
        (b"II*\0" + b"\xff" * 20, r"cannot be read here \(TIFF of a rare form, or damaged\)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "picture is a Git LFS pointer: git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "picture is a web page"),
        (b"", "picture is empty"),
        (b"text", "picture is damaged or not a picture"),
    ],
)
def test_files_that_are_no_readable_pictures_are_called_what_they_are(tmp_path, content, said):
    path = save(tmp_path / "a.jpg", content)
    for read in (lambda: encode_picture(path, 64), lambda: decode_rgb(path), lambda: picture_size(path)):
        with pytest.raises(Skip, match=said) as caught:
            read()
        assert str(path) in caught.value.example
    with pytest.raises(Skip, match=said):
        encode_picture(content, 64)


def test_rotation_is_applied_whatever_the_kind_and_damage_to_it_loses_no_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = save(tmp_path / "16.png", Image.fromarray(np.full((4, 8), 257 * 7, np.uint16)), exif=exif)
    assert decode_rgb(wide).size == (4, 8) and decode_rgb(wide).getpixel((0, 0)) == (7, 7, 7)
    assert picture_size(wide) == (8, 4) and picture_size(wide, upright=True) == (4, 8)
    stream = io.BytesIO()
    Image.new("RGB", (8, 4), "blue").save(stream, "JPEG", exif=exif)
    damaged = bytearray(stream.getvalue())
    place = damaged.index(b"Exif") + 6
    damaged[place : place + 24] = b"\xff" * 24
    assert decode_rgb(bytes(damaged)).size == (8, 4)


def test_hidden_files_are_no_files_of_a_folder(tmp_path):
    for name in (
        "b.png",
        "._b.png",
        ".DS_Store",
        "sub/a.png",
        "sub/._a.png",
        ".ipynb_checkpoints/c.png",
        "__MACOSX/._b.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [str(path.relative_to(tmp_path)) for path in files_in(tmp_path)] == ["b.png", "sub/a.png"]
