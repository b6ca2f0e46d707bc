"""Language models that answer in JSON of a schema: on a server of OpenAI's interface, or from ``transformers`` here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from http.client import HTTPException
from pickle import UnpicklingError
from typing import Any, Protocol, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import numpy as np
import torch
from safetensors import SafetensorError

from scenograph.devices import pick_device
from scenograph.errors import MALFORMED, UserError, check_text, missing_extra, printable, reason, shortened
from scenograph.files import parse_json
from scenograph.pretrained.quiet import quiet

OPENAI = "https://api.openai.com/v1"
"""The server that is asked when none is named."""
KEY, OPENAI_KEY = "SCENOGRAPH_PLANNER_KEY", "OPENAI_API_KEY"
"""Variables of the environment that hold a server's key; the second is sent to OpenAI alone."""
TIMEOUT = 120.0
"""Seconds without an answer after which a server is given up."""
LARGEST_ANSWER = 2**20
"""Bytes of a server's answer that are read."""
LONGEST_ANSWER = 4096
"""Tokens of an answer."""

Message = dict[str, str]
"""A ``role`` (system, user or assistant) and its ``content``."""


class LanguageModel(Protocol):
    """What answers a conversation in JSON."""

    name: str
    """How records and messages call it; it tells neither key nor address."""
    exact: bool
    """Whether an answer keeps to any schema, alternatives included; servers promise so of simple ones."""

    def answer(self, messages: Sequence[Message], schema: dict[str, Any]) -> str:
        """The next message, JSON of the schema. Raises ``UserError`` if there is none."""
        ...


def load_language_model(name: str, device: str = "auto") -> LanguageModel:
    """The language model of a name.

    Args:
        name: ``openai:MODEL@URL`` for a model on a server, OpenAI's own without ``@URL``, or ``transformers:MODEL`` for
            a folder or a name on the hub.
        device: Where a model of ``transformers`` computes.

    Raises:
        UserError: The name is of another form, or the model cannot be loaded.
    """
    kind, _, rest = check_text(name, "--planner").partition(":")
    found = re.fullmatch(r"(.+?)(?:@(https?://.+))?", rest)
    unread = found is None or "@http" in found[1] or (kind == "openai" and found[2] is None and "@" in found[1])
    if kind not in ("openai", "transformers") or found is None or unread:  # a wrong address is not OpenAI's
        raise UserError(f"--planner {name!r}: expected openai:MODEL@URL, openai:MODEL or transformers:MODEL")
    return ChatServer(found[1], found[2] or OPENAI) if kind == "openai" else LocalModel(rest, device)


class _NoRedirect(HTTPRedirectHandler):
    """A key is sent to the server that was named, and to no other."""

    def redirect_request(self, *args: Any) -> None:
        return None


