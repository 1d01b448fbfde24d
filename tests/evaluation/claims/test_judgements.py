"""Verdicts follow from intervals by rule, whichever way they fall."""

import statistics
from collections.abc import Mapping

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reaseq.evaluation.buckets import BUCKETS, members
from reaseq.evaluation.claims import judgements
from reaseq.evaluation.claims.evidence import Comparison
from reaseq.evaluation.claims.judgements import ARMS, NEEDS, PLACEBOS
from reaseq.evaluation.claims.study import CLAIMS, wanted_arms
from reaseq.evaluation.claims.table import Part, Table

USERS, ROWS = 120, 10


def table(skill: Mapping[str, float], cold: Mapping[str, float] | None = None) -> Table:
    """A table of arms whose scores separate the labels as well as `skill` says (on cold items: `cold`)."""
    rng = np.random.default_rng(0)
    made = Table.__new__(Table)
    made.users = np.repeat(np.arange(USERS), ROWS)
    made.labels = np.tile(np.arange(ROWS) % 2, USERS).astype(np.int8)
    made.item_events = rng.choice([0, 3, 10, 40], USERS * ROWS)
    made.history = np.repeat(rng.choice([0, 3, 10, 40], USERS), ROWS)
    made._replicates, made._seed, made._kept = 200, 0, {}
    noise = rng.normal(size=(3, USERS * ROWS))
    made.scores = {}
    for arm, of_arm in skill.items():
        strength = np.where(made.item_events == 0, (cold or skill).get(arm, of_arm), of_arm)
        scores = strength * made.labels + noise + 0.1 * rng.normal(size=noise.shape)
        made.scores[arm] = list(1 / (1 + np.exp(-scores)))
    return made


def test_rer_must_beat_every_yardstick_and_gain_more_over_bare_ids_on_cold_items() -> None:
    arms = {"bare id": 0.2, "id": 0.3, "id+title": 0.6, "id+rer": 1.2}
    # A category that knows a lot of cold items: RER gains less over it there, which is shown and decides nothing.
    held = judgements.knowledge_poverty(table(arms, cold=arms | {"id": 2.3, "id+rer": 2.5}))
    assert held.verdict == "holds"
    assert [c.decides for c in held.comparisons[:5]] == [True, True, True, True, False]
    assert [c.what.split(":")[0] for c in held.comparisons[3:5]] == ["GAUC gain over bare id", "GAUC gain over id"]
    assert held.comparisons[4].worse
    even = judgements.knowledge_poverty(table(arms, cold={"bare id": 0.9, "id": 0.9, "id+title": 0.9, "id+rer": 1.0}))
    assert even.verdict == "does not hold"
    assert "items with 0 training events" in even.reason
    beaten = judgements.knowledge_poverty(table(arms | {"id+title": 1.4}))
    assert beaten.verdict == "does not hold"
    assert "over id+title" in beaten.reason


def test_the_spread_over_seeds_is_estimated_from_a_sample_and_unknown_of_one_seed() -> None:
    several = table({"full": 1.0})
    single = table({"full": 1.0})
    single.scores["full"] = single.scores["full"][:1]

    areas = [roc_auc_score(several.labels, scores) for scores in several.scores["full"]]

    assert several.figures()["full"]["AUC sd"] == pytest.approx(statistics.stdev(areas))
    assert several.figures()["full"]["GAUC sd"] > 0
    assert np.isnan([single.figures()["full"][f"{metric} sd"] for metric in ("AUC", "GAUC")]).all()


@pytest.mark.parametrize("strong", ["", *PLACEBOS])
def test_one_placebo_that_does_as_well_is_enough_to_void_the_lift(strong: str) -> None:
    arms = {"id+rer": 0.5, "full": 1.2} | {f"full, {kind}": 0.5 for kind in PLACEBOS}
    if strong:
        arms[f"full, {strong}"] = 1.2
    evidence = judgements.inference_lifts(table(arms))
    assert evidence.verdict == ("does not hold" if strong else "holds")
    assert not strong or f"full, {strong}" in evidence.reason


