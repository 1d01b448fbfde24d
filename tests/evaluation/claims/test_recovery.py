"""Recall of what the log does not show, and the interval over users and seeds."""

from dataclasses import replace

import numpy as np
import pytest

from reaseq.data.dataset import EventLog
from reaseq.evaluation.buckets import LEAST_USERS
from reaseq.evaluation.claims import recovery
from reaseq.evaluation.claims.cases import Cases, likeness, novelty
from reaseq.evaluation.claims.recovery import ANOTHER, GBR, POPULARITY, best, compare, per_user, recalls
from reaseq.ranking.sequential.counting import CohortPopularity
from reaseq.representation.vectors import ItemVectors

ITEMS, USERS = 30, 12
CATEGORY = np.array([0, *[1] * 25, *[2] * 5])


def _vectors() -> ItemVectors:
    z = np.zeros((ITEMS + 1, 128), np.float32)
    z[np.arange(1, ITEMS + 1), np.arange(ITEMS)] = 1
    return ItemVectors(z, np.zeros((ITEMS + 1, 4), np.int64), None, "hand")


def _cases() -> Cases:
    """User u has taken items 1 … 5, is inferred 10 + u and 11 + u, and truly takes 10 + u."""
    log = EventLog(
        user_ids=np.array([f"u{n}" for n in range(USERS)], object),
        offsets=np.arange(USERS + 1) * 5,
        items=np.concatenate([[1, 2, 3, 4, 5]] * (USERS - 1) + [np.arange(26, 31)]).astype(np.int32),
        timestamps=np.zeros(USERS * 5, np.int64),
        actions=np.zeros(USERS * 5, np.int8),
        train=np.ones(USERS * 5, bool),
        action_names=("click",),
    )
    user = np.arange(USERS)
    truth = np.zeros((USERS, ITEMS + 1), bool)
    truth[user, 10 + user] = True
    items = np.stack([10 + user, 11 + user], axis=1)
    return Cases(log, user, items, _vectors().z[items], truth, np.ones_like(truth))


def test_right_inferences_are_recalled_and_another_users_are_not():
    found = recalls([_cases()], _vectors(), scale=10.0, category=CATEGORY, new=0, history=50, seed=0)

    assert set(found[GBR].overall.values()) == {1.0}
    assert sum(found[ANOTHER].overall.values()) < USERS / 2
    assert set(found[POPULARITY].overall.values()) == {0.0}  # nobody's truth occurs in the log


def test_a_ranking_holds_no_item_of_the_history_and_none_unknown_to_the_log():
    cases = _cases()

    for name, found in recalls([cases], _vectors(), scale=10.0, category=CATEGORY, new=0, history=50, seed=0).items():
        if name not in (GBR, ANOTHER):
            assert set(found.within.values()) == {0.0}  # items 10 … 21 are not in the catalogue


def test_the_asked_share_is_of_categories_that_the_history_lacks_and_the_rest_of_the_best():
    cases = _cases()
    log = cases.log
    others = np.arange(1, ITEMS + 1)  # of one more user, so that every item is in the catalogue
    cases = replace(
        cases,
        log=replace(
            log,
            user_ids=np.append(log.user_ids, "other"),
            offsets=np.append(log.offsets, log.offsets[-1] + ITEMS),
            items=np.append(log.items, others).astype(np.int32),
        ),
    ).at(np.arange(USERS - 1))
    popular = np.where(np.arange(ITEMS + 1) < 26, 2.0, 1.0)  # what they lack would never come first by itself
    lacking = recovery.lacking(cases, CATEGORY)
    beyond = np.tile(CATEGORY == 2, (len(cases), 1))

    def hits(new: int, truth: np.ndarray) -> set[int]:
        asked, rng = replace(cases, truth=truth), np.random.default_rng(0)
        return set(recovery._hits(asked, lambda part: np.tile(popular, (len(part), 1)), lacking, new, rng)[0].tolist())

    assert (lacking == beyond).all()
    assert [hits(new, beyond) for new in (0, 2, 5, 9)] == [{0}, {2}, {5}, {5}]  # there are five
    assert hits(2, ~beyond) == {recovery.M - 2}


def test_a_cohort_is_who_mostly_takes_the_same_category():
    log = _cases().log
    popular = CohortPopularity(log, log, CATEGORY)
    scores = popular(log.offsets[[0, USERS - 1]], log.offsets[[1, USERS]])
    assert scores.shape == (2, ITEMS)
    assert scores[0].tolist() == [USERS - 1] * 5 + [0] * (ITEMS - 5)
    assert scores[1].tolist() == [0] * 25 + [1] * 5
    assert popular(log.offsets[[0]], log.offsets[[0]]).sum() == 0  # an empty history belongs to no cohort here


def test_nearest_to_the_history_are_items_like_its_last_ones():
    cases, vectors = _cases(), _vectors()
    z = vectors.z.copy()
    z[20] = z[5]  # as the last behaviour of all but one user
    scores = recovery._near_history(replace(vectors, z=z), 50)(cases.at(slice(0, 1)))[0]
    assert scores[20] == scores[5] == scores.max()
    assert scores[4] > scores[1] > scores[10] == 0


