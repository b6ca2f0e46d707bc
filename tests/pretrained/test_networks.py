from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers import tiny
from scenograph.errors import UserError
from scenograph.pretrained import networks
from scenograph.pretrained.networks import load_inception, load_perceptual_distance, load_vgg19
from scenograph.training.objectives import OBJECTIVES


def test_inception_files_of_something_else_are_refused(tmp_path):
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other.pth: the weights do not fit .* missing"):
        load_inception(tmp_path / "other.pth")


def test_missing_weights_say_which_file_goes_where(tmp_path, monkeypatch):
    monkeypatch.setattr(networks.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setitem(
        networks.WEIGHTS, "inception", replace(networks.WEIGHTS["inception"], url="http://127.0.0.1:9/inception.pth")
    )
    with pytest.raises(UserError, match=r"cannot fetch http://127.0.0.1:9/inception.pth: .* put it at .*inception.pth"):
        load_inception()
    torch.save({"lin0.model.1.weight": torch.ones(1, 64, 1, 1)}, tmp_path / "heads.pth")
    with pytest.raises(UserError, match="not the heads of LPIPS: it holds no weights 'lin1"):
        load_perceptual_distance("alex", None, tmp_path / "heads.pth")


def test_a_download_with_another_checksum_is_refused(tmp_path, monkeypatch):
    (tmp_path / "published.pth").write_bytes(b"not what was published")
    monkeypatch.setattr(networks.hub, "get_dir", lambda: str(tmp_path))
    url = (tmp_path / "published.pth").as_uri()
    monkeypatch.setitem(networks.WEIGHTS, "inception", replace(networks.WEIGHTS["inception"], url=url, name="i.pth"))
    with pytest.raises(UserError, match="invalid hash value"):
        load_inception()
    assert not (tmp_path / "checkpoints" / "i.pth").exists()


@pytest.mark.parametrize("name", ["lostgan", "spade"])
def test_objectives_fetch_networks_when_a_run_begins_and_not_before(tmp_path, monkeypatch, name):
    monkeypatch.setattr(networks.hub, "get_dir", lambda: str(tmp_path))
    unreachable = replace(networks.WEIGHTS["vgg19"], url="http://127.0.0.1:9/vgg19.pth")
    monkeypatch.setitem(networks.WEIGHTS, "vgg19", unreachable)
    kind = OBJECTIVES[name]
    plain = kind.Config.tiny()
    assert not list(kind(plain, tiny(name)).downloads())
    objective = kind(plain.model_copy(update={"feature_weight": 1.0}), tiny(name))
    (download,) = objective.downloads()
    assert (download.name, download.url, download.size) == ("vgg19.pth", unreachable.url, "575 MB")
    with pytest.raises(UserError, match="cannot fetch http://127.0.0.1:9/vgg19.pth"):
        objective.load_networks()
    own = kind(plain.model_copy(update={"feature_weight": 1.0, "vgg_file": tmp_path / "own.pth"}), tiny(name))
    assert not list(own.downloads())


def test_vgg_files_are_checked(tmp_path):
    torch.save({"features.0.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "v.pth")
    with pytest.raises(UserError, match="not vgg19: it holds no weights 'features.0.weight'"):
        load_vgg19(tmp_path / "v.pth")
