"""What `--set`, lists of numbers and the options of a configuration say."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from reaseq.config import RunConfig, load
from reaseq.data.stage import check_source
from reaseq.errors import ConfigError
from reaseq.knowledge.stage import check_llm

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


def configured(
    dataset: str, source: str, preset: str, seed: int, overrides: Mapping[str, Any], impressions: str | None = None
) -> RunConfig:
    """The configuration that a command's options ask for; what can't be begun is refused.

    Args:
        source, impressions: paths, "" for none; impressions of None are left to the overrides.
        overrides: as `parse_settings` gives them.

    Raises:
        ReaSeqError: a setting is wrong or has an option of its own, the source lacks something, or the LLM can't be
            reached.
    """
    origin = {"data.dataset": dataset, "data.source": _absolute(source)}
    if impressions is not None:
        origin["data.impressions"] = _absolute(impressions)
    for name in ("preset", *origin):
        if name in overrides:
            option = name.rpartition(".")[2]
            raise ConfigError(f"--set {name}=… would not be heeded: say it by the option --{option}.")
    config = load(preset, seed=seed, overrides={**overrides, **origin})
    check_source(config)
    check_llm(config)
    return config


def _absolute(path: str) -> str:
    return str(Path(path).resolve()) if path else ""
