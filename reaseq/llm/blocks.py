"""Delimited JSON in a message: how untrusted data is shown to a model without becoming part of the instruction.

    <item>
    {"title":"…"}
    </item>

Angle brackets inside the JSON are written as \\u003c and \\u003e, so no data can close its block or open another.
"""

import json
import re
from functools import lru_cache
from typing import Any

from reaseq.llm.chat import ChatRequest
from reaseq.llm.errors import LlmError


def write_block(name: str, value: Any) -> str:
    """`value` as JSON between `<name>` and `</name>`; surrogates and other oddities are escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace(">", "\\u003e")
    return f"<{name}>\n{text}\n</{name}>"


def block_text(request: ChatRequest, name: str) -> str | None:
    """The JSON text of the newest block of that name in the user's messages, or None."""
    for message in reversed(request.messages):
        if message.role == "user" and (found := _pattern(name).findall(message.content)):
            return str(found[-1])
    return None


def read_block(request: ChatRequest, name: str) -> Any:
    """The value of the newest block of that name.

    Raises:
        LlmError: there is none, or it holds no JSON.
    """
    text = block_text(request, name)
    if text is None:
        raise LlmError(f"request {request.answer.name!r} holds no <{name}> block; the prompt template must give one.")
    try:
        return json.loads(text)
    except ValueError as error:
        raise LlmError(f"request {request.answer.name!r}: <{name}> holds no JSON ({error}).") from None


@lru_cache(maxsize=64)
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"^<{re.escape(name)}>\n(.*)\n</{re.escape(name)}>$", re.MULTILINE)
