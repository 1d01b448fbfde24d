"""The people of the synthetic world: activity, tastes, latent needs, and where they can be seen."""

from dataclasses import dataclass

import numpy as np

from reaseq.data.synthetic.catalogue import Catalogue
from reaseq.data.synthetic.needs import INDEX, NEEDS

LOGGED_SHARE = 0.6
"""Mean share of the domains that a person does on this platform."""
LEAST_LOGGED, LEAST_HIDDEN = 3, 2
MAX_NEEDS = 6
FAVOURITES = 6
"""Favourite staples of a person."""
_ACTIVITY_SHAPE = 1.5  # of the gamma distribution of activity: many sparse users, a few busy ones
_DOMAIN_FOCUS = 0.7  # of the Dirichlet over domains: below 1, people have clear preferences
_DAYS_PER_NEED = 45


@dataclass(frozen=True)
class Population:
    """Row-aligned arrays over U people; K = MAX_NEEDS, D domains."""

    events: np.ndarray  # [U] int64, behaviours in life
    need: np.ndarray  # [U, K] int64, index into NEEDS; -1 none
    onset: np.ndarray  # [U, K] float, day; may lie before the period
    end: np.ndarray  # [U, K] float, day
    domain_taste: np.ndarray  # [U, D] float, sums to 1
    brand_taste: np.ndarray  # [U, D] int64, favourite brand of the domain
    price_taste: np.ndarray  # [U] float in 0…1
    favourites: np.ndarray  # [U, FAVOURITES] int64, kinds of product
    logged: np.ndarray  # [U, D] bool


def make_population(
    users: int, days: int, events_per_user: float, catalogue: Catalogue, rng: np.random.Generator
) -> Population:
    """Draw the people."""
    domains = len(catalogue.domains)
    activity = rng.gamma(_ACTIVITY_SHAPE, events_per_user / _ACTIVITY_SHAPE, users)
    need, onset, end = _needs(users, days, catalogue, rng)
    taste = rng.dirichlet(np.full(domains, _DOMAIN_FOCUS), users)
    brands = np.array([catalogue.brand[catalogue.domain == d].max(initial=0) + 1 for d in range(domains)])
    return Population(
        events=np.maximum(1, rng.poisson(activity)),
        need=need,
        onset=onset,
        end=end,
        domain_taste=taste,
        brand_taste=(rng.random((users, domains)) * brands).astype(np.int64),
        price_taste=rng.random(users),
        favourites=_favourites(taste, catalogue, rng),
        logged=_logged(users, domains, rng),
    )


def _needs(
    users: int, days: int, catalogue: Catalogue, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    served = np.zeros(len(NEEDS), bool)  # a small catalogue may hold nothing for a need
    for product in catalogue.kinds:
        served[[INDEX[key] for key, _ in product.needs]] = True
    weight = np.array([need.weight for need in NEEDS]) * served
    chance = np.log(np.maximum(weight, 1e-300)) + rng.gumbel(size=(users, len(NEEDS)))
    need = np.argsort(-chance, axis=1)[:, :MAX_NEEDS]  # weighted draw without replacement
    count = np.minimum(1 + rng.poisson(days / _DAYS_PER_NEED, users), min(MAX_NEEDS, int(served.sum())))
    need = np.where(np.arange(MAX_NEEDS) < count[:, None], need, -1)
    length = np.array([need.days for need in NEEDS])[need] * rng.lognormal(0, 0.25, need.shape)
    onset = rng.uniform(-0.5 * length, days, need.shape)
    return need, onset, onset + length


def _favourites(taste: np.ndarray, catalogue: Catalogue, rng: np.random.Generator) -> np.ndarray:
    staples = np.array([place for place, kind in enumerate(catalogue.kinds) if not kind.needs])
    if not len(staples):
        staples = np.arange(len(catalogue.kinds))
    weight = taste[:, catalogue.kind_domain[staples]] * catalogue.kind_popularity[staples]
    return staples[choose_rows(np.repeat(weight[:, None], FAVOURITES, 1).reshape(-1, len(staples)), rng)].reshape(
        len(taste), FAVOURITES
    )


def _logged(users: int, domains: int, rng: np.random.Generator) -> np.ndarray:
    count = np.clip(rng.binomial(domains, LOGGED_SHARE, users), LEAST_LOGGED, domains - LEAST_HIDDEN)
    return rng.random((users, domains)).argsort(axis=1).argsort(axis=1) < count[:, None]


def choose_rows(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[N] int64: for each row of weights [N, C] a column, drawn in proportion; rows must not be all zero."""
    running = np.cumsum(weight, axis=1)
    return np.minimum((running < (rng.random(len(weight)) * running[:, -1])[:, None]).sum(axis=1), weight.shape[1] - 1)
