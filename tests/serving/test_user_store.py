"""One contract for the store in memory and Feast's; and look-ups that are bounded, held and honest."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pytest

from feature_repo.apply import materialise
from reaseq.artifacts import Workspace
from reaseq.platform.features import USER_VIEWS, OnlineFeatures, Status
from serving.user_store import BoundedLookup, NewItems, UserStore
from tests import smallworld
from tests.serving.users import DeadStore, UsersInMemory, a_new_item, a_user


class Filled(NamedTuple):
    store: UserStore
    user: str
    item: str


@pytest.fixture(scope="module")
def feast(tmp_path_factory: pytest.TempPathFactory) -> OnlineFeatures:
    folder = tmp_path_factory.mktemp("feast")
    workspace = Workspace(folder / "workspace")
    dataset = smallworld.write_dataset(folder / "dataset", workspace)
    vectors = smallworld.write_item_vectors(folder / "vectors", dataset, workspace)
    made = materialise(
        folder / "store",
        dataset=dataset,
        knowledge=smallworld.write_knowledge(folder / "knowledge", dataset, workspace),
        item_vectors=vectors,
        inferred_behaviors=smallworld.write_inferred_behaviors(folder / "inferred", dataset, vectors, workspace),
        ranker_version=1,
        history_limit=5,
        max_age=dict.fromkeys(USER_VIEWS, timedelta(days=365)),
    )
    return OnlineFeatures(made.folder, made.service)


@pytest.fixture(params=["memory", "feast"])
def filled(request: pytest.FixtureRequest) -> Iterator[Filled]:
    if request.param == "memory":
        store: UserStore = UsersInMemory({"u1": a_user()}, {"i1": a_new_item()})
        yield Filled(store, "u1", "i1")
    else:
        yield Filled(request.getfixturevalue("feast"), "u03", "i007")


def test_a_known_user_has_a_row_whose_lists_belong_together(filled: Filled) -> None:
    found = filled.store.user(filled.user)
    assert found.row is not None
    assert set(found.statuses.values()) == {Status.PRESENT}
    assert len(found.row.history_items) == len(found.row.history_times) > 0
    assert list(found.row.history_times) == sorted(found.row.history_times, reverse=True)
    assert np.shape(found.row.inferred_vectors) == (len(found.row.inferred_items), 128)
    assert len(found.row.inferred_confidence) == len(found.row.inferred_items)
    assert found.row.events > 0


def test_an_unknown_user_has_no_row(filled: Filled) -> None:
    found = filled.store.user("nobody")
    assert found.row is None
    assert set(found.statuses) == set(USER_VIEWS)
    assert Status.PRESENT not in found.statuses.values()


def test_items_that_the_store_has_come_with_vector_and_codes(filled: Filled) -> None:
    found = filled.store.item_knowledge([filled.item, "ghost"])
    assert set(found.items) == {filled.item}
    item = found.items[filled.item]
    assert np.linalg.norm(item.z) == pytest.approx(1, abs=1e-5)
    assert len(item.codes) == 4
    assert item.category in smallworld.CATEGORIES
    assert not filled.store.item_knowledge([]).items


def test_a_row_past_its_age_is_stale(feast: OnlineFeatures) -> None:
    found = feast.user("u03", now=2**60)
    assert set(found.statuses.values()) == {Status.OUTSIDE_MAX_AGE}


def test_a_look_up_tells_what_is_degraded() -> None:
    async def look_up(store: UserStore, user: str) -> list[str]:
        lookup = BoundedLookup(store, 5.0)
        row, degraded = await lookup.user(user, 0)
        lookup.close()
        assert (row is None) == (degraded[:1] in (["user_unknown"], ["features_unavailable"]))
        return degraded

    partly = UsersInMemory({"u1": a_user()}, statuses={"user_profile": Status.NULL_VALUE})
    assert asyncio.run(look_up(UsersInMemory({"u1": a_user()}), "u1")) == []
    assert asyncio.run(look_up(partly, "u1")) == ["user_profile_missing"]
    assert asyncio.run(look_up(partly, "nobody")) == ["user_unknown"]
    assert asyncio.run(look_up(DeadStore(), "u1")) == ["features_unavailable"]


def test_new_items_are_held_and_missing_ones_are_asked_for_again_later() -> None:
    store, now = UsersInMemory({}, {"fresh": a_new_item()}), [0.0]

    async def story() -> None:
        new = NewItems(BoundedLookup(store, 5.0), levels=4, retry=60, clock=lambda: now[0])
        assert set((await new.knowledge(["fresh", "late", "fresh"]))[0]) == {"fresh"}
        store.items = {**store.items, "late": a_new_item(1)}
        now[0] = 59.0
        assert set((await new.knowledge(["fresh", "late"]))[0]) == {"fresh"}
        now[0] = 61.0
        assert set((await new.knowledge(["fresh", "late"]))[0]) == {"fresh", "late"}

    asyncio.run(story())
    assert store.asked == [("fresh", "late"), ("late",)]


def test_held_items_are_bounded_and_the_least_used_goes_first() -> None:
    store = UsersInMemory({}, {name: a_new_item() for name in "abc"})

    async def story() -> None:
        new = NewItems(BoundedLookup(store, 5.0), levels=4, capacity=2)
        for wanted in (["a"], ["b"], ["a"], ["c"], ["a"], ["b"]):
            assert set((await new.knowledge(wanted))[0]) == set(wanted)

    asyncio.run(story())
    assert store.asked == [("a",), ("b",), ("c",), ("b",)]


def test_a_failed_look_up_of_items_is_not_remembered() -> None:
    async def story() -> None:
        lookup = BoundedLookup(DeadStore(), 5.0)
        new = NewItems(lookup, levels=4)
        assert await new.knowledge(["fresh"]) == ({}, ["item_knowledge_unavailable"])
        lookup.store = UsersInMemory({}, {"fresh": a_new_item()})
        assert set((await new.knowledge(["fresh"]))[0]) == {"fresh"}

    asyncio.run(story())
