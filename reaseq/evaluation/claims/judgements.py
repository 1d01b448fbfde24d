"""Claims about the ranker, judged from the arms: C1, C2 (with its vectors' half), C7, C8, C9 and the controls.

A claim holds if every comparison that decides it has its whole interval on the right side of 0. One that may do no
harm (C9) holds if none has its whole interval on the wrong side.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reaseq.evaluation.claims.arms import TITLES, Arm
from reaseq.evaluation.claims.evidence import Comparison, Evidence, Verdict
from reaseq.evaluation.claims.table import Table
from reaseq.ranking.baselines import BASELINES

PLACEBOS = {
    "random": "random items",
    "popular": "popular items",
    "item_to_item": "item-to-item neighbours",
    "another_user": "another user's inferences",
}

TRUTH = "full, the truth"
"""Upper bound of what inferred behaviours can give: those that users really had beyond the log."""

ARMS: tuple[Arm, ...] = (
    Arm("din_id", network="din_id", variant="rer"),
    Arm("din_title", network="din_title", variant="rer", vectors=TITLES),
    Arm("title", network="title", variant="rer", vectors=TITLES),
    Arm("kar", network="kar", variant="rer"),
    Arm("bare id", variant="bare"),
    Arm("id", variant="id"),
    Arm("id+title", variant="rer", vectors="title_frozen"),
    Arm("id+rer", variant="rer"),
    Arm("id+gbr", variant="gbr"),
    Arm("full", variant="full"),
    *(Arm(f"full, {kind}", variant="full", inferences=kind) for kind in PLACEBOS),
    Arm(TRUTH, variant="full", inferences="truth"),
    Arm("full, shuffled items", variant="full", inferences="shuffled_items"),
    Arm("id+rer, random z", variant="rer", control="random"),
    Arm("id+rer, permuted codes", variant="rer", control="permuted_codes"),
    Arm("id+aligned title", variant="rer", vectors="title"),
    Arm("id+rer, one prompt", variant="rer", vectors="single"),
    Arm("id+rer, no critic", variant="rer", vectors="no_critic"),
)
"""Every arm of a study. Baselines read z through their tables, so their `variant` only says that z is not zeroed."""

CONTROLS = ("full, shuffled items", "id+rer, random z", "id+rer, permuted codes")

NEEDS: dict[str, tuple[str, ...]] = {
    "C1": ("bare id", "id", "id+title", "id+rer"),
    "C2": ("id+aligned title", "id+rer", "id+rer, one prompt", "id+rer, no critic"),
    "C7": ("id+rer", "full", *(f"full, {kind}" for kind in PLACEBOS), TRUTH),
    "C8": ("id", "id+rer", "id+gbr", "full"),
    "C9": ("id+rer", "full"),
    "controls": ("id", "id+rer", *CONTROLS),
    "baselines": ("full", *BASELINES),
}
"""Claim → arms without which it can't be judged."""


def knowledge_poverty(table: Table) -> Evidence:
    """C1: RER beats ids without and with category and click rate, and ids with a frozen title vector; over the bare id
    it gains more on cold items than on popular ones. The same contrast over ids with category is shown: a category is
    knowledge too, so what is gained over it is not what was poor."""
    bases = ("bare id", "id", "id+title")
    deciding = [table.compare("id+rer", base, decides=True) for base in bases]
    cold, head = table.by_item["0"], table.by_item[">20"]
    deciding.append(table.compare_gains("id+rer", "bare id", cold, head, decides=True))
    shown = [table.compare_gains("id+rer", "id", cold, head)]
    shown += [table.compare("id+rer", base, part) for base in bases for part in table.by_item.values()]
    return _judged("C1", deciding, shown)


def reasoning_adds(table: Table, hits: Sequence[Comparison], figures: dict[str, Any]) -> Evidence:
    """C2: RER beats the aligned title alone, one prompt and no critic; title alone decides.

    Args:
        table: the arms.
        hits: item-to-item Hit@30 of the vectors; those marked so decide too.
        figures: more of the vectors, for the reader.
    """
    cold = table.by_item["0"]
    deciding = [c for c in hits if c.decides] + [table.compare("id+rer", "id+aligned title", cold, decides=True)]
    shown = [c for c in hits if not c.decides]
    shown += [table.compare("id+rer", "id+aligned title")]
    shown += [
        table.compare("id+rer", f"id+rer, {kind}", part)
        for kind in ("one prompt", "no critic")
        for part in (None, cold)
    ]
    return _judged("C2", deciding, shown, figures)


