"""Options that are read by hand, and progress."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scenograph.cli import console
from scenograph.cli.console import parse_seeds, progress_bar, progress_reports, transfer_bar
from scenograph.errors import UserError


def test_seeds():
    assert parse_seeds("0-3") == [0, 1, 2, 3] and parse_seeds("7, 2,2") == [7, 2]
    for bad in ("", "a", "3-1", "1-", "-1", "0-99999", "9999999999", "9" * 5000):
        with pytest.raises(UserError, match="--seeds"):
            parse_seeds(bad)


def test_a_reader_that_has_read_enough_is_no_failure():
    command = [sys.executable, "-m", "scenograph", "data", "sources"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b"" and running.wait() == 0


@pytest.fixture
def clock(monkeypatch):
    """The seconds that progress sees, in a list of one."""
    now = [0.0]
    monkeypatch.setattr(console.errors, "get_time", lambda: now[0])
    return now


def test_progress_is_a_line_now_and_then_where_no_bar_can_be_drawn(clock, capsys):
    with progress_bar(" steps") as bar, progress_bar(quiet=True) as silent:
        task, other = bar.add_task("training", total=4000), silent.add_task("training", total=4000)
        for step in range(1, 150):
            clock[0] += 0.5
            bar.update(task, completed=step)
            silent.update(other, completed=step)
    said = [
        "training: 60 of 4,000 steps, 2 steps/s, 0:32:50 left",
        "training: 120 of 4,000 steps, 2 steps/s, 0:32:20 left",
    ]
    assert capsys.readouterr().err.splitlines() == said


def test_each_part_of_a_work_has_its_own_pace(clock, capsys):
    with progress_reports() as report:
        for done in range(61):
            clock[0] += 0.1
            report("reading", done)
        for done in range(61):
            clock[0] += 1
            report("packing", done, 60)
    assert capsys.readouterr().err.splitlines() == [
        "packing: 23 of 60, 1/s, 0:00:37 left",
        "packing: 53 of 60, 1/s, 0:00:07 left",
    ]


def test_transfers_are_told_in_bytes(clock, capsys):
    with transfer_bar() as bar:
        task = bar.add_task("coco", total=None)
        for _ in range(31):
            clock[0] += 1
            bar.advance(task, 5_000_000)
    assert capsys.readouterr().err == "coco: 150.0 MB, 5.0 MB/s\n"
