"""Where raw data comes from: one module per family of files, and `open_source`, which knows them all by name."""

from collections.abc import Callable
from pathlib import Path

from reaseq.config import RunConfig
from reaseq.data.errors import DataError
from reaseq.data.source import Source
from reaseq.data.sources.amazon_beauty import AmazonBeauty
from reaseq.data.sources.amazon_reviews import AmazonReviews
from reaseq.data.sources.given import GivenImpressions
from reaseq.data.sources.ml_100k import MovieLens100k
from reaseq.data.sources.movielens import MovieLens
from reaseq.data.sources.tables import Tables
from reaseq.data.synthetic import SyntheticWorld

__all__ = ["DATASETS", "open_source"]

DATASETS: dict[str, Callable[[RunConfig], Source]] = {
    "synthetic": SyntheticWorld.from_config,
    "amazon-beauty": lambda config: AmazonBeauty(config.data.source, config.data.columns),
    "ml-100k": lambda config: MovieLens100k(config.data.source, config.data.columns),
    "amazon-reviews": lambda config: AmazonReviews(config.data.source, config.data.columns),
    "movielens": lambda config: MovieLens(config.data.source, config.data.columns),
    "files": lambda config: Tables(config.data.source, config.data.columns, config.data.timestamp_unit),
}


def open_source(config: RunConfig) -> Source:
    """The source that `data.dataset` names.

    Raises:
        DataError: there is none of that name.
    """
    try:
        source = DATASETS[config.data.dataset](config)
    except KeyError:
        raise DataError(
            f"data.dataset: {config.data.dataset!r} is unknown; choose one of: {', '.join(DATASETS)}. "
            "For tables of your own choose 'files' and map their columns with data.columns."
        ) from None
    given = config.data.impressions
    return GivenImpressions(source, Path(given), config.data.columns) if given else source
