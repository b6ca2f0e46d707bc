"""Texts planned as scenes: by a server that answers what it is told to, and by a tiny network held to the schema."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import torch

from helpers import succeed
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import NOTE, UserError
from scenograph.pipelines.planner import (
    ANSWERS,
    LONGEST_TEXT,
    MOST_OBJECTS,
    PROMPT,
    Planner,
    pair_for_planning,
    read_answer,
    scene_schema,
)
from scenograph.pretrained import language
from scenograph.pretrained.language import KEY, OPENAI_KEY, ChatServer, LocalModel, load_language_model
from scenograph.scenes.png import read_record
from scenograph.scenes.scene import load_scenes
from scenograph.scenes.solver import relations_shown
from scenograph.scenes.vocabulary import Vocabulary

WORLD = Vocabulary(("cat", "dog"), ("left of", "right of", "above"), {"color": ("red", "blue"), "size": ("large",)})
SECRET = "sk-of-nobody-1234"


class Server:
    """Answers one text after the other; the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.status, self.raw, self.headers = 200, None, {}
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                outer.keys.append(self.headers["Authorization"])
                number = min(len(outer.asked), len(outer.answers)) - 1
                message = {"role": "assistant", "content": outer.answers[number] if outer.answers else None}
                body = outer.raw if outer.raw is not None else json.dumps({"choices": [{"message": message}]}).encode()
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    for name in (KEY, OPENAI_KEY):
        monkeypatch.delenv(name, raising=False)
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield found
    found.http.shutdown()
    found.http.server_close()


def answer(*things: Any, relations: tuple[tuple[int, str, int], ...] = ()) -> str:
    objects = [thing if isinstance(thing, dict) else {"category": thing, "box": None} for thing in things]
    related = [{"subject": one, "predicate": name, "object": other} for one, name, other in relations]
    return json.dumps({"objects": objects, "relationships": related})


def asked_of(server: Server) -> Planner:
    return Planner(ChatServer("small:1b", server.url))


def test_a_text_is_planned_in_the_names_of_a_vocabulary(server):
    red = {"category": "cat", "attributes": {"color": "red", "size": None}, "box": None}
    server.answers = [answer(red, "dog", relations=((0, "left of", 1),))]
    planner = asked_of(server)
    scene = planner("Ein roter Kater neben einem Hund", WORLD)
    assert scene.to_dict() == {
        "objects": [{"category": "cat", "attributes": ["red"]}, "dog"],
        "relationships": [[0, "left of", 1]],
    }
    assert planner("Ein roter Kater neben einem Hund", WORLD) is scene and len(server.asked) == 1
    (asked,) = server.asked
    assert asked["model"] == "small:1b" and asked["temperature"] == 0
    assert asked["messages"][1] == {"role": "user", "content": "Ein roter Kater neben einem Hund"}
    assert "Categories: cat, dog" in asked["messages"][0]["content"]
    wanted = asked["response_format"]["json_schema"]
    assert wanted["strict"] and wanted["schema"] == scene_schema(WORLD)
    assert server.keys == [None]


def test_the_schema_is_one_that_servers_support():
    def check(part: dict[str, Any]) -> None:
        if part.get("type") == "object":
            assert part["required"] == list(part["properties"]) and part["additionalProperties"] is False
        for below in [*part.get("properties", {}).values(), *part.get("anyOf", ()), part.get("items")]:
            if below is not None:
                check(below)

    schema = scene_schema(WORLD)
    check(schema)
    thing = schema["properties"]["objects"]["items"]["properties"]
    assert thing["category"]["enum"] == ["cat", "dog"]
    assert thing["attributes"]["properties"]["color"]["anyOf"][0]["enum"] == ["red", "blue"]
    relation = schema["properties"]["relationships"]["items"]["properties"]
    assert relation["predicate"]["enum"] == ["left of", "right of", "above"]
    check(scene_schema(Vocabulary(("cat",), ())))


def test_an_answer_in_the_short_form_of_scene_files_is_read(server):
    server.answers = ['{"objects": ["cat", {"category": "dog"}], "relationships": [[0, "left of", 1]]}']
    made = asked_of(server)("a cat left of a dog", WORLD).to_dict()
    assert len(server.asked) == 1
    assert made["objects"] == ["cat", "dog"] and made["relationships"] == [[0, "left of", 1]]


