"""What `--set` says."""

import json
from typing import Any

from reaseq.errors import ConfigError


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
