"""Golden requests: what a bundle carries so that any runtime can prove that it scores as the trainer did.

They are made as serving makes them: a user row of strings through `features.assemble`.
"""

import numpy as np

from reaseq.data.dataset import Dataset
from reaseq.ranking.features import ColdItem, FeatureLimits, Tensors, UserRow, Vocabulary, assemble
from reaseq.ranking.inferences import InferenceTable
from reaseq.ranking.shards import Shards
from reaseq.representation.vectors import ItemVectors

REQUESTS = 33  # stream of random numbers drawn from the run's seed


def user_row(dataset: Dataset, inferences: InferenceTable, user: int, end: int, timestamp: int, reach: int) -> UserRow:
    """The feature-store row of a user, as it stands just before a moment.

    Args:
        dataset: the log and its ids.
        inferences: of the same dataset.
        user: index into the log's users, -1 for none.
        end: one past the last event that may be seen.
        timestamp: the moment, microseconds.
        reach: most events in the history.
    """
    if user < 0:
        return UserRow()
    log = dataset.log
    start = int(log.offsets[user])
    places = range(end - 1, max(start, end - reach) - 1, -1)
    low, high = (int(bound[0]) for bound in inferences.spans(np.array([user]), np.array([timestamp])))
    seen = {dataset.top_categories[item - 1] for item in log.items[start:end]} - {""}
    return UserRow(
        history_items=[dataset.item_ids[log.items[place] - 1] for place in places],
        history_times=[int(log.timestamps[place]) for place in places],
        events=end - start,
        categories=len(seen),
        first_time=int(log.timestamps[start]) if end > start else 0,
        last_time=int(log.timestamps[end - 1]) if end > start else 0,
        inferred_items=[dataset.item_ids[item - 1] for item in inferences.items[low:high]],
        inferred_vectors=inferences.vectors[low:high],
        inferred_confidence=inferences.confidence[low:high].tolist(),
    )


def golden_requests(
    dataset: Dataset,
    test: Shards,
    vectors: ItemVectors,
    inferences: InferenceTable,
    limits: FeatureLimits,
    *,
    count: int,
    candidates: int,
    seed: int,
) -> list[Tensors]:
    """Inputs of `count` requests of test-period users, drawn by seed from one block of the test split.

    The first six are edge cases: nobody's history, one candidate, items newer than the model, unknown items of which
    nothing is known, duplicates, a user without inferences.
    """
    rng = np.random.default_rng([seed, REQUESTS])
    vocabulary = Vocabulary(dataset.item_ids, dataset.category_names)
    shown = test.read([int(rng.integers(len(test)))]).impressions if len(test) else None
    requests = []
    for case in range(count):
        row, now = UserRow(), 1_600_000_000_000_000
        if shown is not None:
            at = int(rng.integers(len(shown)))
            now = int(shown.timestamp[at])
            row = user_row(dataset, inferences, int(shown.user[at]), int(shown.end[at]), now, limits.long)
        picked = rng.choice(len(dataset.item_ids), min(candidates, len(dataset.item_ids)), replace=False)
        ids = [dataset.item_ids[place] for place in picked]
        cold: dict[str, ColdItem] = {}
        user: UserRow | None = row
        match case:
            case 0:
                user = None
            case 1:
                ids = ids[:1]
            case 2:
                cold = {
                    f"newer-than-the-model-{place}": ColdItem(
                        vectors.z[place + 1], vectors.codes[place + 1].tolist(), dataset.top_categories[place]
                    )
                    for place in picked[::2]
                }
                ids = [*cold, *ids[1::2]]
            case 3:
                ids = [*ids, "unknown-to-everybody"]
            case 4:
                ids = [*ids, *ids[: len(ids) // 2]]
            case 5:
                user = UserRow(
                    row.history_items, row.history_times, row.events, row.categories, row.first_time, row.last_time
                )
        requests.append(assemble(user, ids, now=now, vocabulary=vocabulary, limits=limits, cold=cold))
    return requests
