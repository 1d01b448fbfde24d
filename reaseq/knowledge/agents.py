"""Asking one agent: render, send, parse, and ask again with the objection when the answer can't be used."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from reaseq.knowledge.answers import cut_thought, parse
from reaseq.knowledge.errors import AnswerRefused
from reaseq.knowledge.prompts import messages, templates
from reaseq.llm import AnswerSchema, CachedChatModel, ChatAnswer, ChatRequest, Decoding, RequestRefused

Parsed = TypeVar("Parsed", bound=BaseModel)


@dataclass
class Minutes:
    """What was asked and answered about one item."""

    keys: list[str] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    thoughts: list[str] = field(default_factory=list)
    answers: int = 0
    invalid: int = 0

    def note(self, key: str, answer: ChatAnswer) -> None:
        self.keys.append(key)
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.answers += 1


class Agents:
    """The agents of one prompt version on one model.

    Args:
        model: answers, at most once per question.
        version: of the prompts.
        decoding: of every answer.
        attempts: answers asked for before an agent is given up.
    """

    def __init__(self, model: CachedChatModel, version: str, decoding: Decoding, attempts: int):
        self._model = model
        self._version = version
        self._prompts = templates(version)
        self._decoding = decoding
        self._attempts = attempts

    def ask(
        self,
        agent: str,
        blocks: dict[str, Any],
        schema: AnswerSchema,
        record: type[Parsed],
        minutes: Minutes,
        accept: Callable[[Parsed], str] = lambda answer: "",
    ) -> Parsed:
        """The agent's answer about these blocks.

        Args:
            accept: says what else is wrong with a well-formed answer; empty if nothing.

        Raises:
            AnswerRefused: no attempt gave a usable answer.
            LlmError: the model can't be asked at all.
        """
        objection = ""
        for _ in range(self._attempts):
            request = ChatRequest(
                messages(self._prompts[agent], blocks, objection), schema, self._decoding, self._version
            )
            try:
                key, answer = self._model.complete_keyed(request)
            except RequestRefused as error:
                raise AnswerRefused(f"{agent}: {error}") from None
            minutes.note(key, answer)
            try:
                parsed = parse(answer, record)
                if not (objection := accept(parsed)):
                    minutes.thoughts.append(f"{agent}: {cut_thought(getattr(parsed, 'reasoning', ''))}")
                    return parsed
            except AnswerRefused as error:
                objection = str(error)
            minutes.invalid += 1
        raise AnswerRefused(
            f"{agent}: {objection} after {self._attempts} attempts (cache key {minutes.keys[-1][:12]}…)"
        )
