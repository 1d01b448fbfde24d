"""The report's plots as inline SVG. Nothing from the data (titles, categories) is written into them."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import Transform
from sklearn.metrics import roc_curve

from reaseq.evaluation.buckets import LEAST_USERS
from reaseq.evaluation.drawing import COLOURS, FULL, GAIN, ID, INK, LINE, LOSS, NAMES, QUIET, svg
from reaseq.evaluation.metrics import Floats, Ints, calibration
from reaseq.evaluation.scorecard import Verdict, signed, verdict

_COLOUR_OF: dict[Verdict, str] = {"better": GAIN, "worse": LOSS, "open": ID, "unsure": ID}


def lift_by_bucket(rows: Mapping[str, Mapping[str, Any]], unit: str) -> str:
    """GAUC of both models per bucket, and their difference with its interval; `unit` names what is counted."""

    def draw(axes: Sequence[Axes]) -> None:
        values, change = axes
        places = {name: len(rows) - 1 - n for n, name in enumerate(rows)}
        for name, y in places.items():
            points = {model: rows[name]["gauc"].get(model) for model in COLOURS}
            few = rows[name]["users"] < LEAST_USERS
            if few or None in points.values():
                said = f"fewer than {LEAST_USERS} users" if few and rows[name]["positives"] else "no such positives"
                values.text(0.5, y, said, transform=_row_of(values), ha="center", va="center", size=8.5)
                continue
            values.plot(list(points.values()), [y, y], color=LINE, linewidth=3, zorder=1, solid_capstyle="round")
            for model, value in points.items():
                values.plot(value, y, "o", color=COLOURS[model], markersize=8)
            lift = rows[name]["lift"]
            if lift and lift["effect"] is not None:
                change.plot(lift["effect"], y, "o", color=_COLOUR_OF[verdict(lift)], markersize=7)
                if lift["low"] is not None:
                    change.plot([lift["low"], lift["high"]], [y, y], color=_COLOUR_OF[verdict(lift)], linewidth=2.2)
        values.set(xlabel="GAUC", ylabel=unit)
        values.set_yticks(list(places.values()), [_bucket(name, rows[name]) for name in places])
        change.set(xlabel="GAUC, full − ID-only with its 95 % interval", yticks=[])
        change.axvline(0, color=INK, linewidth=0.8)
        for ax in axes:
            ax.set_ylim(-0.6, len(rows) - 0.4)
            ax.margins(x=0.12)
            ax.grid(axis="y", visible=False)
        marks = [
            Line2D([], [], marker="o", linestyle="", markersize=8, color=COLOURS[m], label=NAMES[m]) for m in NAMES
        ]
        values.legend(handles=marks, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handletextpad=0.2)

    return svg(f"lift-{unit}", draw, columns=2, size=(10.4, 1.1 + 0.45 * len(rows)))


def gate(rows: Mapping[str, Mapping[str, Any]], start: float) -> str:
    """ω by history length with its quartiles, with and without inferences; rows as `buckets.gate_by_history` gives,
    `start` what ω was before training."""

    def draw(axes: Sequence[Axes]) -> None:
        ax = axes[0]
        places = {name: len(rows) - 1 - n for n, name in enumerate(rows)}
        for kind, colour, offset in (("with", FULL, 0.13), ("without", ID, -0.13)):
            shown = {places[name] + offset: row[kind] for name, row in rows.items() if row[kind]["impressions"]}
            for y, spread in shown.items():
                ax.plot(spread["quartiles"][::2], [y, y], color=colour, linewidth=4, alpha=0.4, solid_capstyle="round")
            ax.plot(
                [s["mean"] for s in shown.values()],
                list(shown),
                "o",
                color=colour,
                markersize=7,
                label=f"{kind} inferences",
            )
        ax.axvline(start, color=INK, linewidth=0.8, linestyle=":")
        ax.set_yticks(list(places.values()), ["all" if name == "all" else name.replace("-", "–") for name in places])
        ax.set(xlabel="gate ω: mean, and the middle half of the impressions", ylabel="events of the user before")
        ax.set(xlim=(0, None), ylim=(-0.6, len(rows) - 0.4))
        ax.grid(axis="y", visible=False)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handletextpad=0.2)

    return svg("gate", draw, size=(4.9, 3.4))


def changes(
    rows: Sequence[tuple[str, Mapping[str, Any]]], label: str = "GAUC, challenger − champion with its 95 % interval"
) -> str:
    """Differences with their intervals, one below another; (label, {effect, low, high}), None where undefined."""

    def draw(axes: Sequence[Axes]) -> None:
        ax = axes[0]
        places = range(len(rows) - 1, -1, -1)
        for y, (_, change) in zip(places, rows, strict=True):
            if change["effect"] is None:
                ax.text(0.5, y, "nothing to measure", transform=_row_of(ax), ha="center", va="center", size=8.5)
                continue
            ax.plot(change["effect"], y, "o", color=_COLOUR_OF[verdict(change)], markersize=7)
            if change["low"] is not None:
                ax.plot([change["low"], change["high"]], [y, y], color=_COLOUR_OF[verdict(change)], linewidth=2.2)
        ax.axvline(0, color=INK, linewidth=0.8)
        ax.set_yticks(list(places), [label for label, _ in rows])
        ax.set(xlabel=label, ylim=(-0.6, len(rows) - 0.4))
        ax.grid(axis="y", visible=False)

    return svg("changes", draw, size=(9.6, 0.9 + 0.32 * len(rows)))


def signed_interval(change: Mapping[str, Any]) -> str:
    """A difference and its interval as text."""
    interval = "" if change["low"] is None else f" [{signed(change['low'])}, {signed(change['high'])}]"
    return signed(change["effect"]) + interval


def roc(labels: np.ndarray, scores: Mapping[str, Floats]) -> str:
    """ROC curves of the score sets, at most 200 points each."""

    def draw(axes: Sequence[Axes]) -> None:
        axes[0].plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle="--")
        if 0 < labels.sum() < len(labels):
            for name, values in scores.items():
                wrong, right, _ = roc_curve(labels, values)
                kept = np.unique(np.linspace(0, len(wrong) - 1, 200).astype(int))
                axes[0].plot(wrong[kept], right[kept], color=COLOURS[name], label=NAMES[name])
            axes[0].legend(loc="lower right")
        axes[0].set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1), aspect="equal")

    return svg("roc", draw, size=(4.7, 4.3))


def reliability(labels: np.ndarray, scores: Mapping[str, Floats]) -> str:
    """Observed share of positives by predicted probability; a dot's size tells how many impressions it stands for."""

    def draw(axes: Sequence[Axes]) -> None:
        axes[0].plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle="--")
        for name, values in scores.items():
            bins = calibration(labels, values)
            filled = bins.count > 0
            x, y, n = bins.predicted[filled], bins.observed[filled], bins.count[filled]
            axes[0].plot(x, y, color=COLOURS[name], linewidth=1.2, alpha=0.7)
            axes[0].scatter(
                x, y, s=8 + 90 * n / max(n.sum(), 1), color=COLOURS[name], label=NAMES[name], alpha=0.85, clip_on=False
            )
        axes[0].set(xlabel="predicted probability", ylabel="observed share of positives", xlim=(0, 1), ylim=(0, 1))
        axes[0].set_aspect("equal")
        if scores:
            legend = axes[0].legend(loc="upper left")
            for handle in legend.legend_handles:
                handle.set_sizes([30])  # type: ignore[union-attr]

    return svg("reliability", draw, size=(4.7, 4.3))