def test_what_is_wrong_goes_back_to_the_model_until_it_is_right(server):
    server.answers = [answer("catt"), "sorry, no", f"```json\n{answer('cat')}\n```"]
    assert asked_of(server)("a cat", WORLD).to_dict()["objects"] == ["cat"]
    assert len(server.asked) == 3
    *_, said, complaint = server.asked[1]["messages"]
    assert said["content"] == answer("catt")
    assert "unknown category 'catt' (did you mean 'cat'?)" in complaint["content"]
    assert "not valid JSON" in server.asked[2]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (answer("cat", "dog", relations=((0, "left of", 2),)), "index 2 is out of range"),
        (answer("cat", relations=((0, "under the spell of", 0),)), "relates object 0 to itself"),
        (answer(), "the scene is empty"),
        ('{"objects": 3}', "expected objects and relationships"),
        ('{"objects": [{"category": ["cat"]}]}', "category"),
        (answer({"category": "cat", "box": {"left": 0, "top": 0, "width": 9, "depth": 9}}), "depth"),
        (answer({"category": "cat", "box": {"left": 0, "top": 0, "width": 0, "height": 9}}), "empty or inverted"),
        ("[" * 5000, "not valid JSON"),
        ("", "not valid JSON"),
    ],
)
def test_after_three_invalid_answers_one_line_tells_the_last_fault(server, bad, complaint):
    server.answers = [bad]
    with pytest.raises(UserError) as error:
        asked_of(server)("a cat", WORLD)
    assert len(server.asked) == ANSWERS
    message = str(error.value)
    assert complaint in message and "\n" not in message
    assert message.startswith("text: openai:small:1b gave no valid scene in 3 answers")


def test_relations_that_contradict_are_left_out_with_a_warning(server, caplog):
    server.answers = [answer("cat", "dog", relations=((0, "left of", 1), (1, "left of", 0)))]
    scene = asked_of(server)("a cat and a dog", WORLD)
    assert len(scene.relations) == 1
    assert "leaving out [1] dog (1) left of cat (0): it contradicts" in caplog.text


def test_boxes_are_moved_until_the_relations_hold_and_dropped_where_none_can(server, caplog):
    caplog.set_level(NOTE)

    def boxed(category: str, left: int, width: int) -> dict[str, Any]:
        return {"category": category, "box": {"left": left, "top": 40, "width": width, "height": 20}}

    server.answers = [answer(boxed("cat", 60, 20), boxed("dog", 10, 20), relations=((0, "left of", 1),))]
    scene = asked_of(server)("a cat and a dog", WORLD)
    assert relations_shown(scene) == (1, 1)
    server.asked.clear()
    between = ((2, "left of", 0), (2, "right of", 1))
    server.answers = [answer(boxed("cat", 0, 20), boxed("dog", 60, 20), "cat", relations=between)]
    scene = asked_of(server)("a cat between a dog and a cat", WORLD)
    assert [thing.box for thing in scene.objects] == [None] * 3 and len(scene.relations) == 2
    assert "the boxes of the plan do not fit" in caplog.text
    with pytest.raises(UserError, match="scene.relationships: 33 relationships; give at most 32"):
        read_answer(answer("cat", "dog", relations=((0, "left of", 1),) * 33), WORLD)
    beyond = read_answer(answer(boxed("cat", 90, 50)), WORLD)
    assert beyond.objects[0].box == (0.9, 0.4, 1.0, 0.6)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("  ", "the scene is empty"), ("x" * (LONGEST_TEXT + 1), "4001 characters"), ("a\0cat", "which is no text")],
)
def test_texts_that_are_none(server, text, complaint):
    with pytest.raises(UserError, match=complaint):
        asked_of(server)(text, WORLD)
    assert not server.asked


@pytest.mark.parametrize(
    ("status", "raw", "headers", "complaint"),
    [
        (401, b'{"error": {"message": "no\\nsuch key"}}', {}, f"answers 401: no such key; give its key in {KEY}"),
        (404, b'{"error": "no such model"}', {}, "answers 404: no such model; is 'small:1b' a model there"),
        (500, b"<html>\x1b[2J", {}, "answers 500: <html>"),
        (302, b"", {"Location": "http://127.0.0.1:9/v1"}, "answers 302"),
        (200, b"<html>", {}, "not valid JSON"),
        (200, b'{"choices": []}', {}, "holds no text"),
        (200, b"\xff\xfe" + b" " * 2**20, {}, "is longer than"),
        (200, b"", {"Content-Length": "99"}, "not valid JSON"),
    ],
)
def test_what_a_server_may_answer_instead(server, status, raw, headers, complaint):
    server.status, server.raw, server.headers = status, raw, headers
    with pytest.raises(UserError) as error:
        asked_of(server)("a cat", WORLD)
    assert complaint in str(error.value) and "\n" not in str(error.value)
    assert len(server.asked) == 1