def inference_lifts(table: Table) -> Evidence:
    """C7: inferred behaviours lift the ranker over none at all and over all four placebos of equal shape. Where what
    the log hides is known, the lift by the truth itself is shown beside it: with none there, nothing could be found."""
    deciding = [table.compare("full", "id+rer", decides=True)]
    deciding += [table.compare("full", f"full, {kind}", decides=True) for kind in PLACEBOS]
    shown = [table.compare(TRUTH, "id+rer")] if TRUTH in table.scores else []
    shown += [table.compare(f"full, {kind}", "id+rer") for kind in PLACEBOS]
    shown += [table.compare("full", "id+rer", part) for part in table.by_item.values()]
    return _judged("C7", deciding, shown)


def complement(table: Table) -> Evidence:
    """C8: both together beat the better one of the two."""
    best = max(("id+rer", "id+gbr"), key=lambda arm: table.gauc(arm).mean)
    other = "id+gbr" if best == "id+rer" else "id+rer"
    shown = [table.compare("full", other), table.compare("id+rer", "id"), table.compare("id+gbr", "id")]
    return _judged("C8", [table.compare("full", best, decides=True)], shown)


def sparse_users_unharmed(table: Table, gate: NDArray[np.float64] | None) -> Evidence:
    """C9: with inferences, no group of users by length of history is worse than without, beyond noise.

    Args:
        table: the arms.
        gate: [N] the full arm's gate value of each test impression, nan where it saw no inferences.
    """
    compared = [table.compare("full", "id+rer", part, decides=True) for part in table.by_history.values()]
    testable = [c for c in compared if c.measured]
    figures: dict[str, Any] = {}
    if gate is not None:
        figures["gate by history"] = {
            bucket: {"mean ω": _mean(of_part), "impressions with inferences": _share(~np.isnan(of_part))}
            for bucket, part in table.by_history.items()
            for of_part in [gate[part.rows]]
        }
    harmed = [c for c in testable if c.worse]
    if not testable:
        return Evidence(
            "C9", "not testable here", "no group has users enough with both labels", tuple(compared), figures
        )
    verdict: Verdict = "does not hold" if harmed else "holds"
    reason = (
        "worse for " + "; ".join(f"{_where(c)} ({_shown(c)})" for c in harmed)
        if harmed
        else f"none of {len(testable)} groups of users is worse beyond noise"
    )
    return Evidence("C9", verdict, reason, tuple(compared), figures)


def against_baselines(table: Table) -> Evidence:
    """The full model against tuned baselines and the smoothed item mean; the strongest one also bucket by bucket."""
    rivals = [arm for arm in (*BASELINES, "item_mean") if arm in table.scores]
    deciding = [table.compare("full", rival, decides=True) for rival in rivals]
    best = max(rivals, key=lambda arm: table.gauc(arm).mean)
    return _judged("baselines", deciding, [table.compare("full", best, part) for part in table.by_item.values()])


def controls(table: Table) -> Evidence:
    """What must fail: an experiment that finds an effect of nonsense measures something else than it says."""
    compared = [
        table.compare("full, shuffled items", "id+rer", decides=True),
        table.compare("id+rer, random z", "id", decides=True),
        table.compare("id+rer, permuted codes", "id+rer", decides=True),
    ]
    if unmeasured := [c for c in compared if not c.measured]:
        return Evidence("controls", "not testable here", unmeasured[0].unmeasured, tuple(compared))
    helped = [c for c in compared if c.better]
    reason = (
        "a control helps: " + "; ".join(f"{c.other} over {c.base} ({_shown(c)})" for c in helped)
        if helped
        else "shuffled inferences, random vectors and permuted codes give no lift, as they must not"
    )
    return Evidence("controls", "does not hold" if helped else "holds", reason, tuple(compared))


def _judged(
    claim: str, deciding: Sequence[Comparison], shown: Sequence[Comparison], figures: dict[str, Any] | None = None
) -> Evidence:
    undefined = [c for c in deciding if not c.measured]
    failed = [c for c in deciding if not c.better]
    every = (*deciding, *shown)
    if undefined:
        return Evidence(claim, "not testable here", undefined[0].unmeasured, every, figures or {})
    if failed:
        reason = "not above 0: " + "; ".join(f"{_named(c)} ({_shown(c)})" for c in failed)
        return Evidence(claim, "does not hold", reason, every, figures or {})
    reason = "above 0: " + "; ".join(f"{_named(c)} ({_shown(c)})" for c in deciding)
    return Evidence(claim, "holds", reason, every, figures or {})


def _named(compared: Comparison) -> str:
    if compared.other == compared.base:
        return compared.what
    return f"{compared.what}, {compared.other} over {compared.base}"


def _where(compared: Comparison) -> str:
    return compared.what.removeprefix("GAUC, ")


def _shown(compared: Comparison) -> str:
    return f"{compared.effect:+.4f} [{compared.low:+.4f}, {compared.high:+.4f}]"


def _share(marked: NDArray[np.bool_]) -> float | None:
    return float(marked.mean()) if len(marked) else None


def _mean(values: NDArray[np.float64]) -> float | None:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else None
