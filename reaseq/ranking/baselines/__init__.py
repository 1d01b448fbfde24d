"""Click-through baselines in the ranker's own harness: same batches, same contexts, same trainer, no inferences.

They follow `reaseq.ranking.training.Network`, so that what is compared is the network and nothing around it.

    din_id     DIN over item ids
    din_title  DIN over ids plus a frozen vector, P·z
    title      DIN over the frozen vector alone
    kar        DIN over ids, with the vector through KAR's adaptor

`fit_best` trains one for as long as validation says. Which vectors z are is the caller's choice, `tables["z"]`: a title
at the full width of its encoder (`representation.titles`), or aligned ones.
"""

from collections.abc import Mapping

import numpy as np
import torch

from reaseq.config import BaselineConfig, RunConfig
from reaseq.ranking.baselines.din import Din
from reaseq.ranking.baselines.kar import Kar
from reaseq.ranking.baselines.selection import Selection, fit_best
from reaseq.ranking.errors import RankingError
from reaseq.ranking.features import FeatureLimits

BASELINES = ("din_id", "din_title", "title", "kar")

__all__ = ["BASELINES", "Din", "Kar", "Selection", "baseline_limits", "baseline_run", "build_baseline", "fit_best"]


def build_baseline(name: str, config: BaselineConfig, seed: int, tables: Mapping[str, np.ndarray]) -> Din:
    """A freshly initialised baseline.

    Args:
        name: one of `BASELINES`.
        config: sizes.
        seed: of the initial weights.
        tables: `z` [V+1, w] (KAR: w = 128) and `counts` [V+1], as `stage.item_tables` gives them; others are not read.

    Raises:
        RankingError: there is no such baseline.
    """
    if name not in BASELINES:
        raise RankingError(f"baseline {name!r} is unknown; choose one of {', '.join(BASELINES)}.")
    torch.manual_seed(seed)
    z, counts = tables["z"], tables["counts"]
    if name == "kar":
        return Kar(config, z, counts)
    return Din(config, z, counts, ids=name != "title", vectors=name != "din_id")


def baseline_run(config: RunConfig) -> RunConfig:
    """The run's configuration with the baselines' way of training in its `ranking` section, for `stage.fit`."""
    own = config.baselines
    training = {name: getattr(own, name) for name in ("batch", "epochs", "lr_dense", "lr_sparse", "id_dropout")}
    as_published = {"short_history": own.history, "least_steps": 1, "fresh_ids": False, "lr_final": 1.0}
    ranking = config.ranking.model_copy(update=training | as_published)
    return config.model_copy(update={"ranking": ranking})


def baseline_limits(config: BaselineConfig) -> FeatureLimits:
    """Of the contexts: the short history, and as little as can be of what no baseline reads."""
    return FeatureLimits(short=config.history, long=1, inferred=1)