class ChatServer:
    """A model behind ``/chat/completions``, as OpenAI, vLLM, llama.cpp, Ollama, LM Studio and others serve it.

    The key is read from the environment: :data:`KEY`, or for OpenAI's own server :data:`OPENAI_KEY`.
    """

    exact = False

    def __init__(self, model: str, url: str) -> None:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise UserError(f"--planner: {url}: no address ({reason(error)}); expected http://HOST:PORT/v1") from error
        if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
            raise UserError(
                f"--planner: expected a plain address such as http://127.0.0.1:8000/v1; a key belongs into {KEY}"
            )
        self.name, self._model, self._url = f"openai:{model}", model, url.rstrip("/")
        key = os.environ.get(KEY) or (os.environ.get(OPENAI_KEY) if self._url == OPENAI else None)
        # OpenAI's own models that reason refuse the settings that other servers know.
        self._settings = {"max_completion_tokens": LONGEST_ANSWER}
        if self._url != OPENAI:
            self._settings = {"max_tokens": LONGEST_ANSWER, "temperature": 0}
        self._headers = {"Content-Type": "application/json", "User-Agent": "scenograph"}
        if key:
            if not key.isascii() or not key.isprintable():
                raise UserError(f"the key in {KEY} or {OPENAI_KEY} holds characters that no key has; copy it again")
            self._headers["Authorization"] = f"Bearer {key}"

    def answer(self, messages: Sequence[Message], schema: dict[str, Any]) -> str:
        """As :class:`LanguageModel`. Raises ``UserError`` if the server is not reached, refuses, or says no text."""
        asked = {
            "model": self._model,
            "messages": list(messages),
            **self._settings,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "scene", "strict": True, "schema": schema},
            },
        }
        value = parse_json(self._send(json.dumps(asked).encode()), f"the answer of {self._url}")
        try:
            content = value["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            content = None
        if not isinstance(content, str):
            raise UserError(f"{self._url}: the answer of {self._model} holds no text: {shortened(value)}")
        return content

    def _send(self, body: bytes) -> str:
        request = Request(f"{self._url}/chat/completions", body, self._headers, method="POST")
        try:
            with build_opener(_NoRedirect).open(request, timeout=TIMEOUT) as answer:
                content: bytes = answer.read(LARGEST_ANSWER + 1)
        except HTTPError as error:
            raise self._refused(error) from error
        except (OSError, HTTPException, ValueError) as error:  # the last of hosts that have no name
            cause = error.reason if isinstance(error, URLError) else error
            why = reason(cause) if isinstance(cause, Exception) else str(cause)
            raise UserError(f"{self._url}: no answer ({why}); is a server running there?") from error
        if len(content) > LARGEST_ANSWER:
            raise UserError(f"{self._url}: the answer is longer than {LARGEST_ANSWER:,} bytes; is it a chat server?")
        return content.decode("utf-8", "replace")

    def _refused(self, error: HTTPError) -> UserError:
        """The server's own words, in one line, with what can be done."""
        try:
            said = error.read(LARGEST_ANSWER).decode("utf-8", "replace")
        except (OSError, HTTPException):
            said = ""
        try:
            told = json.loads(said)["error"]
            said = told["message"] if isinstance(told, dict) else str(told)
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        said = " ".join(printable(str(said)).split())[:200]
        remedy = {
            401: f"; give its key in {OPENAI_KEY if self._url == OPENAI else KEY}",
            404: f"; is {self._model!r} a model there, and does the address end as in .../v1?",
        }.get(error.code, "; give the address that it moves to" if 300 <= error.code < 400 else "")
        return UserError(f"{self._url}: the server answers {error.code}: {said or error.reason}{remedy}")


class LocalModel:
    """A causal language model of ``transformers``, held to the schema by ``llguidance`` token by token."""

    exact = True

    def __init__(self, source: str, device: str = "auto") -> None:
        try:
            import llguidance.hf
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise missing_extra("transformers" if error.name == "transformers" else "llguidance", "planner") from error
        try:
            with quiet("transformers"):
                self._tokenizer = cast(Any, AutoTokenizer.from_pretrained(source, trust_remote_code=False))
                network: Any = AutoModelForCausalLM.from_pretrained(source, dtype="auto", trust_remote_code=False)
            self._grammar = llguidance.hf.from_tokenizer(self._tokenizer, n_vocab=_words(network).vocab_size)
        except (OSError, ImportError, SafetensorError, UnpicklingError, *MALFORMED) as error:
            raise UserError(f"cannot load the planner {source}: {reason(error)}; give a folder or a model") from error
        self.name, self._network = f"transformers:{source}", network.to(pick_device(device)).eval()

    def answer(self, messages: Sequence[Message], schema: dict[str, Any]) -> str:
        """As :class:`LanguageModel`: the likeliest token at each step, of those that go on to JSON of the schema."""
        from transformers import LogitsProcessorList

        tokens = self._prompt(messages)
        limit = getattr(_words(self._network), "max_position_embeddings", None)
        room = limit or tokens.shape[1] + LONGEST_ANSWER
        if tokens.shape[1] >= room:
            raise UserError(f"{self.name} reads {room} tokens, and text and names are {tokens.shape[1]}; take another")
        grammar = _Grammar(self._grammar, schema, tokens.shape[1])
        with torch.inference_mode():
            answered = self._network.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                logits_processor=LogitsProcessorList([grammar]),
                max_new_tokens=min(LONGEST_ANSWER, room - tokens.shape[1]),
                do_sample=False,
                num_beams=1,
                pad_token_id=self._tokenizer.eos_token_id,
            )
        return str(self._tokenizer.decode(answered[0, tokens.shape[1] :], skip_special_tokens=True))

    def _prompt(self, messages: Sequence[Message]) -> torch.Tensor:
        """The tokens (1, T) of a conversation, in the model's own form of one if it has any."""
        if self._tokenizer.chat_template:
            text = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        else:
            text = "\n\n".join(message["content"] for message in messages) + "\n\n"
        special = not self._tokenizer.chat_template  # a template brings its own
        tokens: torch.Tensor = self._tokenizer(text, return_tensors="pt", add_special_tokens=special).input_ids
        return tokens.to(self._network.device)


def _words(network: Any) -> Any:
    """The settings of the part that reads and writes text, which some networks have beside others."""
    return network.config.get_text_config()


class _Grammar:
    """Rules out, at each step, every token after which no JSON of the schema can follow."""

    def __init__(self, tokenizer: Any, schema: dict[str, Any], start: int) -> None:
        from llguidance import LLMatcher

        rules = LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False})
        self._matcher, self._read = LLMatcher(tokenizer, rules), start
        if complaint := self._matcher.get_error():
            raise UserError(f"the names of the model make no grammar for a planner: {reason(ValueError(complaint))}")

    def __call__(self, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores (1, vocabulary) of the next token, -inf where it is ruled out; ``tokens`` (1, T) are the text."""
        for token in tokens[0, self._read :].tolist():
            self._matcher.consume_token(token)
        self._read = tokens.shape[1]
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = torch.from_numpy(np.unpackbits(bits, bitorder="little")[: scores.shape[1]].astype(bool))
        return scores.masked_fill(~allowed.to(scores.device), float("-inf"))
