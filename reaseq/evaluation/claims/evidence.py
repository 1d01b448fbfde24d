"""What a claim's experiment says: comparisons with intervals, and a verdict that follows from them by rule."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["holds", "does not hold", "not testable here"]


@dataclass(frozen=True)
class Comparison:
    """One measured difference, `other - base`, over seeds and users."""

    what: str
    """Metric and where, such as `GAUC, items with 0 training events`."""
    other: str
    base: str
    other_value: float
    base_value: float
    effect: float
    low: float
    """Bounds of the 95 % interval; nan where there is none, and `note` says why."""
    high: float
    seeds: int
    users: int
    decides: bool = False
    """Whether the verdict depends on it."""
    note: str = ""

    @property
    def measured(self) -> bool:
        """There is an interval: a verdict can rest on it."""
        return self.low == self.low

    @property
    def unmeasured(self) -> str:
        """Why no verdict can rest on it, where none can."""
        return f"{self.what} of {self.other} can't be measured: {self.note or 'no bootstrap was asked for'}"

    @property
    def better(self) -> bool:
        """The whole interval lies above 0."""
        return self.low > 0

    @property
    def worse(self) -> bool:
        """The whole interval lies below 0."""
        return self.high < 0


@dataclass(frozen=True)
class Evidence:
    """All that one claim's experiment on one dataset came to."""

    claim: str
    """C1 … C10."""
    verdict: Verdict
    reason: str
    """One sentence: which comparisons decided it."""
    comparisons: tuple[Comparison, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)
    """Further figures, JSON: name → value, or name → {row → {column → value}} for a table of its own."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
