"""What `--set` and lists of numbers say."""

import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

from reaseq.errors import ConfigError

Number = TypeVar("Number", int, float)


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """`["behavior.layers=6", "llm.backend=openai"]` → overrides; values are JSON where they parse, else text.

    Raises:
        ConfigError: an entry has no `=`.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {setting!r} is not of the form section.name=value.")
        try:
            overrides[name] = json.loads(value)
        except ValueError:
            overrides[name] = value
    return overrides


def parse_numbers(option: str, text: str, kind: Callable[[str], Number], least: Number) -> list[Number]:
    """`"1,2,4"` → numbers, each once, in ascending order.

    Raises:
        ConfigError: one is no such number or too small, or there are none.
    """
    try:
        numbers = sorted({kind(part) for part in text.split(",") if part.strip()})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < least or not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{option} {text!r} must be numbers with commas between them, none below {least}.")
    return numbers
