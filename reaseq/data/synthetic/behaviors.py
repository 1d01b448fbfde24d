"""What the people of the synthetic world do, and why."""

from dataclasses import dataclass

import numpy as np

from reaseq.data.negatives import among
from reaseq.data.synthetic.catalogue import Catalogue
from reaseq.data.synthetic.needs import INDEX, NEEDS
from reaseq.data.synthetic.population import FAVOURITES, Population, choose_rows

SECONDS = 86_400
NEED_SHARE = 0.8
"""Of the behaviours at a time when a need is active, those that it drives."""
TASTE_SHARE = 0.75
"""Of the others, those that follow taste; the rest follow popularity alone."""
FAVOURITE_SHARE = 0.6
REPEATABLE = "Grocery"
"""The domain in which people take the same item again."""

NOISE_CAUSE, TASTE_CAUSE = -2, -1

_STAGE_WIDTH = 0.18  # standard deviation, in lives of a need
_BRAND_PULL, _PRICE_PULL = 1.2, 3.0  # log-odds of the favourite brand; of a price at the other end of the range
_NEEDED_WEIGHT = 0.15  # of kinds that serve needs, among purchases by taste
_ROUNDS = 5  # draws for a behaviour that would repeat an item, before it is given up
_CHUNK = 4_000_000  # cells of one score matrix

# Share of behaviours by hour of the day: a low at night, a rise over the day, a high in the evening.
_HOURS = np.array([2, 1, 1, 1, 1, 1, 2, 3, 4, 4, 5, 5, 6, 5, 5, 5, 5, 5, 6, 7, 8, 8, 6, 4], float)


@dataclass(frozen=True)
class Behaviors:
    """Row-aligned arrays over E behaviours, sorted by user and time."""

    user: np.ndarray  # int64
    item: np.ndarray  # int64, row of the catalogue
    second: np.ndarray  # int64, since the start of the period
    cause: np.ndarray  # int64, index into NEEDS, or TASTE_CAUSE, or NOISE_CAUSE


def make_behaviors(people: Population, catalogue: Catalogue, days: int, rng: np.random.Generator) -> Behaviors:
    """Live through the period."""
    user = np.repeat(np.arange(len(people.events)), people.events)
    hour = rng.choice(24, len(user), p=_HOURS / _HOURS.sum())
    second = rng.integers(days, size=len(user)) * SECONDS + hour * 3600 + rng.integers(3600, size=len(user))
    order = np.lexsort((second, user))
    user, second = user[order], second[order]
    item, cause = np.full(len(user), -1, np.int64), np.zeros(len(user), np.int64)
    pending = np.arange(len(user))
    repeatable = np.isin(catalogue.domain, np.flatnonzero(np.array(catalogue.domains) == REPEATABLE))
    taken = np.zeros(0, np.int64)
    for _ in range(_ROUNDS):
        causes, stages = _causes(people, user[pending], second[pending] / SECONDS, rng)
        kinds = _kinds(people, catalogue, user[pending], causes, stages, rng)
        items = _items(people, catalogue, user[pending], second[pending] / SECONDS, kinds, rng)
        keys = user[pending] * len(catalogue.kind) + items
        good = repeatable[items] | (_first(keys) & ~among(keys, taken))
        item[pending[good]], cause[pending[good]] = items[good], causes[good]
        taken = np.sort(np.concatenate([taken, keys[good]]))
        pending = pending[~good]
        if not len(pending):
            break
    done = item >= 0
    return Behaviors(user[done], item[done], second[done], cause[done])


def _first(keys: np.ndarray) -> np.ndarray:
    """[N] bool: which keys have not occurred before in the array."""
    order = np.argsort(keys, kind="stable")
    first = np.ones(len(keys), bool)
    first[order[1:]] = keys[order[1:]] != keys[order[:-1]]
    return first


