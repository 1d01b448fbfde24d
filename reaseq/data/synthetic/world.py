"""The synthetic world as a source: its log, its catalogue, and the truth beyond the log."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from reaseq.config import RunConfig, SyntheticConfig
from reaseq.data.source import Raw
from reaseq.data.synthetic.behaviors import SECONDS, Behaviors, make_behaviors
from reaseq.data.synthetic.catalogue import Catalogue, make_catalogue
from reaseq.data.synthetic.needs import NEEDS, NOISE, TASTE
from reaseq.data.synthetic.population import make_population
from reaseq.schema import TIMESTAMP

START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
"""Seconds; the first day of the period, fixed so that a seed means the same world for ever."""
STAGE = 11
"""Keeps the world's random numbers apart from those of other stages of the same seed."""

ACTIONS = ("click", "cart", "purchase")
_ACTION_SHARES = (0.6, 0.15, 0.25)
_LAUNCH_SPAN = 0.5  # new items come in the first half of the test period, so that they still gather events


class SyntheticWorld:
    """The dataset `synthetic`; splits by its own dates, so that new items are new in the test period."""

    name = "synthetic"

    def __init__(self, size: SyntheticConfig, valid_share: float, test_share: float, seed: int):
        self._size, self._seed = size, seed
        self._valid_day = size.days * (1 - valid_share - test_share)
        self._test_day = size.days * (1 - test_share)

    @classmethod
    def from_config(cls, config: RunConfig) -> "SyntheticWorld":
        return cls(config.data.synthetic, config.data.valid_share, config.data.test_share, config.seed)

    def files(self) -> dict[str, Path]:
        return {}

    def check(self) -> None:
        """Nothing to look for: the world is made up."""

    def read(self) -> Raw:
        rng = np.random.default_rng([self._seed, STAGE])
        size = self._size
        launches = (self._test_day, self._test_day + _LAUNCH_SPAN * (size.days - self._test_day))
        catalogue = make_catalogue(size.items, size.new_item_share, launches, rng)
        people = make_population(size.users, size.days, size.events_per_user, catalogue, rng)
        done = make_behaviors(people, catalogue, size.days, rng)
        seen = people.logged[done.user, catalogue.domain[done.item]]
        actions = np.array(ACTIONS, object)[rng.choice(len(ACTIONS), len(done.user), p=_ACTION_SHARES)]
        table = _table(done, catalogue, size.users)
        causes = table.column("need").to_numpy(zero_copy_only=False)
        log = (
            table.drop_columns(["need"]).append_column("action", pa.array(actions, pa.string())).filter(pa.array(seen))
        )
        items = catalogue.table.append_column("row", pa.array(np.arange(1, size.items + 1)))
        return Raw(
            items=items,
            interactions=log.append_column("row", pa.array(np.arange(1, log.num_rows + 1))),
            beyond_log=table.filter(pa.array(~seen)).select(["user_id", "item_id", "timestamp", "domain", "need"]),
            valid_start=START * 1_000_000 + int(self._valid_day * SECONDS) * 1_000_000,
            test_start=START * 1_000_000 + int(self._test_day * SECONDS) * 1_000_000,
            facts={
                "process": "latent needs, personal taste and chance drive behaviours; see reaseq.data.synthetic",
                "behaviors_in_life": len(seen),
                "logged_share": round(float(seen.mean()), 4),
                "driven_by_needs": round(float((done.cause >= 0).mean()), 4),
                "driven_by_taste": round(float((causes == TASTE).mean()), 4),
                "new_items": int((catalogue.launch > 0).sum()),
                "product_kinds": len(catalogue.kinds),
            },
        )


def _table(done: Behaviors, catalogue: Catalogue, users: int) -> pa.Table:
    width = len(str(users))
    user_ids = pa.array([f"u{n:0{width}d}" for n in range(1, users + 1)])
    causes = [need.name for need in NEEDS] + [NOISE, TASTE]
    # NOISE_CAUSE is -2 and TASTE_CAUSE -1: the last two entries, counted from the end.
    seconds = (START + done.second) * 1_000_000
    return pa.table(
        {
            "user_id": user_ids.take(pa.array(done.user)),
            "item_id": catalogue.table.column("item_id").combine_chunks().take(pa.array(done.item)),
            "timestamp": pa.array(seconds).cast(TIMESTAMP),
            "domain": pa.array(catalogue.domains).take(pa.array(catalogue.domain[done.item])),
            "need": pa.array(causes).take(pa.array(done.cause % len(causes))),
        }
    )
