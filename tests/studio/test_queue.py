"""The queue: batches, newest wins, bounds, cancelling, and what jobs tell meanwhile."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest

from scenograph.pipelines.pipeline import Pipeline
from scenograph.studio.server.metrics import Metrics
from scenograph.studio.server.problems import ServiceError
from scenograph.studio.server.work_queue import MOST_TOGETHER, Ticket, WorkQueue, one_by_one
from studio_scenes import MEADOW, pixels_of


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


class Gated:
    """Work that is begun and then waits until it may go on; it remembers its batches."""

    def __init__(self):
        self.begun, self.go, self.batches = threading.Semaphore(0), threading.Event(), []

    def __call__(self, asked):
        self.batches.append(list(asked))
        self.begun.release()
        assert self.go.wait(20)
        return [one if one != "bad" else ValueError("bad") for one in asked]


@pytest.fixture
def queue():
    queue = WorkQueue("test", 12, Metrics())
    queue.start()
    yield queue
    queue.close(5)


@pytest.fixture
def work(queue):
    """Work of which one piece has been taken up, so that all others wait."""
    work = Gated()
    queue.put(Ticket(work, "first"))
    assert work.begun.acquire(timeout=10)
    yield work
    work.go.set()


def test_equal_requests_that_wait_are_done_together_and_each_gets_its_own(queue, work):
    asked = ["a", "other", "b", "bad", "c"]
    tickets = [queue.put(Ticket(work, one, together=one == "other")) for one in asked]
    alone = queue.put(Ticket(work, "alone"))
    work.go.set()
    assert [tickets[i].future.result(10) for i in (0, 1, 2, 4)] == ["a", "other", "b", "c"]
    with pytest.raises(ValueError, match="bad"):
        tickets[3].future.result(10)
    assert alone.future.result(10) == "alone"
    assert work.batches == [["first"], ["a", "b", "bad", "c"], ["other"], ["alone"]]


def test_batches_are_bounded(queue, work):
    tickets = [queue.put(Ticket(work, number, together="all")) for number in range(MOST_TOGETHER + 2)]
    work.go.set()
    assert [ticket.future.result(10) for ticket in tickets] == list(range(MOST_TOGETHER + 2))
    assert [len(batch) for batch in work.batches] == [1, MOST_TOGETHER, 2]


def test_the_newest_of_a_session_replaces_those_that_wait(queue, work):
    old, other, new = (queue.put(Ticket(work, n, session=s)) for n, s in ((1, "a"), (2, "b"), (3, "a")))
    with pytest.raises(ServiceError) as replaced:
        old.future.result(1)
    assert (replaced.value.status, replaced.value.code) == (409, "replaced")
    work.go.set()
    assert (other.future.result(10), new.future.result(10)) == (2, 3)
    assert work.batches == [["first"], [2], [3]]


def test_a_full_queue_refuses_but_lets_a_session_replace(queue, work):
    for number in range(12):
        queue.put(Ticket(work, number, session=number))
    with pytest.raises(ServiceError) as full:
        queue.put(Ticket(work, "one more"))
    assert full.value.status == 429 and full.value.retry_after >= 1
    queue.put(Ticket(work, "newer", session=3))
    assert len(queue) == 12


def test_who_is_cancelled_leaves_and_the_others_move_up(queue, work):
    places = {name: [] for name in "abc"}
    tickets = {name: queue.put(Ticket(work, name, moved=places[name].append)) for name in "abc"}
    queue.cancel(tickets["a"])
    with pytest.raises(CancelledError):
        tickets["a"].future.result(1)
    work.go.set()
    assert tickets["c"].future.result(10) == "c" and ["a"] not in work.batches
    assert places["c"][:2] == [2, 1] and places["c"][-1] == 0


def test_closing_refuses_what_waits_and_finishes_what_was_begun():
    queue, work = WorkQueue("test", 4, Metrics()), Gated()
    queue.start()
    begun = queue.put(Ticket(work, "begun"))
    assert work.begun.acquire(timeout=10)
    waiting = queue.put(Ticket(work, "waiting"))
    threading.Timer(0.1, work.go.set).start()
    queue.close(10)
    assert begun.future.result(0) == "begun"
    for refused in (lambda: waiting.future.result(0), lambda: queue.put(Ticket(work, "late"))):
        with pytest.raises(ServiceError) as closing:
            refused()
        assert (closing.value.status, closing.value.code) == (503, "shutting_down")


def test_work_that_fails_as_a_whole_fails_every_request_and_the_thread_goes_on(queue):
    def broken(asked):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        queue.put(Ticket(broken, 1)).future.result(10)
    assert queue.put(Ticket(one_by_one(str), 2)).future.result(10) == "2"


@pytest.fixture
def ask(client):
    """Sends requests from threads of their own."""
    with ThreadPoolExecutor(20) as pool:
        yield lambda body, path="/v1/pictures": pool.submit(client.post, path, json=body)


def test_a_picture_is_the_same_in_any_batch(client, service, busy, ask, monkeypatch):
    asked = [{"scene": MEADOW, "seed": seed, "size": 48} for seed in range(4)]
    asked += [{"scene": {"objects": ["sheep", "gras"]}, "size": 48}, {"scene": MEADOW, "seed": 9, "size": 32}]
    batches, render = [], Pipeline.render
    monkeypatch.setattr(Pipeline, "render", lambda s, c, n=None: batches.append(len(c.scenes)) or render(s, c, n))
    with busy():
        answers = [ask(one) for one in asked]
        until(lambda: len(service.models) == len(asked))
    together = [answer.result(60) for answer in answers]
    assert sorted(batches) == [1, 4] and together[4].json()["error"]["where"] == "objects[1]"
    for number in (0, 1, 2, 3, 5):
        alone = client.post("/v1/pictures", json=asked[number]).json()
        assert alone["picture"] == together[number].json()["picture"]
        assert alone["scene"] == together[number].json()["scene"]


def test_a_generated_picture_is_the_same_in_any_batch(client, service, busy, ask):
    boxes = [[0.1, 0.3, 0.4, 0.6], [0.5, 0.4, 0.8, 0.7]]
    scene = {"objects": [{"category": name, "box": box} for name, box in zip(("cube", "sphere"), boxes, strict=True)]}
    asked = [{"scene": scene, "image": "mise-rendered-64", "seed": seed, "steps": 2} for seed in range(3)]
    with busy():
        answers = [ask(one) for one in asked]
        until(lambda: len(service.models) == len(asked))
    for one, answer in zip(asked, answers, strict=True):
        alone, together = (
            pixels_of(found.json()["picture"]) for found in (client.post("/v1/pictures", json=one), answer.result(60))
        )
        assert np.abs(alone - together).max() <= 1


def test_newer_requests_of_a_session_replace_older_ones(service, busy, ask):
    with busy():
        old = ask({"scene": MEADOW, "size": 32, "session": "drag"})
        until(lambda: len(service.models) == 1)
        new = ask({"scene": MEADOW, "size": 32, "session": "drag"})
        assert old.result(20).status_code == 409 and old.result().json()["error"]["code"] == "replaced"
    assert new.result(20).status_code == 200


def test_a_full_queue_answers_429_with_a_time_to_ask_again(service, busy, ask):
    with busy():
        waiting = [ask({"scene": MEADOW, "size": 32, "seed": seed}) for seed in range(8)]
        until(lambda: len(service.models) == 8)
        refused = ask({"scene": MEADOW, "size": 32}).result(20)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "queue_full"
    assert {answer.result(60).status_code for answer in waiting} == {200}


def test_a_request_that_takes_too_long_is_given_up(service, busy, ask, monkeypatch):
    monkeypatch.setattr("scenograph.studio.server.service.LONGEST", 0.2)
    with busy():
        answer = ask({"scene": MEADOW, "size": 32}).result(20)
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "too_slow"
        assert len(service.models) == 0


def events_of(text):
    return [
        (fields["event"], json.loads(fields["data"]))
        for block in text.split("\n\n")
        if (fields := dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")))
    ]


def begin(client, kind, request):
    return client.post("/v1/jobs", json={"kind": kind, "request": request}).json()["id"]


def test_a_job_tells_its_progress_and_ends_with_what_the_route_answers(client):
    asked = {"scene": MEADOW, "size": 48, "seed": 2}
    job = begin(client, "picture", asked)
    told = events_of(client.get(f"/v1/jobs/{job}/events").text)
    assert [name for name, _ in told] == ["queued", "progress", "progress", "progress", "done"]
    assert [data["done"] / data["total"] for name, data in told if name == "progress"] == [0, 0.5, 1]
    assert told[-1][1]["picture"] == client.post("/v1/pictures", json=asked).json()["picture"]
    assert events_of(client.get(f"/v1/jobs/{job}/events").text) == told  # for a client whose connection broke


def test_a_job_with_many_steps_shows_a_preview_first(client):
    scene = {"objects": [{"category": "cube", "box": [0.1, 0.3, 0.5, 0.7]}]}
    job = begin(client, "picture", {"scene": scene, "image": "mise-rendered-64", "steps": 5})
    told = events_of(client.get(f"/v1/jobs/{job}/events").text)
    assert [name for name, _ in told].index("preview") < [name for name, _ in told].index("done")
    preview, last = (pixels_of(dict(told)[name]["picture"]) for name in ("preview", "done"))
    assert preview.shape == last.shape and (preview != last).any()
    alone = client.post("/v1/pictures", json={"scene": scene, "image": "mise-rendered-64", "steps": 5}).json()
    assert np.abs(pixels_of(alone["picture"]) - last).max() <= 1


def test_layouts_and_refinements_are_jobs_too(client):
    asked = {"scene": {"objects": [MEADOW["objects"][1], "sheep"]}, "seed": 1}
    told = events_of(client.get(f"/v1/jobs/{begin(client, 'layout', asked)}/events").text)
    assert told[-1] == ("done", client.post("/v1/layouts", json=asked).json())
    told = events_of(client.get(f"/v1/jobs/{begin(client, 'refine', {'scene': MEADOW})}/events").text)
    assert told[-1] == ("done", client.post("/v1/refine", json={"scene": MEADOW}).json())


def test_what_is_wrong_with_a_job_is_its_last_event(client):
    told = events_of(client.get(f"/v1/jobs/{begin(client, 'picture', {'scene': {'objects': ['gras']}})}/events").text)
    assert told[-1][0] == "failed" and told[-1][1]["error"]["code"] == "unknown_category"


def test_jobs_are_cancelled_while_they_wait_and_between_stages(client, service, busy, monkeypatch):
    with busy():
        waiting = begin(client, "picture", {"scene": MEADOW, "size": 32})
        until(lambda: len(service.models) == 1)
        assert client.delete(f"/v1/jobs/{waiting}").json() == {"id": waiting}
        assert len(service.models) == 0
    told = events_of(client.get(f"/v1/jobs/{waiting}/events").text)
    assert told[-1] == ("failed", {"error": {"code": "cancelled", "message": "the job was cancelled", "where": None}})

    reached, go, rendered = threading.Event(), threading.Event(), []
    encode = service.drawing._encode
    monkeypatch.setattr(service.drawing, "_encode", lambda *a: (encode(*a), reached.set(), go.wait(20))[0])
    monkeypatch.setattr(Pipeline, "render", lambda *a: rendered.append(a))
    running = begin(client, "picture", {"scene": MEADOW, "size": 32})
    assert reached.wait(20)
    client.delete(f"/v1/jobs/{running}")
    go.set()
    assert events_of(client.get(f"/v1/jobs/{running}/events").text)[-1][1]["error"]["code"] == "cancelled"
    assert service.models.put(Ticket(one_by_one(str), 1)).future.result(10) == "1" and not rendered


def test_a_job_that_is_done_or_cancelled_lets_its_scene_go(client, service, busy):
    done = begin(client, "picture", {"scene": MEADOW, "size": 32})
    client.get(f"/v1/jobs/{done}/events")
    with busy():
        waiting = begin(client, "picture", {"scene": MEADOW, "size": 32})
        client.delete(f"/v1/jobs/{waiting}")
        assert [service.jobs.find(job).ticket for job in (done, waiting)] == [None, None]


def test_what_is_counted_is_told_whole():
    metrics = Metrics()
    metrics.worked("models", 1_234_567, 12345.678)
    text = metrics.text({})
    assert 'worked_total{queue="models"} 1234567\n' in text and 'seconds_total{queue="models"} 12345.678\n' in text


def test_only_so_many_jobs_are_remembered(client, monkeypatch):
    monkeypatch.setattr("scenograph.studio.server.jobs.MOST_JOBS", 2)
    jobs = []
    for _ in range(4):
        jobs.append(begin(client, "refine", {"scene": MEADOW}))
        client.get(f"/v1/jobs/{jobs[-1]}/events")
    assert client.get(f"/v1/jobs/{jobs[0]}/events").status_code == 404
    assert client.get(f"/v1/jobs/{jobs[-1]}/events").status_code == 200


def test_scenes_that_were_encoded_are_not_encoded_again(client, monkeypatch):
    calls, encode = [], Pipeline.encode_pairs
    monkeypatch.setattr(Pipeline, "encode_pairs", lambda *a, **o: calls.append(o) or encode(*a, **o))
    for steps in (1, 2, 3):
        assert client.post("/v1/pictures", json={"scene": MEADOW, "size": 40, "seed": 77, "steps": steps}).is_success
    assert len(calls) == 1
    client.post("/v1/pictures", json={"scene": MEADOW, "size": 40, "seed": 78})
    assert len(calls) == 2