def _causes(
    people: Population, user: np.ndarray, day: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What drives each behaviour, and at which stage of its life a driving need is."""
    onset, end, need = people.onset[user], people.end[user], people.need[user]
    active = (need >= 0) & (onset <= day[:, None]) & (day[:, None] < end)
    driven = active.any(axis=1) & (rng.random(len(user)) < NEED_SHARE)
    column = np.where(active, rng.random(active.shape), -1.0).argmax(axis=1)
    rows = np.arange(len(user))
    stage = (day - onset[rows, column]) / (end - onset)[rows, column]
    other = np.where(rng.random(len(user)) < TASTE_SHARE, TASTE_CAUSE, NOISE_CAUSE)
    return np.where(driven, need[rows, column], other), stage


def _kinds(
    people: Population,
    catalogue: Catalogue,
    user: np.ndarray,
    cause: np.ndarray,
    stage: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """[N] the kind of product that each behaviour is after."""
    kinds = np.zeros(len(user), np.int64)
    for number in range(len(NEEDS)):
        rows = np.flatnonzero(cause == number)
        serving = [
            (place, at)
            for place, product in enumerate(catalogue.kinds)
            for key, at in product.needs
            if INDEX[key] == number
        ]
        if len(rows):
            places, stages = np.array([p for p, _ in serving]), np.array([s for _, s in serving])
            near = np.exp(-0.5 * ((stage[rows, None] - stages) / _STAGE_WIDTH) ** 2)
            kinds[rows] = places[choose_rows((near + 0.03) * np.sqrt(catalogue.kind_popularity[places]), rng)]
    rows = np.flatnonzero(cause == NOISE_CAUSE)
    popular = catalogue.kind_popularity / catalogue.kind_popularity.sum()
    kinds[rows] = rng.choice(len(popular), len(rows), p=popular)
    rows = np.flatnonzero(cause == TASTE_CAUSE)
    kinds[rows] = people.favourites[user[rows], rng.integers(FAVOURITES, size=len(rows))]
    rows = rows[rng.random(len(rows)) >= FAVOURITE_SHARE]
    needed = np.array([bool(product.needs) for product in catalogue.kinds])
    weight = catalogue.kind_popularity * np.where(needed, _NEEDED_WEIGHT, 1.0)
    stocked = np.bincount(catalogue.kind_domain, minlength=len(catalogue.domains)) > 0
    domain = choose_rows(people.domain_taste[user[rows]] * stocked + 1e-12 * stocked, rng)
    for place in np.flatnonzero(stocked):
        here, there = rows[domain == place], np.flatnonzero(catalogue.kind_domain == place)
        kinds[here] = rng.choice(there, len(here), p=weight[there] / weight[there].sum())
    return kinds


def _items(
    people: Population,
    catalogue: Catalogue,
    user: np.ndarray,
    day: np.ndarray,
    kind: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """[N] the item of the wanted kind that each behaviour falls on: by popularity, brand and price (Gumbel-max)."""
    chosen = np.zeros(len(user), np.int64)
    by_kind, of_kind = np.argsort(kind, kind="stable"), np.argsort(catalogue.kind, kind="stable")
    kinds = np.arange(len(catalogue.kinds) + 1)
    starts, shelves = np.searchsorted(kind[by_kind], kinds), np.searchsorted(catalogue.kind[of_kind], kinds)
    for number in range(len(catalogue.kinds)):
        rows, items = by_kind[starts[number] : starts[number + 1]], of_kind[shelves[number] : shelves[number + 1]]
        step = max(1, _CHUNK // len(items))
        favourite = people.brand_taste[:, catalogue.kind_domain[number]]
        for part in (rows[start : start + step] for start in range(0, len(rows), step)):
            score = np.log(catalogue.popularity[items]) + rng.gumbel(size=(len(part), len(items)))
            score += _BRAND_PULL * (catalogue.brand[items] == favourite[user[part], None])
            score -= _PRICE_PULL * (catalogue.price[items] - people.price_taste[user[part], None]) ** 2
            score[catalogue.launch[items] > day[part, None]] = -np.inf
            chosen[part] = items[score.argmax(axis=1)]
    return chosen
