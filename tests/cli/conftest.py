"""A command line in an empty folder."""

from __future__ import annotations

import sys

import pytest

from scenograph.cli.main import run


@pytest.fixture
def scenograph(monkeypatch, capsys, tmp_path):
    """Runs a command in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["scenograph", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            run()
        output = capsys.readouterr()
        return int(caught.value.code or 0), output.out, output.err

    return command