def test_the_best_are_drawn_at_random_among_ties_and_never_from_what_is_shut_out():
    scores = np.array([[-np.inf, 3.0, 1.0, 1.0, 1.0, 0.0], [-np.inf, 2.0, *[-np.inf] * 4]])
    draws = [best(scores, 2, np.random.default_rng(seed)) for seed in range(60)]

    assert {tuple(sorted(rows[0])) for rows in draws} == {(1, 2), (1, 3), (1, 4)}
    assert {tuple(sorted(rows[1])) for rows in draws} == {(0, 1)}


def test_the_best_are_those_of_a_full_sort():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20, 100))

    found = np.sort(best(scores, 7, rng), axis=1)

    np.testing.assert_array_equal(found, np.sort(np.argsort(-scores, axis=1)[:, :7], axis=1))


def test_values_of_several_snapshots_are_weighted_and_undefined_ones_left_out():
    first = (np.array([1, 2]), np.array([1.0, np.nan]), np.array([2, 3]))
    second = (np.array([1, 3]), np.array([3.0, 0.0]), np.array([2, 0]))

    assert per_user([first, second]) == {1: 1.0}


def test_a_difference_that_all_users_show_has_its_interval_above_zero():
    rng = np.random.default_rng(0)
    base = [{user: rng.random() for user in range(40)} for _ in range(5)]
    other = [{user: value + 0.1 for user, value in of_seed.items()} for of_seed in base]

    better = compare("x", ("a", other), ("b", base), replicates=200, seed=0)
    none = compare("x", ("a", base), ("b", base), replicates=200, seed=0)

    assert better.effect == pytest.approx(0.1) and better.better and better.seeds == 5 and better.users == 40
    assert none.low == none.high == 0 and not none.better and not none.worse


def test_users_count_in_the_seeds_that_have_them():
    other, base = [{0: 1.0, 1: 1.0}, {1: 0.0, 2: 0.0, 9: 5.0}], [{0: 0.0, 1: 0.0}, {1: 0.0, 2: 0.0}]

    found = compare("x", ("a", other), ("b", base), replicates=50, seed=0)

    assert found.effect == pytest.approx(0.5) and found.users == 3


def test_chance_among_seeds_widens_the_interval():
    same = [dict.fromkeys(range(50), 0.1) for _ in range(4)]
    apart = [dict.fromkeys(range(50), value) for value in (0.0, 0.4, -0.2, 0.2)]
    nothing = [dict.fromkeys(range(50), 0.0)] * 4

    steady = compare("x", ("a", same), ("b", nothing), replicates=300, seed=0)
    wild = compare("x", ("a", apart), ("b", nothing), replicates=300, seed=0)

    assert steady.better and not wild.better
    assert wild.effect == pytest.approx(steady.effect)


@pytest.mark.parametrize("users", [0, 1, LEAST_USERS - 1])
def test_a_few_users_show_nothing(users):
    """An interval of them would cover less than it claims, and a lone user's has no width at all."""
    ones, zeros = dict.fromkeys(range(users), 1.0), dict.fromkeys(range(users), 0.0)
    found = compare("x", ("a", [ones]), ("b", [zeros]), replicates=50, seed=0)

    assert not found.measured and not found.better and "users" in found.note


def test_nobody_gets_their_own_inferences():
    cases = _cases()

    other = cases.of_another_user(3)

    assert (other.items != cases.items).any(1).all()
    np.testing.assert_array_equal(np.sort(other.items, axis=0), np.sort(cases.items, axis=0))
    np.testing.assert_array_equal(other.truth, cases.truth)


def test_likeness_is_the_mean_cosine_over_pairs():
    found = likeness(_cases(), _vectors())

    np.testing.assert_allclose(found["items"], 0.5)  # one of the two items is the truth, the other orthogonal
    np.testing.assert_allclose(found["latents"], 0.5)


def test_users_without_inferences_recall_nothing_and_have_no_cosine():
    cases = _cases()
    cases.items[3], cases.latents[3] = 0, 0

    assert recalls([cases], _vectors(), scale=10.0, category=CATEGORY, new=0, history=50, seed=0)[GBR].overall[3] == 0
    assert np.isnan(likeness(cases, _vectors())["items"][3])
    assert recovery.recall_of_inferred(cases)[3] == 0


class _Categories:
    category_names = ("a", "b")
    category_index = np.array([0, *[1] * 12, *[2] * 18])


def test_novelty_counts_items_and_categories_that_the_log_lacks():
    cases = _cases()
    cases.items[0], cases.items[1, 1] = [1, 20], 0

    found = novelty(cases, _Categories(), _vectors())

    assert found["new_items"][0] == 0.5 and found["new_items"][1] == 1
    assert found["new_categories"][0] == 0.5  # item 20 is of b, the log of a
    assert found["diversity"][0] == pytest.approx(1) and np.isnan(found["diversity"][1])  # one item is not diverse
