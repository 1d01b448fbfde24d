"""What the answers of a run cost: calls, tokens, seconds, and what the cache saved."""

import threading
from dataclasses import dataclass, field
from typing import Any

from reaseq.llm.chat import ChatAnswer


@dataclass
class CostLedger:
    """Counters that several threads may raise. `hits` answers came from the cache and cost nothing."""

    calls: int = 0
    hits: int = 0
    retries: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0  # spent waiting for answers, summed over concurrent calls
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def called(self, answer: ChatAnswer, seconds: float) -> None:
        with self._lock:
            self.calls += 1
            self.prompt_tokens += answer.prompt_tokens
            self.completion_tokens += answer.completion_tokens
            self.seconds += seconds

    def hit(self) -> None:
        with self._lock:
            self.hits += 1

    def retried(self) -> None:
        with self._lock:
            self.retries += 1

    def refuse(self) -> None:
        with self._lock:
            self.refused += 1

    def facts(self) -> dict[str, Any]:
        """The counters as JSON."""
        with self._lock:
            kept = {name: value for name, value in self.__dict__.items() if not name.startswith("_")}
        return kept | {"seconds": round(self.seconds, 3)}
