"""The KServe transformer: from `{user_id, candidates, context}` to scores.

preprocess  one look-up of the user's row, then `reaseq.ranking.features.assemble`
predict     one call to Triton
postprocess scores in the order of the request, the ranking, what was degraded, and what each step took

Whatever is missing is defaulted, masked, counted (`reaseq_degraded_total` at /metrics) and named in `degraded`:

    features_unavailable        the store failed or was too slow; ranked as a user of whom nothing is known
    user_unknown                no view knows the user
    <view>_missing, _stale      that part of the row is absent or too old
    user_row_invalid            the row contradicts itself; ranked without it
    item_knowledge_unavailable  the store failed when it was asked for items that are newer than the model
    candidate_unknown:<id>      neither the model nor the item knowledge knows the item; ranked with no item features
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from prometheus_client import Counter

from reaseq.ranking.errors import RankingError
from reaseq.ranking.features import ColdItem, FeatureLimits, UserRow, Vocabulary, assemble
from serving.kserve_sdk import Model
from serving.ranker_client import RankerClient
from serving.request import RankRequest, parse
from serving.user_store import BoundedLookup, NewItems, UserStore

NAME = "reaseq"

_log = logging.getLogger(__name__)
DEGRADED = Counter("reaseq_degraded", "Requests answered with less than everything, by what was missing", ["reason"])


@dataclass
class Ranked:
    """A request on its way through the three steps."""

    request: RankRequest
    inputs: dict[str, np.ndarray]
    degraded: list[str]
    milliseconds: dict[str, float] = field(default_factory=dict)
    scores: np.ndarray | None = None


class Transformer(Model):
    """One ranker version's transformer.

    Args:
        vocabulary: of the bundle that Triton serves.
        limits: of the same bundle.
        store: where user rows, and knowledge of items that are newer than the model, come from.
        ranker: client of the Triton that serves the bundle.
        model_version: told with every answer.
        name: under `/v1/models/`.
        lookup_timeout: seconds for the look-up of a user.
        clock: microseconds since the epoch, for requests without a timestamp.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        limits: FeatureLimits,
        store: UserStore,
        ranker: RankerClient,
        model_version: str,
        *,
        name: str = NAME,
        lookup_timeout: float = 1.0,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ):
        super().__init__(name)
        self.vocabulary = vocabulary
        self.limits = limits
        self.ranker = ranker
        self.model_version = model_version
        self.clock = clock
        self._lookup = BoundedLookup(store, lookup_timeout)
        self._new_items = NewItems(self._lookup, limits.levels)

    def load(self) -> bool:
        """Open the store's connections; the transformer is ready without a store, too."""
        self._lookup.warm_up()
        self.ready = True
        return self.ready

    async def preprocess(self, payload: Any, headers: dict[str, str] | None = None) -> Ranked:
        """Look the user up and assemble the model's inputs.

        Raises:
            InvalidRequest: the request is not well formed.
        """
        started = time.perf_counter()
        request = parse(payload)
        now = self.clock() if request.context.timestamp is None else request.context.timestamp
        row, degraded = await self._lookup.user(request.user_id, now)
        new = [request.candidates[at] for at in np.flatnonzero(self.vocabulary.items(request.candidates) == 0)]
        cold, failed = await self._new_items.knowledge(new)
        degraded += failed
        found = time.perf_counter()
        try:
            inputs = self._assemble(row, request, now, cold)
        except RankingError:
            _log.exception("the row of user %r can't be used", request.user_id)
            degraded.append("user_row_invalid")
            inputs = self._assemble(None, request, now, cold)
        unknown = inputs["candidates"] + inputs["cold_index"] == 0
        degraded += dict.fromkeys(f"candidate_unknown:{request.candidates[at]}" for at in np.flatnonzero(unknown))
        ranked = Ranked(request, inputs, degraded)
        ranked.milliseconds["lookup"] = _milliseconds(started, found)
        ranked.milliseconds["assemble"] = _milliseconds(found)
        return ranked

    async def predict(self, ranked: Ranked, headers: dict[str, str] | None = None) -> Ranked:  # type: ignore[override]
        """Score the candidates.

        Raises:
            PredictorUnavailable, PredictorTimeout, PredictorFailed: as `RankerClient.scores`.
        """
        started = time.perf_counter()
        ranked.scores = await self.ranker.scores(ranked.inputs)
        ranked.milliseconds["predict"] = _milliseconds(started)
        return ranked

    async def postprocess(  # type: ignore[override]
        self, ranked: Ranked, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """The answer: `scores` as the candidates stand in the request, `ranking` best first, ties in that order."""
        started = time.perf_counter()
        assert ranked.scores is not None
        for reason in ranked.degraded:
            DEGRADED.labels(reason.partition(":")[0]).inc()
        candidates, scores = ranked.request.candidates, ranked.scores.tolist()
        order = np.argsort(-ranked.scores, kind="stable").tolist()
        ranking = [{"item_id": candidates[at], "score": scores[at]} for at in order]
        ranked.milliseconds["postprocess"] = _milliseconds(started)
        return {
            "model_name": self.name,
            "model_version": self.model_version,
            "user_id": ranked.request.user_id,
            "scores": scores,
            "ranking": ranking,
            "degraded": ranked.degraded,
            "timings_ms": ranked.milliseconds,
        }

    async def close(self) -> None:
        self.ready = False
        self._lookup.close()
        await self.ranker.close()

    def _assemble(
        self, row: UserRow | None, request: RankRequest, now: int, cold: Mapping[str, ColdItem]
    ) -> dict[str, np.ndarray]:
        return assemble(row, request.candidates, now=now, vocabulary=self.vocabulary, limits=self.limits, cold=cold)


def _milliseconds(start: float, end: float | None = None) -> float:
    return round(((time.perf_counter() if end is None else end) - start) * 1000, 3)
