"""Click rates: what the log says of an item before any network looks at it.

Every ranker in production has them, and without them "ID-only" would be a straw man. A training impression sees the
rates as they stood before its own block of time, never its own label, as a nightly job would give them.
"""

import numpy as np

SMOOTHING = 10.0
"""Impressions' worth of the global click rate that every item starts with."""


def click_rate(shown: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """How far an item's click rate lies from the global one, in log-odds, smoothed; float32 [V+1].

    Args:
        shown: [V+1] impressions of each item.
        taken: [V+1] clicks among them.

    Returns:
        0 for items without impressions, for row 0, and for all where the log holds one label only.
    """
    total, clicks = float(shown[1:].sum()), float(taken[1:].sum())
    rate = np.zeros(len(shown), np.float32)
    if not 0 < clicks < total:
        return rate
    prior = clicks / total
    smoothed = (taken + SMOOTHING * prior) / (shown + SMOOTHING)
    rate[:] = np.log(smoothed / (1 - smoothed)) - np.log(prior / (1 - prior))
    rate[0] = 0.0
    return rate