def curves(title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Training losses by step."""

    def draw(axes: Sequence[Axes]) -> None:
        colours = [FULL, ID, GAIN, QUIET, LOSS]
        for number, (name, points) in enumerate(series.items()):
            steps, values = np.array(points).T
            colour = COLOURS.get(name, colours[number % len(colours)])
            axes[0].plot(steps, values, color=colour, label=NAMES.get(name, name.replace("_", " ")), linewidth=1.4)
        axes[0].set(xlabel="step", ylabel=title)
        if len(series) > 1:
            axes[0].legend(loc="upper right")

    return svg(f"curves-{title}", draw, size=(4.9, 3.0))


def histogram(values: Floats, label: str) -> str:
    """Distribution of a quantity in [0, 1]."""

    def draw(axes: Sequence[Axes]) -> None:
        axes[0].hist(values, bins=[n / 25 for n in range(26)], color=FULL, alpha=0.85)
        axes[0].set(xlabel=label, ylabel="inferred behaviours", xlim=(0, 1))

    return svg(f"histogram-{label}", draw, size=(4.9, 3.0))


def bars(counts: Mapping[str, int], colours: Mapping[str, str], label: str) -> str:
    """Horizontal bars with their counts; for names that are ours, such as a status or a criterion."""

    def draw(axes: Sequence[Axes]) -> None:
        names = list(counts)[::-1]
        shown = axes[0].barh(names, [counts[n] for n in names], color=[colours.get(n, FULL) for n in names], height=0.6)
        axes[0].bar_label(shown, fmt="{:,.0f}", padding=4, color=INK)
        axes[0].set(xlabel=label, xlim=(0, max(1, *counts.values()) * 1.18))
        axes[0].set_ylim(min(-0.5, len(names) / 2 - 1.5), max(len(names) - 0.5, len(names) / 2 + 0.5))
        axes[0].grid(axis="y", visible=False)

    return svg(f"bars-{label}", draw, size=(4.9, 1.0 + 0.4 * len(counts)))


def code_use(levels: Sequence[Ints]) -> str:
    """Items under each code, most used first, one line per level; a flat line is an even use of the codebook."""

    def draw(axes: Sequence[Axes]) -> None:
        for number, counts in enumerate(levels):
            ordered = np.sort(counts)[::-1]
            axes[0].plot(
                np.arange(1, len(ordered) + 1),
                ordered,
                label=f"level {number + 1}",
                alpha=0.9,
                linewidth=1.4,
                color=mpl.colormaps["viridis"](0.15 + 0.65 * number / max(1, len(levels) - 1)),
            )
        even = np.mean([counts.sum() / len(counts) for counts in levels])
        axes[0].axhline(even, color=INK, linewidth=0.8, linestyle=":", label="even use")
        axes[0].set(xlabel="code, most used first", ylabel="items", ylim=(0, None))
        axes[0].legend(loc="upper right")

    return svg("code-use", draw, size=(4.9, 3.0))


def _row_of(ax: Axes) -> Transform:
    """x as a share of the width, y in data."""
    return ax.get_yaxis_transform()


def _bucket(name: str, row: Mapping[str, Any]) -> str:
    return f"{name.replace('-', '–')}  ({row['positives']:,})"
