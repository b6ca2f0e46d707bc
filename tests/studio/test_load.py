"""Many clients at once, some of which vanish or send nonsense: no answer is lost or mixed up, and memory stays."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from scenograph.studio.client import Studio, StudioError
from studio_scenes import MEADOW

REQUESTS = int(os.environ.get("SCENOGRAPH_LOAD", "1000"))
CLIENTS = 50
SECONDS = 600
GROWTH = 60
"""Megabytes that the service may have grown between a tenth of the requests and the end."""
KINDS = {
    "picture": 0.5,
    "text": 0.2,
    "job": 0.06,
    "vanishes": 0.1,
    "malformed": 0.08,
    "oversized": 0.02,
    "foreign": 0.04,
}


@pytest.fixture
def server(tmp_path):
    """A service in a process of its own, and the address that it says."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-m", "scenograph", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as process:
        try:
            yield process, process.stdout.readline().split()[4]
        finally:
            process.kill()


def megabytes(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def sent(port, body, headers):
    """The status and the error code of a raw request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request("POST", "/v1/pictures", body, {"Content-Type": "application/json"} | headers)
    answer = connection.getresponse()
    code = json.loads(answer.read())["error"]["code"]
    connection.close()
    return answer.status, code


def one_request(studio, port, number, kind):
    """Send a request; what came of it is what is expected, or the request was lost or mixed up with another."""
    rng = np.random.default_rng(number)
    size, scene = int(rng.integers(16, 20)), json.loads(json.dumps(MEADOW))
    scene["objects"][0]["box"][0] = round(float(rng.uniform(0.05, 0.3)), 4)
    if kind == "picture":
        picture = studio.picture(scene, seed=number, size=size)
        record = studio.record(picture.png)
        assert (record["seed"], record["options"], record["scene"]) == (number, {"size": size}, scene)
        assert int.from_bytes(picture.png[16:20]) == size
    elif kind == "text":
        scene = studio.scene(f"{number % 50 + 2} sheep")
        assert scene["objects"] == ["sheep"] * (number % 50 + 2)
    elif kind == "job":
        told = list(studio.watch("picture", scene=scene, seed=number, size=size))
        assert studio.record(base64.b64decode(told[-1][1]["picture"]))["seed"] == number
    elif kind == "vanishes":
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            body = json.dumps({"scene": scene, "size": size}).encode()
            head = "POST /v1/pictures HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
            connection.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body[: int(rng.integers(0, len(body) + 1))])
    elif kind == "malformed":
        assert sent(port, b'{"scene": {"objects": [', {}) == (400, "bad_json")
    elif kind == "oversized":
        assert sent(port, b" " * (8 * 2**20 + 1), {}) == (413, "too_large")
    else:
        assert sent(port, b"{}", {"Origin": "https://example.com"}) == (403, "cross_site")
    return kind


def patiently(studio, port, number, kind):
    """As :func:`one_request`; a job that a full queue refuses is begun again, as the client does with the rest."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            return one_request(studio, port, number, kind)
        except StudioError as error:
            if error.status != 429 or time.monotonic() > until:
                raise


@pytest.mark.slow
def test_a_thousand_requests_of_fifty_clients(server):
    process, address = server
    port = int(address.rstrip("/").rpartition(":")[2])
    studio = Studio(address, timeout=SECONDS, patience=SECONDS)
    kinds = np.random.default_rng(0).choice(list(KINDS), REQUESTS, p=list(KINDS.values())).tolist()
    warm = max(REQUESTS // 10, CLIENTS)
    done = Counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for part in (range(warm), range(warm, REQUESTS)):
            done.update(pool.map(lambda number: patiently(studio, port, number, kinds[number]), part))
            if part.start == 0:
                before = megabytes(process)
    assert done == Counter(kinds)
    assert megabytes(process) - before < GROWTH
    metrics = studio._send("GET", "/metrics").decode()
    assert 'scenograph_waiting{queue="models"} 0' in metrics and 'status="500"' not in metrics
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