def test_servers_that_are_not_there_or_are_silent(server, monkeypatch):
    monkeypatch.setattr(language, "TIMEOUT", 0.2)
    model = ChatServer("small", "http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match=r"http://127.0.0.1:9/v1: no answer \(.*\); is a server running there"):
        model.answer([], {})
    held = threading.Event()
    monkeypatch.setattr(server.http.RequestHandlerClass, "do_POST", lambda self: held.wait(5))
    with pytest.raises(UserError, match="no answer"):
        ChatServer("small", server.url).answer([], {})
    held.set()


def test_keys_reach_only_the_server_that_they_are_for(server, monkeypatch):
    server.answers = [answer("cat")]
    monkeypatch.setenv(OPENAI_KEY, SECRET)
    asked_of(server)("a cat", WORLD)
    monkeypatch.setenv(KEY, SECRET)
    planner = asked_of(server)
    planner("a cat", WORLD)
    assert server.keys == [None, f"Bearer {SECRET}"]
    assert SECRET not in json.dumps(planner.record("a cat")) and SECRET not in repr(server.asked)
    monkeypatch.setenv(KEY, "two\nlines")
    with pytest.raises(UserError, match="copy it again"):
        asked_of(server)


@pytest.mark.parametrize(
    "name",
    ["small", "openai:", "transformers:", "anthropic:x", "openai:m@http://u:p@host/v1", "openai:m@http:///v1",
     "openai:m@https://host/v1?key=x", "openai:@http://host/v1"],
)  # fmt: skip
def test_names_of_planners_that_are_none(name):
    with pytest.raises(UserError, match="--planner"):
        load_language_model(name)


def test_names_of_planners():
    local = load_language_model("openai:qwen3:8b@http://localhost:11434/v1/")
    assert isinstance(local, ChatServer) and local.name == "openai:qwen3:8b"
    assert local._url == "http://localhost:11434/v1"
    own = load_language_model("openai:gpt-4.1")
    assert own._url == language.OPENAI and [*own._settings] == ["max_completion_tokens"]


def test_a_text_without_known_names_is_for_the_models_that_know_most():
    assert len(pair_for_planning("a quiet evening by the water's edge").vocabulary.categories) == 155
    assert pair_for_planning("a cube left of a sphere").vocabulary.categories == VOCABULARY.categories


def test_commands_plan_and_record_how(server, scenograph, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    server.answers = [answer("cube", "sphere", relations=((0, "left of", 1),))]
    planner = f"openai:small@{server.url}"
    text = "something cubic beside a sphere"
    succeed(scenograph("generate", text, "--planner", planner, "--steps", "1"))
    (picture,) = (tmp_path / "pictures").glob("*.png")
    record = read_record(picture)
    assert json.loads(record)["plan"] == {"text": text, "planner": "openai:small", "prompt": PROMPT}
    assert SECRET not in record and "127.0.0.1" not in record
    succeed(scenograph("generate", str(picture), "--steps", "1", "--out", "again"))
    assert read_record(tmp_path / "again" / picture.name) == record
    assert len(server.asked) == 1
    succeed(scenograph("scene", "new", text, "--planner", planner, "--out", "planned.json"))
    assert [thing.category for thing in load_scenes(tmp_path / "planned.json")[0].objects] == ["cube", "sphere"]
    server.answers = ["no"]
    code, _, errors = scenograph("layout", "cubes galore", "--planner", planner)
    assert code == 2 and "gave no valid scene in 3 answers" in errors
    for source in ("planned.json", str(picture)):
        code, _, errors = scenograph("generate", source, "--planner", planner)
        assert code == 2 and "--planner reads a line of text" in errors


@pytest.fixture(scope="session")
def tiny_language_model(tmp_path_factory) -> str:
    """A language model of 300 random tokens' knowledge, which reads bytes."""
    pytest.importorskip("llguidance")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = {token: number for number, token in enumerate([*alphabet, "<end>"])}
    tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder = tmp_path_factory.mktemp("language-model")
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokens), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=8192, bos_token_id=None, eos_token_id=len(tokens) - 1, initializer_range=0.5,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def test_a_network_that_knows_nothing_still_answers_with_a_scene(tiny_language_model, monkeypatch):
    monkeypatch.setattr("scenograph.pipelines.planner.MOST_OBJECTS", 5)
    monkeypatch.setattr("scenograph.pipelines.planner.MOST_RELATIONS", 4)
    planner = Planner.from_name(f"transformers:{tiny_language_model}", "cpu")
    answers: list[str] = []
    said = planner.model.answer
    monkeypatch.setattr(planner.model, "answer", lambda *given: answers.append(said(*given)) or answers[-1])
    texts = ["a", "two cats"]
    for number, text in enumerate(texts, start=1):
        scene = planner(text, WORLD)
        WORLD.check([scene])
        assert 1 <= len(scene.objects) <= MOST_OBJECTS
        assert len(answers) == number  # the first answer was a scene
    assert len(set(answers)) > 1
    with pytest.raises(UserError, match="reads 8192 tokens"):
        planner.model.answer([{"role": "user", "content": "x" * 9000}], scene_schema(WORLD))


def test_a_folder_without_a_language_model(tmp_path):
    pytest.importorskip("llguidance")
    with pytest.raises(UserError, match="cannot load the planner"):
        LocalModel(str(tmp_path), "cpu")


@pytest.mark.parametrize("address", ["http://[::1/v1", "http://a..b/v1", "http://127.0.0.1:9/\u00f6"])
def test_addresses_of_no_server(address):
    with pytest.raises(UserError, match="no address|no answer"):
        load_language_model(f"openai:m@{address}").answer([], {})


@pytest.mark.parametrize("address", ["localhost:8000/v1", "ftp://127.0.0.1"])
def test_nothing_is_sent_to_openai_for_an_address_of_another_form(address):
    with pytest.raises(UserError, match="expected openai:MODEL@URL"):
        load_language_model(f"openai:m@{address}")
