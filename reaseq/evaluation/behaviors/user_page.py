"""One user's page: the timeline as a plot and as a table."""

from dataclasses import dataclass

from markupsafe import Markup

from reaseq.evaluation import pages
from reaseq.evaluation.behaviors.timeline import Entry, Timeline, day, shortened
from reaseq.evaluation.behaviors.timeline_plot import timeline as drawn

_PLOTTED, _LISTED = 24, 200  # of the log's behaviours


@dataclass(frozen=True)
class Row:
    """A line of the table: a behaviour, or how many are left out."""

    day: str
    entry: Entry | None
    missing: int = 0


def render(run: str, found: Timeline) -> str:
    """The page as one HTML file that fetches nothing.

    Args:
        run: its id.
        found: of one user.
    """
    plot = drawn(shortened(found.entries, _PLOTTED), found.snapshot)
    rows = [
        Row("", None, each) if isinstance(each, int) else Row(day(each.time), each)
        for each in shortened(found.entries, _LISTED)
    ]
    inferred = found.of("inferred")
    return pages.template("user.html.j2").render(
        run=run,
        found=found,
        snapshot=None if found.snapshot is None else day(found.snapshot),
        seen=len(found.of("log")),
        later=len(found.of("later")),
        inferred=inferred,
        most=max((entry.confidence or 0 for entry in inferred), default=1),
        had=sum(bool(entry.truth) for entry in inferred),
        rows=rows,
        plot=Markup(plot),  # noqa: S704 - ours; text from the data was escaped on its way in
    )
