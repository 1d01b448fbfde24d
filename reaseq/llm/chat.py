"""What an agent asks of a language model and what it gets back, whichever backend answers.

A request carries everything that the answer may depend on, so its digest (with the model's identity) is the cache key.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

Json = dict[str, Any]
FinishReason = Literal["stop", "length", "content_filter", "other"]


@dataclass(frozen=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class AnswerSchema:
    """The JSON schema an answer must follow. The name is sent along and says which agent is asked."""

    name: str
    schema: Json

    @cached_property
    def digest(self) -> str:
        text = json.dumps([self.name, self.schema], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Decoding:
    temperature: float = 0.0
    max_tokens: int = 1024


@dataclass(frozen=True)
class ChatRequest:
    """One question.

    `prompt_version` names the templates that the messages were rendered from; a new version asks anew even where the
    rendered text happens to be equal.
    """

    messages: tuple[Message, ...]
    answer: AnswerSchema
    decoding: Decoding = Decoding()
    prompt_version: str = ""

    def key(self, identity: str) -> str:
        """sha256 (hex) of messages (item text, role, templates), schema, prompt version, model and decoding."""
        hashed = hashlib.sha256()
        head = [identity, self.prompt_version, self.answer.digest, self.decoding.temperature, self.decoding.max_tokens]
        hashed.update(json.dumps(head).encode())
        for message in self.messages:
            content = message.content.encode("utf-8", "surrogatepass")
            hashed.update(f"\n{message.role} {len(content)}\n".encode())
            hashed.update(content)
        return hashed.hexdigest()


@dataclass(frozen=True)
class ChatAnswer:
    """`text` is what the model wrote, unparsed: it may be cut (`finish_reason == "length"`) or no JSON at all."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: FinishReason
    model: str


class ChatModel(Protocol):
    """A language model behind any backend; `complete` may be called from several threads."""

    @property
    def backend(self) -> str: ...

    @property
    def identity(self) -> str:
        """Names backend, model and version: two models with one identity give the same answers."""
        ...

    def complete(self, request: ChatRequest) -> ChatAnswer:
        """Answer one request.

        Raises:
            LlmError: no answer could be had; `RequestRefused` if only this request is at fault.
        """
        ...

    def check(self) -> None:
        """Find out, within seconds and without asking anything, whether `complete` can work.

        Raises:
            LlmError: it can't; the message says why and what to do.
        """
        ...
