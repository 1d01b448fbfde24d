"""User stores for tests. `UsersInMemory` is the second implementation of `serving.user_store.UserStore`."""

import threading
from collections.abc import Mapping, Sequence

import numpy as np

from reaseq.platform.features import USER_VIEWS, ItemFeatures, Status, UserFeatures
from reaseq.ranking.features import ColdItem, UserRow
from tests.smallworld import DAY, START, item_id

NOW = START + 50 * DAY


class UsersInMemory:
    def __init__(
        self,
        rows: Mapping[str, UserRow],
        items: Mapping[str, ColdItem] | None = None,
        statuses: Mapping[str, Status] | None = None,
    ):
        self.rows = rows
        self.items = items or {}
        self.statuses = dict.fromkeys(USER_VIEWS, Status.PRESENT) | dict(statuses or {})
        self.asked: list[tuple[str, ...]] = []

    def user(self, user_id: str, now: int | None = None) -> UserFeatures:
        if user_id not in self.rows:
            return UserFeatures(None, dict.fromkeys(USER_VIEWS, Status.NOT_FOUND))
        return UserFeatures(self.rows[user_id], self.statuses)

    def item_knowledge(self, item_ids: Sequence[str]) -> ItemFeatures:
        self.asked.append(tuple(item_ids))
        statuses = {name: Status.PRESENT if name in self.items else Status.NOT_FOUND for name in item_ids}
        return ItemFeatures({name: self.items[name] for name in item_ids if name in self.items}, statuses)


class DeadStore:
    def user(self, user_id: str, now: int | None = None) -> UserFeatures:
        raise ConnectionError("redis://secret:password@10.0.0.1 refused")

    def item_knowledge(self, item_ids: Sequence[str]) -> ItemFeatures:
        raise ConnectionError("redis://secret:password@10.0.0.1 refused")


class HangingStore:
    """Does not answer requests until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def user(self, user_id: str, now: int | None = None) -> UserFeatures:
        if user_id != "warm-up":
            self.released.wait(30)
        return UserFeatures(None, {})

    def item_knowledge(self, item_ids: Sequence[str]) -> ItemFeatures:
        self.released.wait(30)
        return ItemFeatures()


def a_user(seed: int = 0) -> UserRow:
    rng = np.random.default_rng(seed)
    return UserRow(
        history_items=[item_id(int(n)) for n in rng.integers(1, 55, 8)],
        history_times=[NOW - (n + 1) * DAY for n in range(8)],
        events=8,
        categories=3,
        first_time=NOW - 8 * DAY,
        last_time=NOW - DAY,
        inferred_items=[item_id(int(n)) for n in rng.integers(1, 55, 3)],
        inferred_vectors=rng.normal(size=(3, 128)).astype(np.float32),
        inferred_confidence=[0.9, 0.5, 0.25],
    )


def a_new_item(seed: int = 0, levels: int = 4) -> ColdItem:
    z = np.random.default_rng(seed).normal(size=128).astype(np.float32)
    return ColdItem(z / np.linalg.norm(z), tuple(range(levels)), "Makeup")
