"""The plot of a user's timeline."""

from collections.abc import Sequence

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from reaseq.evaluation.behaviors.timeline import Entry
from reaseq.evaluation.drawing import FULL, GAIN, ID, INK, Texts, svg

_TITLE = 52  # characters of a title


def timeline(rows: Sequence[Entry | int], snapshot: int | None) -> str:
    """A user's behaviours over time, one a row, newest first, and the confidence of those inferred.

    Args:
        rows: as `timeline.shortened` gives them.
        snapshot: µs, drawn as a line.
    """
    texts = Texts()
    places = {n: len(rows) - 1 - n for n in range(len(rows))}

    def draw(axes: Sequence[Axes]) -> None:
        when, sure = axes
        labels = []
        for n, row in enumerate(rows):
            y = places[n]
            if isinstance(row, int):
                labels.append(f"… {row:,} more")
                continue
            labels.append(texts.stand_in(row.title or row.item_id, _TITLE))
            x = mdates.date2num(np.datetime64(row.time, "us"))
            if row.confidence is None:
                face = ID if row.kind == "log" else "none"
                when.plot(x, y, "o", markersize=6, markerfacecolor=face, markeredgecolor=ID)
            else:
                colour = GAIN if row.truth else FULL
                when.plot(x, y, "D", markersize=6.5, color=colour)
                bar = sure.barh(y, row.confidence, height=0.55, color=colour, alpha=0.85)
                sure.bar_label(bar, [f"{row.confidence:.3f}"], padding=3, size=8, color=INK)
        when.set_yticks(list(places.values()), labels)
        for label, row in zip(when.get_yticklabels(), rows, strict=True):
            label.set_fontsize(8.5)
            if isinstance(row, int):
                label.set_alpha(0.6)
            elif row.confidence is not None:
                label.set_color(GAIN if row.truth else FULL)
        if snapshot is not None:
            when.axvline(mdates.date2num(np.datetime64(snapshot, "us")), color=INK, linewidth=0.8, linestyle=":")
        locator = mdates.AutoDateLocator(minticks=3, maxticks=6)
        when.xaxis.set_major_locator(locator)
        when.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
        when.margins(x=0.06)
        most = max([row.confidence for row in rows if not isinstance(row, int) and row.confidence] or [1.0])
        sure.set(xlabel="confidence", xlim=(0, 1.35 * most), yticks=[])
        for ax in axes:
            ax.set_ylim(-0.7, len(rows) - 0.3)
            ax.tick_params(axis="y", length=0)
        when.legend(
            handles=[
                _mark("o", ID, "log", ID),
                _mark("o", ID, "log, later", "none"),
                _mark("D", FULL, "inferred", FULL),
                _mark("D", GAIN, "inferred, and taken", GAIN),
            ],
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=4,
            handletextpad=0.1,
            columnspacing=1.0,
        )

    return svg("timeline", draw, size=(10.4, 1.3 + 0.25 * len(rows)), columns=2, widths=(3.2, 1), texts=texts)


def _mark(shape: str, colour: str, label: str, face: str) -> Line2D:
    return Line2D(
        [], [], linestyle="", marker=shape, markersize=6, color=colour, markerfacecolor=face, label=label
    )  # fmt: skip
