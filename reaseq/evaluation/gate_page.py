"""The gate's decision for people: a page for a browser, and the same as Markdown for the Kubeflow UI and chats."""

from markupsafe import Markup

from reaseq.config import Json
from reaseq.evaluation import figures, pages
from reaseq.evaluation.gate import Check, Decision

_MARKS = {"pass": "✓", "fail": "✗", "not applicable": "–"}


def as_html(told: Json) -> str:
    """The page.

    Args:
        told: what `gate.json` holds.
    """
    decision = Decision.from_json(told)
    changes = [check for check in decision.checks if check.name.startswith("bucket.")]
    nothing = {"effect": None, "low": None, "high": None}
    drawn = figures.changes(
        [(c.title.removeprefix("GAUC on "), nothing if c.status == "not applicable" else _change(c)) for c in changes]
    )
    return pages.template("gate.html.j2").render(
        told=told,
        decision=decision,
        marks=_MARKS,
        figures={check.name: figure(check) for check in decision.checks},
        plot=Markup(drawn),  # noqa: S704 - ours, and without text from the data
    )


def as_markdown(told: Json) -> str:
    """Decision, reason, a table of checks, notes; `told` as above."""
    decision = Decision.from_json(told)
    seeds = ", ".join(str(seed) for seed in told["challenger"]["seeds"])
    lines = [
        f"# {decision.word.capitalize()}",
        "",
        _plain(decision.reason),
        "",
        f"- rule version {decision.rule_version}",
        f"- champion: {_plain(told['champion']['name'])}",
        f"- challenger: `{told['challenger']['digest'][:16]}`, trained from seeds {seeds}",
        "",
        "| | check | figure | bound |",
        "|---|---|---|---|",
        *(f"| {_MARKS[c.status]} | {_plain(c.title)} | {figure(c)} | {_plain(c.bound)} |" for c in decision.checks),
        "",
        *(f"- {_plain(note)}" for note in told["notes"]),
    ]
    return "\n".join(lines) + "\n"


def figure(check: Check) -> str:
    """The figure as a person reads it."""
    if check.figure is None:
        return check.reason.partition(": ")[2] if check.status == "not applicable" else "–"
    if check.name.startswith("parity."):
        return f"{check.figure:.1e}"
    if check.name == "seeds":
        return f"{check.figure:.0f}"
    signs = check.name == "auc" or check.name.startswith("bucket.")
    shown = figures.signed_interval(_change(check)) if signs else f"{check.figure:.3f}"
    return shown + (f" ({check.reason.partition(': ')[2]})" if check.status == "not applicable" else "")


def _change(check: Check) -> Json:
    low, high = check.interval or (None, None)
    return {"effect": check.figure, "low": low, "high": high}


def _plain(text: str) -> str:
    """Without what Markdown or a table would take for its own."""
    return text.replace("|", "/").replace("<", "‹").replace("\n", " ")