def test_the_best_single_part_is_what_both_must_beat() -> None:
    evidence = judgements.complement(table({"id": 0.2, "id+rer": 0.5, "id+gbr": 0.9, "full": 1.0}))
    decided = next(c for c in evidence.comparisons if c.decides)
    assert decided.base == "id+gbr"


def test_sparse_users_are_harmed_only_beyond_noise() -> None:
    same = judgements.sparse_users_unharmed(table({"id+rer": 1.0, "full": 1.0}), None)
    assert same.verdict == "holds"
    worse = judgements.sparse_users_unharmed(table({"id+rer": 1.5, "full": 0.3}), None)
    assert worse.verdict == "does not hold"
    assert "history of" in worse.reason


def test_a_control_that_helps_is_reported() -> None:
    arms = dict.fromkeys(("id", "id+rer", "id+rer, random z", "id+rer, permuted codes", "full, shuffled items"), 0.6)
    assert judgements.controls(table(arms)).verdict == "holds"
    evidence = judgements.controls(table(arms | {"id+rer, random z": 1.6}))
    assert evidence.verdict == "does not hold"
    assert "random z" in evidence.reason


def test_the_other_half_of_c2_decides_too() -> None:
    arms = {"id+aligned title": 0.5, "id+rer": 1.2, "id+rer, one prompt": 0.5, "id+rer, no critic": 0.5}
    lost = Comparison("Hit@30", "RER", "title, aligned", 0.1, 0.2, -0.1, -0.2, -0.05, 1, 50, decides=True)
    evidence = judgements.reasoning_adds(table(arms), [lost], {})
    assert evidence.verdict == "does not hold"
    assert "Hit@30" in evidence.reason


def test_what_no_user_can_show_is_not_testable() -> None:
    empty = table({"bare id": 0.2, "id": 0.3, "id+title": 0.6, "id+rer": 1.2})
    empty.labels = np.ones_like(empty.labels)
    assert judgements.knowledge_poverty(empty).verdict == "not testable here"


def test_buckets_part_the_positives_and_the_users() -> None:
    made = table({"id": 0.3})
    positives = sum(int(made.labels[part.positives].sum()) for part in made.by_item.values())
    assert positives == int(made.labels.sum())
    assert sum(int(part.rows.sum()) for part in made.by_history.values() if part.rows is not None) == len(made.labels)
    assert isinstance(made.by_item["0"], Part)
    assert set(made.by_item) == set(BUCKETS)
    assert members(made.item_events, "0").sum() == (made.item_events == 0).sum()


def test_every_arm_that_a_claim_needs_exists_and_names_are_distinct() -> None:
    names = [arm.name for arm in ARMS]
    assert len(names) == len(set(names))
    assert {arm for needed in NEEDS.values() for arm in needed} <= set(names)
    assert wanted_arms(["C3", "C10"], truth=True) == []
    assert {arm.name for arm in wanted_arms(["C1"], truth=True)} == {"bare id", "id", "id+title", "id+rer"}
    assert {arm.name for arm in wanted_arms(CLAIMS, truth=True)} == set(names)


def test_without_an_interval_nothing_holds_and_nothing_fails() -> None:
    """Too few users, or no replicates: no verdict, whatever the effect."""
    arms = dict.fromkeys(("id", "id+rer", "id+rer, random z", "id+rer, permuted codes", "full, shuffled items"), 0.6)
    few = table(arms | {"full": 0.1, "id+gbr": 0.1})
    few.labels[few.users >= 9] = 1
    blind = table(arms | {"full": 0.1, "id+gbr": 0.1})
    blind._replicates = 0
    for each in (few, blind):
        judged = judgements.controls(each), judgements.sparse_users_unharmed(each, None), judgements.complement(each)
        assert {evidence.verdict for evidence in judged} == {"not testable here"}
