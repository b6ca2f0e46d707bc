"""Reading what TensorFlow 2 saves."""

from __future__ import annotations

import numpy as np
import pytest

from bundles import write_bundle
from scenograph.errors import UserError
from scenograph.models.published.tensorflow import read_bundle


@pytest.fixture
def variables():
    rng = np.random.default_rng(0)
    kinds = ("float32", "float64", "int32", "int64", "float16")
    return {
        f"model/layer_{i}/kernel": (100 * rng.normal(size=(i % 3 + 1, i % 5))).astype(kinds[i % 5]) for i in range(150)
    } | {"step": np.array(12)}


def test_variables_are_read_as_they_were_written(tmp_path, variables):
    write_bundle(tmp_path / "ckpt-1", variables)
    for path in (tmp_path / "ckpt-1.index", tmp_path / "ckpt-1"):
        found = read_bundle(path)
        assert set(found) == set(variables)
        for name, array in variables.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def test_damaged_files_are_named(tmp_path, variables):
    write_bundle(tmp_path / "ckpt-1", variables)
    index, data = tmp_path / "ckpt-1.index", tmp_path / "ckpt-1.data-00000-of-00001"
    whole, numbers = index.read_bytes(), data.read_bytes()
    for cut in (0, 10, 100, len(whole) - 1):
        index.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"ckpt-1\.index: not the index"):
            read_bundle(index)
    rng = np.random.default_rng(1)
    for _ in range(200):
        broken = bytearray(whole)
        broken[rng.integers(len(whole))] ^= int(rng.integers(1, 256))
        index.write_bytes(broken)
        try:
            read_bundle(index)
        except UserError as error:
            assert "ckpt-1" in str(error)
    index.write_bytes(whole)
    data.write_bytes(numbers[:-8])
    with pytest.raises(UserError, match="00000-of-00001: cut short"):
        read_bundle(index)
    data.unlink()
    with pytest.raises(UserError, match="00000-of-00001"):
        read_bundle(index)
