"""The search model that ships finds scenes by sketches of a hand that it has not learned from."""

from __future__ import annotations

import pytest
import torch

from scenograph.data.pack import write_pack
from scenograph.data.picture_book.render import PictureBookSettings, render_picture_book
from scenograph.data.picture_book.source import PictureBook, PictureBookOptions
from scenograph.evaluation.scene_search import Gallery, search_scenes, searcher
from scenograph.evaluation.search_protocols import find_search_protocol


@pytest.mark.slow
def test_the_shipped_encoder_finds_rendered_scenes(tmp_path):
    settings = PictureBookSettings(size=96, split="test", seed=5)
    list(render_picture_book(tmp_path / "set", range(40), settings, None, workers=1))
    source = PictureBook(tmp_path / "set", PictureBookOptions(crops=False, hand="loose"), tmp_path)
    write_pack(tmp_path / "pack", source)
    protocol = find_search_protocol(None, tmp_path / "pack", {})
    assert protocol.name == "picture-book-sketch"
    gallery = Gallery.of(tmp_path / "pack", protocol)
    found = search_scenes(searcher("scene-search-picture-book", torch.device("cpu")), gallery, protocol)
    figures = {figure.name: figure.value for figure in found.groups["all"]}
    assert figures["top_1"] > 0.8 and figures["top_5"] > 0.9 and found.groups["mirror image"][0].value > 0.9
