"""Layers: they make the picture, and the file holds what the format asks for."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from scenograph.scenes.openraster import Layer, merged, openraster


@pytest.fixture
def layers():
    ground = np.ones((20, 30, 4), np.float32) * np.array([0.2, 0.4, 0.6, 1], np.float32)
    half = np.ones((8, 10, 4), np.float32) * np.array([0.5, 0, 0, 0.5], np.float32)  # red, half transparent
    return [Layer("ground", 0, 0, ground), Layer("thing & <more>", 25, -4, half)]


def test_layers_lie_on_each_other(layers):
    picture = merged(layers)
    assert picture.shape == (20, 30, 3)
    np.testing.assert_allclose(picture[0, 24], [0.2, 0.4, 0.6])
    np.testing.assert_allclose(picture[3, 29], [0.6, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(picture[4, 29], [0.2, 0.4, 0.6])
    beside = [*layers, Layer("nowhere", 40, 3, layers[1].pixels)]
    np.testing.assert_array_equal(merged(beside), picture)


def test_a_file_holds_layers_and_the_whole_picture(layers):
    content = openraster(layers)
    assert content == openraster(layers)
    assert content[30:38] == b"mimetype" and content[38:54] == b"image/openraster"  # where programs look for it
    file = zipfile.ZipFile(io.BytesIO(content))
    image = ElementTree.fromstring(file.read("stack.xml"))
    assert (image.get("w"), image.get("h")) == ("30", "20")
    names = [(one.get("name"), one.get("x"), one.get("y")) for one in image.iter("layer")]
    assert names == [("thing & <more>", "25", "-4"), ("ground", "0", "0")]
    top = Image.open(io.BytesIO(file.read(image.find("stack/layer").get("src"))))
    assert (top.mode, top.size, top.getpixel((0, 0))) == ("RGBA", (10, 8), (255, 0, 0, 128))
    whole = np.asarray(Image.open(io.BytesIO(file.read("mergedimage.png"))))
    np.testing.assert_allclose(whole / 255, merged(layers), atol=0.5 / 255 + 1e-6)
    assert file.read("Thumbnails/thumbnail.png")[:4] == b"\x89PNG"


def test_names_with_control_characters_leave_the_file_readable(layers):
    file = zipfile.ZipFile(io.BytesIO(openraster([layers[0], Layer("a\x01b", 0, 0, layers[1].pixels)])))
    first = ElementTree.fromstring(file.read("stack.xml")).find("stack/layer")
    assert first is not None and first.get("name") == "a\\x01b"
