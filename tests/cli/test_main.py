"""What every command does with bad input, and what its help costs."""

from __future__ import annotations

import errno
import json
import logging
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from PIL import Image

from helpers import TEXT, succeed
from scenograph.cli import main
from scenograph.errors import EXTRAS

BAD = {
    "unknown word": (["generate", "red cone"], "unknown word 'cone'"),
    "missing file": (["generate", "none.json"], "cannot read none.json: No such file"),
    "missing picture": (["generate", "none.png"], "cannot read none.png"),
    "seeds": (["generate", "cube", "--seeds", "5-1"], "--seeds '5-1'"),
    "repaint": (["generate", "cube", "--repaint", "sheep"], "--repaint: expected numbers of objects, such as 0,2"),
    "no seeds": (["generate", "cube", "--seeds", ""], "--seeds '': expected numbers and ranges"),
    "large seed": (["generate", "cube", "--seeds", "99999999999"], "99999999999 is too large; seeds go to 999999999"),
    "device": (["generate", "cube", "--device", "gpu0"], "unknown device 'gpu0'"),
    "model": (["generate", "cube", "--image", "mise-rendered"], "did you mean 'mise-rendered-64'"),
    "size": (["generate", "cube", "--size", "4000"], "Input should be less than or equal to 2048 (found '4000')"),
    "out is a file": (
        ["generate", "cube", "--steps", "1", "--out", "file.txt"],
        "cannot make folder file.txt: it is a file; choose another place",
    ),
    "self relation": (["scene", "check", "self.json"], "cannot be 'left of' itself"),
    "ten thousand": (["scene", "check", "many.json"], "10000 objects; at most 256"),
    "recipe": (["train", "sg2im-coco"], "did you mean 'sg2im-coco-64'"),
    "no pack": (["train", "tiny-mise"], "packs/tiny is not a pack"),
    "override": (["train", "tiny-mise", "training.step=3"], "training.step"),
    "system": (["import", "sg2imm", "c.pt"], "unknown system 'sg2imm' (did you mean 'sg2im'?)"),
    "torn checkpoint": (["import", "sg2im", "torn.pt"], "torn.pt: not a torch checkpoint, or cut short"),
    "pattern": (["models", "list", "x*"], "no model matches 'x*'"),
    "data set": (["data", "pack", "cocoo"], "no data set 'cocoo' (did you mean 'coco'?)"),
    "root": (["data", "pack", "coco", "--root", "nowhere"], "--root nowhere: there is no such folder"),
    "no annotations": (
        ["data", "pack", "coco", "stuff_only=false"],
        "there is no annotations/instances_train2017.json",
    ),
    "option": (["data", "pack", "coco", "presett=lama"], "presett: no such setting (did you mean 'preset'?)"),
    "option value": (["data", "pack", "coco", "preset=x"], "preset: Input should be 'sg2im', 'lama'"),
    "option form": (["data", "pack", "coco", "folder"], "'folder': expected key=value"),
    "broken scenes": (
        ["data", "pack", "clevr", "--root", "self.json", "--out", "p"],
        "expected an object with 'image_filename'",
    ),
    "download": (["data", "download", "sketchycoco"], "has no public address: it is handed out"),
    "verify": (["data", "verify", "."], "pack.json is missing"),
    "pull": (["data", "pull", "not a name", "--out", "p"], "cannot download not a name"),
    "pack": (["data", "show", "file.txt"], "is not a pack"),
    "evaluate": (["evaluate", "--pack", "nowhere"], "pack.json is missing"),
    "evaluate without data": (["evaluate"], "scenograph evaluate --pack PACK"),
    "no report": (["evaluate", "compare", "nowhere", "nowhere"], "cannot read nowhere"),
    "metric": (
        ["evaluate", "--pack", "PACK", "--metrics", "qualty"],
        "metrics.0: Input should be 'quality', 'objects'",
    ),
    "setting": (["evaluate", "--pack", "PACK", "--set", "lpip=vgg"], "no setting 'lpip' (did you mean 'lpips'?)"),
    "setting's value": (
        ["evaluate", "--pack", "PACK", "--set", "lpips=vgg19"],
        "lpips: Input should be 'alex' or 'vgg'",
    ),
    "setting's bounds": (
        ["evaluate", "--pack", "PACK", "--set", "truncation=0"],
        "protocol: truncation: Input should be greater than or equal to 0.1 (found '0')",
    ),
    "setting's form": (["evaluate", "--pack", "PACK", "--set", "lpips"], "expected SETTING=VALUE"),
    "split": (["evaluate", "--pack", "PACK", "--split", "test"], "no split 'test', which protocol"),
    "detector": (
        ["evaluate", "--pack", "PACK", "--metrics", "detection", "--detector", "a", "--detections", "b.json"],
        "give --detector a or --detections b.json, not both",
    ),
    "weights option": (["evaluate", "folders", "a", "b", "--weights", "inception"], "expected NAME=FILE"),
    "weights file": (["evaluate", "folders", "a", "b", "--weights", "inception=no.pth"], "there is no no.pth"),
    "bench": (["bench", "quality", "tiny-lama", "--pack", "nowhere"], "is not a pack"),
    "foreign picture": (["generate", "foreign.png"], "was not made by scenograph"),
    "command": (["scene", "chek"], "No such command 'chek'. Did you mean 'check'? (see scenograph scene --help)"),
    "option's name": (["generate", "cube", "--seed", "3"], "No such option: --seed (Possible options: --"),
    "option's value": (
        ["layout", "cube", "--precision", "bf32"],
        "'--precision': 'bf32' is not one of 'no', 'bf16' (see scenograph layout --help)",
    ),
    "number": (
        ["generate", "cube", "--steps", "ten"],
        "Invalid value for '--steps': Input should be a valid integer, unable to parse string as an integer (found 'ten')",
    ),
    "range": (["generate", "cube", "--steps", "0"], "Input should be greater than or equal to 1 (found '0')"),
    "no value": (
        ["generate", "cube", "--seeds"],
        "Option '--seeds' requires an argument (see scenograph generate --help)",
    ),
    "argument": (["generate"], "give a scene file, a line of text or a generated PNG, or a pack"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_exit_code_2(scenograph, tmp_path, painted, name):
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "self.json").write_text('{"objects": ["cube"], "relationships": [[0, "left of", 0]]}')
    (tmp_path / "many.json").write_text(json.dumps({"objects": ["cube"] * 10_000}))
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04 torn")
    Image.new("RGB", (4, 4)).save(tmp_path / "foreign.png")
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments, message = BAD[name]
    code, _, errors = scenograph(*(str(painted) if part == "PACK" else part for part in arguments))
    assert code == 2
    assert message in errors and errors.count("\n") == 1, errors
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_help_needs_no_torch():
    code = "import sys; import scenograph.cli.main; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_offers_no_precision_that_the_command_does_not_take(scenograph):
    assert "fp16" not in succeed(scenograph("layout", "--help"))


def test_messages_of_the_hub_which_prints_them_itself_are_not_printed_again(scenograph, monkeypatch):
    hub = logging.getLogger("huggingface_hub")
    monkeypatch.setattr(hub, "propagate", True)
    succeed(scenograph("cite", "sg2im"))
    assert not hub.propagate


def test_a_missing_package_is_named_with_its_extra(scenograph, painted, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    code, _, errors = scenograph("data", "verify", str(painted))
    assert code == 2
    assert errors == "error: this needs the package datasets: python -m pip install 'scenograph[train]'\n"


def test_extras_hold_the_packages_that_messages_name():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for package, extra in EXTRAS.items():
        assert any(one.startswith(f"{package}>=") for one in project["optional-dependencies"][extra])
        assert not any(one.startswith(package) for one in project["dependencies"])


@pytest.mark.slow
def test_generating_needs_none_of_the_extras(tmp_path):
    program = f"""
import sys
sys.modules |= dict.fromkeys({sorted({*EXTRAS, "h5py", "lancedb", "pycocotools", "transformers", "mitsuba", "resvg_py"})})
from scenograph.cli.main import app
for options in ([{TEXT!r}, "--steps", "1"], ["sheep on grass", "--draw-graph", "--draw-layout", "--layers"]):
    app(["generate", *options], standalone_mode=False)
others = (
    ["layout", {TEXT!r}], ["scene", "new", {TEXT!r}, "--out", "s.json"], ["scene", "check", "s.json"],
    ["scene", "draw", "s.json"], ["models", "list"], ["models", "info", "collage"], ["data", "sources"], ["env"],
    ["credits", "pictures/sheep-on-grass-seed0.png"], ["evaluate", "protocols"],
)
for command in others:
    app(command, standalone_mode=False)
from scenograph.errors import UserError
try:
    app(["search", "x.index", "--scene", "sheep"], standalone_mode=False)
except UserError as error:
    assert "x.index is not an index of scenes" in str(error), error
else:
    raise AssertionError("searched nothing")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 4


def test_a_broken_pipe_ends_quietly_only_where_nobody_reads_the_output(monkeypatch, capsys):
    def lost(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(main, "app", MagicMock(side_effect=lost))
    with pytest.raises(SystemExit) as refused:
        main.run()
    assert refused.value.code == 2
    assert capsys.readouterr().err == "error: Broken pipe: a process that this command needs is gone; run it again\n"
    monkeypatch.setattr(main.sys, "stdout", type("Closed", (), {"flush": lost})())
    monkeypatch.setattr(main.os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert not ended.value.code and not capsys.readouterr().err
