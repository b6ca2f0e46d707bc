"""``scenograph data``."""

from __future__ import annotations

import json

from PIL import Image


def test_data_from_a_folder_to_a_checked_pack(scenograph, tmp_path):
    (tmp_path / "mine").mkdir()
    lines = []
    for number in range(6):
        Image.new("RGB", (40, 30), (40 * number, 0, 0)).save(tmp_path / "mine" / f"{number}.png")
        things = [{"category": "cat", "box": [0.1, 0.1, 0.5, 0.5]}, {"category": "dog", "box": [0.4, 0.4, 0.9, 0.9]}]
        lines.append(json.dumps({"image": f"{number}.png", "objects": things, "relationships": [[0, "near", 1]]}))
    (tmp_path / "mine" / "scenes.jsonl").write_text("\n".join([*lines, '{"image": "no.png", "objects": ["cat"]}']))
    code, output, _ = scenograph(
        "data", "pack", "folder", "validation_count=2", "--root", "mine", "--out", "packs/mine"
    )
    assert code == 0
    assert "validation: 2 scenes, 4 objects, 2 relations" in output
    assert "left out:       1  picture is missing or unreadable" in output
    assert "vocabulary: 2 categories, 1 predicates, no attributes" in output
    assert [path.name for path in (tmp_path / "packs").iterdir()] == ["mine"]
    code, output, _ = scenograph("data", "show", "packs/mine", "--out", "sheet.png")
    assert code == 0 and "most frequent predicates: near" in output
    assert Image.open(tmp_path / "sheet.png").width > 800
    code, output, _ = scenograph("data", "verify", "packs/mine")
    assert code == 0 and "ok: packs/mine" in output
    (tmp_path / "packs" / "mine" / "vocabulary.json").write_text('{"categories": ["cat"], "predicates": []}')
    code, output, errors = scenograph("data", "verify", "packs/mine")
    assert code == 2 and "unknown category 'dog'" in output and " 6 problems; make the pack again" in errors
    next((tmp_path / "packs" / "mine" / "train").glob("*.arrow")).unlink()
    code, output, errors = scenograph("data", "verify", "packs/mine")
    assert code == 2 and "the file is missing" in output and " 1 problem; make the pack again" in errors
    code, _, errors = scenograph("data", "pack", "folder", "--root", "mine", "--out", "packs/mine")
    assert code == 2 and "exists; delete it" in errors


def test_sources_are_listed_with_their_options(scenograph):
    code, output, _ = scenograph("data", "sources")
    assert code == 0
    for name in ("coco", "visual-genome", "clipart", "min_object_size=0.02", "drawings=required"):
        assert name in output
