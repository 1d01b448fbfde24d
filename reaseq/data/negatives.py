"""Sampled negatives, of two kinds.

`sample` gives nothing away: what others took at about that time, and the user so far did not. A negative drawn
uniformly from the catalogue is mostly an unpopular or a not yet existing item, and a ranker that has learnt popularity
looks good on it. Drawn from the events nearest in time instead, negatives are as popular, as new and as seasonal as
positives, and popularity alone ranks at chance.

`sample_uniformly` is for rankers that are to order the whole catalogue, where popularity counts: against uniform
negatives the log-odds that a ranker learns are those of the item being taken, up to a constant (noise-contrastive
estimation: Gutmann & Hyvärinen, AISTATS 2010). Never evaluate on them.
"""

from collections.abc import Callable

import numpy as np

WINDOW = 20_000
"""Most events around a positive from which its negatives are drawn."""
WINDOW_SHARE = 0.1
"""Share of a split's events that the window spans in small logs, so that near in time means near in time there too."""
LEAST_WINDOW = 200
_ROUNDS = 20  # draws before the window is widened to the whole split


def window_of(events: int) -> int:
    """Events in the window for a split of so many."""
    return min(events, max(LEAST_WINDOW, min(WINDOW, int(events * WINDOW_SHARE))))


def sample(
    users: np.ndarray,
    items: np.ndarray,
    taken: np.ndarray,
    catalogue: int,
    negatives: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Negatives for the positives of one split.

    Args:
        users: [N] int64, the user of each positive; rows in order of time.
        items: [N] int64, its item, below `catalogue`.
        taken: sorted int64 keys `user * catalogue + item` of everything each user took, as far as these rows may know.
        catalogue: number of item codes.
        negatives: asked for per positive.
        rng: the only source of randomness.

    Returns:
        [N, negatives] int64 items, distinct within a row; -1 where others took nothing that the user did not.
    """
    count = len(items)
    window = window_of(count)
    near = np.clip(np.arange(count) - window // 2, 0, count - window)

    def propose(left: np.ndarray, round_: int) -> np.ndarray:
        wide = round_ >= _ROUNDS
        start = 0 if wide else near[left]
        place = start + (rng.random(len(left)) * (count if wide else window)).astype(np.int64)
        return items[place]

    return _drawn(users, taken, catalogue, negatives, propose)


def sample_uniformly(
    users: np.ndarray, taken: np.ndarray, catalogue: int, negatives: int, rng: np.random.Generator
) -> np.ndarray:
    """Negatives from the whole catalogue, each item as likely as any other; arguments and result as for `sample`."""
    return _drawn(users, taken, catalogue, negatives, lambda left, _: rng.integers(catalogue, size=len(left)))


def _drawn(
    users: np.ndarray,
    taken: np.ndarray,
    catalogue: int,
    negatives: int,
    propose: Callable[[np.ndarray, int], np.ndarray],
) -> np.ndarray:
    """Proposals for the rows that are left, round after round, until each has what neither the user took nor the row
    holds."""
    count = len(users)
    drawn = np.full((count, negatives), -1, np.int64)
    for column in range(negatives):
        left = np.arange(count)
        for round_ in range(2 * _ROUNDS):
            candidate = propose(left, round_)
            good = ~among(users[left] * catalogue + candidate, taken)
            good &= (drawn[left, :column] != candidate[:, None]).all(axis=1)
            drawn[left[good], column] = candidate[good]
            left = left[~good]
            if not len(left):
                break
    return drawn


def taken_keys(users: np.ndarray, items: np.ndarray, catalogue: int) -> np.ndarray:
    """Sorted distinct keys of what each user took."""
    keys = np.sort(users.astype(np.int64) * catalogue + items)  # sorted by hand: np.unique hashes such keys slowly
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if len(keys) else keys


def among(keys: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """[N] bool: which of the keys occur in a sorted array."""
    if not len(ordered):
        return np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return ordered[place] == keys
