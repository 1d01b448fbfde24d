"""What the transformer asks of a feature store, and look-ups that can't hold up the request.

`reaseq.platform.features.OnlineFeatures` is the real store; tests bring one in memory, and both pass the same contract
test.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from reaseq.ranking.features import ColdItem, UserRow

if TYPE_CHECKING:  # Feast takes seconds to import, and only the caller who opens a store has to
    from reaseq.platform.features import ItemFeatures, UserFeatures

_log = logging.getLogger(__name__)
T = TypeVar("T")

_TOLD = {"NULL_VALUE": "missing", "NOT_FOUND": "missing", "OUTSIDE_MAX_AGE": "stale"}


class UserStore(Protocol):
    """One look-up per request, of the user's row; items are looked up only where the model does not know them."""

    def user(self, user_id: str, now: int | None = None) -> "UserFeatures":
        """The user's row, None if no view knows the user, and the status of each view."""
        ...

    def item_knowledge(self, item_ids: Sequence[str]) -> "ItemFeatures":
        """Knowledge of those of the items that the store has."""
        ...


class BoundedLookup:
    """Look-ups on one thread of their own, each with a deadline.

    A store that hangs occupies that thread and nothing else; requests behind it are answered without features.

    Args:
        store: the feature store.
        timeout: seconds for one look-up.
    """

    def __init__(self, store: UserStore, timeout: float):
        self.store = store
        self.timeout = timeout
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feature-lookup")

    def warm_up(self, patience: float = 10.0) -> None:
        """One look-up without a request: a store opens its connections at the first, which takes long."""
        try:
            self._thread.submit(self.store.user, "warm-up").result(patience)
        except Exception:  # it may be up again when a request comes
            _log.exception("the feature store can't be warmed up")

    async def user(self, user_id: str, now: int) -> tuple[UserRow | None, list[str]]:
        """The user's row, and what is degraded about it: `<view>_missing`, `<view>_stale`, `user_unknown` or
        `features_unavailable`."""
        found = await self._run(lambda: self.store.user(user_id, now))
        if found is None:
            return None, ["features_unavailable"]
        if found.row is None:
            return None, ["user_unknown"]
        statuses = {view: status.value for view, status in found.statuses.items()}
        return found.row, [f"{view}_{_TOLD[status]}" for view, status in statuses.items() if status in _TOLD]

    async def item_knowledge(self, item_ids: Sequence[str]) -> Mapping[str, ColdItem] | None:
        """Knowledge of those of the items that the store has; None if it failed or was too slow."""
        found = await self._run(lambda: self.store.item_knowledge(item_ids))
        return None if found is None else found.items

    async def _run(self, look_up: Callable[[], T]) -> T | None:
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._thread, look_up), self.timeout)
        except TimeoutError:
            _log.error("the feature store did not answer within %g s", self.timeout)
        except Exception:  # whatever a store throws, the request is answered; the reason is in the log and counted
            _log.exception("the feature store failed")
        return None

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class NewItems:
    """Knowledge of items that are newer than the model, held so that each is looked up once and not with each request.

    Args:
        lookup: where it comes from.
        levels: codes of an item in the ranker's item vectors; an item of another codebook is not usable.
        retry: seconds until an item that the store did not have is asked for again.
        capacity: items held; the one that was not asked for the longest goes first.
        clock: seconds.
    """

    def __init__(
        self,
        lookup: BoundedLookup,
        levels: int,
        retry: float = 60.0,
        capacity: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._lookup = lookup
        self._levels = levels
        self._retry = retry
        self._capacity = capacity
        self._clock = clock
        self._held: OrderedDict[str, tuple[ColdItem | None, float]] = OrderedDict()  # item, when it was asked for

    async def knowledge(self, item_ids: Sequence[str]) -> tuple[dict[str, ColdItem], list[str]]:
        """Of the items, those that are known, and `item_knowledge_unavailable` if the store did not answer."""
        now = self._clock()
        wanted = list(dict.fromkeys(item_ids))
        unasked = [name for name in wanted if not self._fresh(name, now)]
        found = await self._lookup.item_knowledge(unasked) if unasked else {}
        if found is not None:
            for name in unasked:
                item = found.get(name)
                self._held[name] = (item if item is not None and len(item.codes) == self._levels else None, now)
        items = {}
        for name in wanted:
            if name in self._held:
                self._held.move_to_end(name)
                if (item := self._held[name][0]) is not None:
                    items[name] = item
        while len(self._held) > self._capacity:
            self._held.popitem(last=False)
        return items, ["item_knowledge_unavailable"] if found is None else []

    def _fresh(self, name: str, now: float) -> bool:
        item, asked = self._held.get(name, (None, float("-inf")))
        return item is not None or now - asked < self._retry
