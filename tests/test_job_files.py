"""The job files in examples/cluster are what schedulers take, and the commands in them exist."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from test_documentation import fault_of

FOLDER = Path(__file__).parents[1] / "examples" / "cluster"
SLURM = sorted(FOLDER.glob("*.sbatch"))
KUBERNETES = sorted(FOLDER.glob("*.yaml"))
JOBS = {"job-name", "nodes", "ntasks", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time", "array"}
"""Options of sbatch that the files use."""


def lines_of(path: Path) -> list[list[str]]:
    """The words of the commands of a script."""
    joined = path.read_text().replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def containers_of(path: Path) -> list[list[str]]:
    """The words of the commands of a Kubernetes file."""
    found = []
    for kind in yaml.safe_load_all(path.read_text()):
        for container in kind["spec"].get("template", {}).get("spec", {}).get("containers", []):
            words = container["command"]
            found.append(shlex.split(container["args"][0]) if words[:2] == ["bash", "-c"] else words)
    return found


COMMANDS = [
    pytest.param(words, id=f"{path.name}: {words[0]}")
    for path in (*SLURM, *KUBERNETES)
    for words in (lines_of(path) if path.suffix == ".sbatch" else containers_of(path))
]


def test_there_are_files_for_both_schedulers():
    assert [path.stem for path in SLURM] == ["dask", "parts", "train"]
    assert [path.stem for path in KUBERNETES] == ["parts", "train"]


@pytest.mark.parametrize("path", SLURM, ids=lambda path: path.name)
def test_a_slurm_file_is_a_script_with_options_of_sbatch(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "#!/bin/bash"
    options = dict(line.removeprefix("#SBATCH --").split("=") for line in lines if line.startswith("#SBATCH"))
    assert options.keys() <= JOBS and {"job-name", "time"} <= options.keys()
    commands = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[commands:]), "sbatch reads none behind a command"
    if shutil.which("bash"):
        subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_a_kubernetes_file_is_an_indexed_job(path):
    kinds = {kind["kind"]: kind for kind in yaml.safe_load_all(path.read_text())}
    job = kinds["Job"]
    assert job["apiVersion"] == "batch/v1" and job["spec"]["completionMode"] == "Indexed"
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        if any("JOB_COMPLETION_INDEX" in text for text in container.get("args", ())):
            assert f"/{job['spec']['completions']}" in container["args"][0]
    if "Service" in kinds:
        service = kinds["Service"]
        assert service["spec"]["clusterIP"] is None or service["spec"]["clusterIP"] == "None"
        assert service["metadata"]["name"] == pod["subdomain"]
        assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}


@pytest.mark.parametrize("words", COMMANDS)
def test_commands_in_job_files_exist(words):
    if "scenograph" in words:
        asked = words[words.index("scenograph") + 1 :]
        assert fault_of(asked) is None
    if "torchrun" in words:
        from torch.distributed.run import get_args_parser

        given = get_args_parser().parse_args(words[words.index("torchrun") + 1 :])
        assert given.module and given.training_script == "scenograph" and given.rdzv_backend == "c10d"
    if "dask" in words:
        pytest.importorskip("distributed")
        from importlib import import_module

        name = words[words.index("dask") + 1]
        known = {one for option in import_module(f"distributed.cli.dask_{name}").main.params for one in (*option.opts, *option.secondary_opts)}  # fmt: skip
        assert {word for word in words[words.index(name) :] if word.startswith("--")} <= known


def test_the_commands_of_job_files_are_found():
    names = [word for param in COMMANDS for word in param.values[0] if word in ("scenograph", "torchrun", "dask")]
    assert names.count("scenograph") == 5 and names.count("torchrun") == 2 and names.count("dask") == 2
