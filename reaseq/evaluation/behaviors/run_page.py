"""A run's page: what was inferred against what came of it, and how recall depends on reverse steps and guidance."""

from markupsafe import Markup

from reaseq.evaluation import pages
from reaseq.evaluation.behaviors import plots
from reaseq.evaluation.behaviors.measures import Measures
from reaseq.evaluation.behaviors.sweep import Sweep


def render(run: str, dataset: str, preset: str, seed: int, found: Measures, swept: Sweep | None) -> str:
    """The page as one HTML file that fetches nothing.

    Args:
        run: its id; `dataset`, `preset` and `seed` are of its configuration.
        found: measures of all inferences.
        swept: recall by R and w, or None where it was not measured.
    """
    drawn = {
        "reliability": plots.reliability(found.calibration),
        "places": plots.confidence(found.confidence),
        "new_categories": plots.spread(found.new_categories, "share of categories new to the log"),
        "diversity": plots.spread(found.diversity, "diversity: 1 − mean cosine"),
        "categories": plots.categories(found.categories),
    }
    if swept:
        drawn["recall"] = plots.recall(swept)
    return pages.template("behaviors.html.j2").render(
        run=run,
        dataset=dataset,
        preset=preset,
        seed=seed,
        found=found,
        swept=swept,
        # The drawings are ours; text from the data was escaped on its way in.
        plots={name: Markup(svg) for name, svg in drawn.items()},  # noqa: S704
    )
