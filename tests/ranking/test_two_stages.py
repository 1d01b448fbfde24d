"""The full ranker under the protocol of full-ranking tables: alone, and behind a retriever."""

import numpy as np
import pytest

from reaseq.artifacts import Artifact
from reaseq.ranking.scoring import Scorer
from reaseq.ranking.sequential import Popularity, RankerScores, Targets, TwoStages, rank_targets
from reaseq.ranking.sequential.full_ranking import Score
from tests.ranking.conftest import World


@pytest.fixture(scope="module")
def scorer(full: Artifact, world: World) -> Scorer:
    return Scorer(full, *world.inputs)


@pytest.fixture(scope="module")
def ranker(scorer: Scorer) -> RankerScores:
    return RankerScores(scorer.model, scorer.data, scorer.contexts)


@pytest.fixture(scope="module")
def targets(scorer: Scorer) -> Targets:
    """Those that their users have not had before."""
    every, log = Targets.of(scorer.data, "test"), scorer.data.log
    fresh = [
        item not in log.items[low:high] for item, low, high in zip(every.item, every.start, every.end, strict=True)
    ]
    return Targets(*(column[np.array(fresh)] for column in vars(every).values()))


@pytest.fixture(scope="module")
def retriever(scorer: Scorer) -> Score:
    """Popularity with ties broken by number, so that both orders are the same at every call."""
    popularity = Popularity(scorer.data.log.only_train(), len(scorer.data.item_ids))
    tie = np.linspace(0, 0.5, len(scorer.data.item_ids), dtype=np.float32)
    return lambda start, end: popularity(start, end) + tie


def test_grids_of_users_score_as_one_request_does(scorer: Scorer, ranker: RankerScores, targets: Targets) -> None:
    shown = scorer.data.impressions("test")
    together = ranker(targets.start, targets.end)
    assert together.shape == (len(targets), len(scorer.data.item_ids))
    for place in range(0, len(targets), 3):
        of_target = (shown.user == targets.user[place]) & (shown.item == targets.item[place]) & (shown.label == 1)
        row = int(np.flatnonzero(of_target)[0])
        np.testing.assert_allclose(together[place], scorer.catalogue_scores(shown, row)[1:], atol=1e-5)


def test_without_weight_the_retrievers_order_stays(
    scorer: Scorer, ranker: RankerScores, retriever: Score, targets: Targets
) -> None:
    alone = rank_targets(scorer.data, targets, retriever, 0)
    kept = rank_targets(scorer.data, targets, TwoStages(retriever, ranker, 10, 0.0), 0)
    np.testing.assert_array_equal(alone.rank, kept.rank)


def test_only_what_was_retrieved_is_ordered_anew(
    scorer: Scorer, ranker: RankerScores, retriever: Score, targets: Targets
) -> None:
    alone = rank_targets(scorer.data, targets, retriever, 0)
    fused = rank_targets(scorer.data, targets, TwoStages(retriever, ranker, 30, 100.0), 0)
    outside = alone.rank > 30
    assert outside.any() and not outside.all()
    np.testing.assert_array_equal(alone.rank[outside], fused.rank[outside])
    assert (fused.rank[~outside] <= 30).all()
    assert (fused.rank != alone.rank).any()
