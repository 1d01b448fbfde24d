"""The plots of a run's page."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from reaseq.evaluation.behaviors.measures import AFTER, GAP, Calibrated, Category
from reaseq.evaluation.behaviors.sweep import Sweep
from reaseq.evaluation.drawing import FULL, GAIN, ID, INK, LINE, LOSS, QUIET, Texts, svg
from reaseq.evaluation.metrics import Floats

_CATEGORY = 36  # characters of a name
_BY_GUIDANCE = (ID, FULL, GAIN, QUIET, LOSS)
_PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g} %")
_PLACES = {GAP: QUIET, AFTER: FULL}


def reliability(found: Calibrated) -> str:
    """Share of hits by confidence, of items and of categories, with 95 % Wilson intervals."""

    def draw(axes: Sequence[Axes]) -> None:
        curves = (
            (axes[0], "that item", [each.hits for each in found.bins], found.error, FULL),
            (
                axes[1],
                "an item of its category",
                [each.category_hits for each in found.bins],
                found.category_error,
                GAIN,
            ),
        )
        x = np.array([each.confidence for each in found.bins])
        count = np.array([each.count for each in found.bins])
        reach = max(1.12 * x.max(initial=0), 0.01)
        for ax, what, hits, error, colour in curves:
            ax.plot([0, reach], [0, reach], color=LINE, linewidth=1, linestyle="--")
            if len(x):
                share, (low, high) = np.array(hits) / count, _wilson(np.array(hits), count)
                ax.vlines(x, low, high, color=colour, alpha=0.45, linewidth=2)
                ax.plot(x, share, "o-", color=colour, markersize=5, linewidth=1.2)
                ax.set_ylim(0, max(1.1 * high.max(), reach))
            ax.set(xlabel="confidence", ylabel="share that came true", xlim=(0, reach))
            ax.set_title(f"{what}: ECE {error:.3f}")

    return svg("confidence-reliability", draw, size=(9.6, 3.9), columns=2)


def confidence(places: Mapping[str, Floats]) -> str:
    """Distribution of confidence by place of the slot, on a logarithmic axis."""

    def draw(axes: Sequence[Axes]) -> None:
        ax = axes[0]
        values = {name: each for name, each in places.items() if len(each)}
        least = min(each.min() for each in values.values())
        most = max(each.max() for each in values.values())
        bins = np.geomspace(0.9 * float(least), 1.1 * float(most), 26).tolist()
        for name, each in values.items():
            label = f"{name} ({len(each):,})"
            share = np.full(len(each), 1 / len(each))
            ax.hist(each, bins=bins, weights=share, histtype="step", linewidth=1.6, color=_PLACES[name], label=label)
        ax.set(xscale="log", xlabel="confidence", ylabel="share of the place’s inferences")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(_PERCENT)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)

    return svg("confidence-by-place", draw, size=(9.6, 3.0))


def spread(values: Floats, label: str) -> str:
    """Distribution of a quantity of users at snapshots, 0 or more; nan is left out."""
    there = values[~np.isnan(values)]
    most = max(1.0, float(there.max(initial=0)))

    def draw(axes: Sequence[Axes]) -> None:
        axes[0].hist(there, bins=np.linspace(0, most, 26).tolist(), color=FULL, alpha=0.85)
        if len(there):
            axes[0].axvline(there.mean(), color=INK, linewidth=0.8, linestyle=":")
        axes[0].set(xlabel=label, ylabel="users at snapshots", xlim=(0, most))

    return svg(f"spread-{label}", draw, size=(4.9, 2.8))


def categories(rows: Sequence[Category]) -> str:
    """How often each category is inferred, beside how often it is logged."""
    texts = Texts()

    def draw(axes: Sequence[Axes]) -> None:
        ax = axes[0]
        places = np.arange(len(rows) - 1, -1, -1)
        for kind, offset, colour in (("logged", 0.19, ID), ("inferred", -0.19, FULL)):
            ax.barh(places + offset, [getattr(row, kind) for row in rows], height=0.36, color=colour, label=kind)
        ax.set_yticks(places, [texts.stand_in(row.name, _CATEGORY) for row in rows])
        ax.set(xlabel="share of the logged and of the inferred behaviours", ylim=(-0.7, len(rows) - 0.3))
        ax.xaxis.set_major_formatter(_PERCENT)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)

    return svg("categories", draw, size=(9.6, 1.1 + 0.36 * len(rows)), texts=texts)


def recall(found: Sweep) -> str:
    """Recall@10 by reverse steps, one line per guidance; the run's own setting is ringed."""

    def draw(axes: Sequence[Axes]) -> None:
        ax = axes[0]
        steps = found.steps
        for number, guidance in enumerate(found.guidance):
            values = [found.cells[r, guidance].mean for r in steps]
            ax.plot(steps, values, "o-", color=_BY_GUIDANCE[number % len(_BY_GUIDANCE)], label=f"w = {guidance:g}")
        if found.configured in found.cells:
            own = found.cells[found.configured].mean
            ax.plot(found.configured[0], own, "o", markersize=13, markerfacecolor="none", markeredgecolor=INK)
        for (name, value), dash in zip(found.yardsticks.items(), (":", "--"), strict=True):
            ax.axhline(value.mean, color=INK, linewidth=0.9, linestyle=dash, label=name)
        ax.set_xscale("log", base=2)
        ax.set_xticks(steps, [str(r) for r in steps])
        ax.minorticks_off()
        ax.set(xlabel="reverse steps R", ylabel="Recall@10 of the future", ylim=(0, None))
        ax.margins(x=0.08)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return svg("recall", draw, size=(9.6, 3.6))


def _wilson(hits: np.ndarray, count: np.ndarray, z: float = 1.96) -> tuple[Floats, Floats]:
    """95 % interval of a share (Wilson, JASA 1927), as if the inferences of one user were independent."""
    share = hits / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.maximum(centre - half, 0), centre + half
