"""Items for slots out of large catalogues: every item looked at, against the approximate index.

    python benchmarks/large_catalogues.py --assets FOLDER [--config FILE] [--out FILE]

FOLDER holds the artifacts `dataset`, `item_vectors` and `denoiser` that belong together. What is looked for are the ẑ
of its own users before the validation period; the catalogue is its own, repeated with noise on each z until it is large
enough, since an index is as good as real vectors let it be. Both ways ground the same ẑ in turns, on one thread. Told
are processor seconds for all users, the share of chosen items that both choose, the share of the exact shortlists that
the index finds, and the error of the logarithm that confidences are divided by.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reaseq import config
from reaseq.artifacts import open_artifact
from reaseq.behavior.approximate_shortlists import NearItems
from reaseq.behavior.catalogue import Catalogue, Posterior
from reaseq.behavior.fitted import folder_at, open_catalogue, open_inferrer
from reaseq.behavior.grounding import Grounded, Rules, ground, held_categories
from reaseq.behavior.inference import View, noise_keys, rules_of
from reaseq.behavior.shortlists import Shortlist, Shortlists, WholeCatalogue
from reaseq.behavior.slots import gather_sequences
from reaseq.determinism import deterministic_torch

FROZEN = Path(__file__).resolve().parent / "large_catalogues-2026-11-27.json"


def grown(catalogue: Catalogue, size: int, noise: float, seed: int) -> Catalogue:
    """The catalogue, repeated until it has `size` items or more; an item's share of events is shared by its copies."""
    times = -(-size // len(catalogue.items))
    if times == 1:
        return catalogue
    made = torch.Generator().manual_seed(seed)
    z = catalogue.z.repeat(times, 1)
    z = F.normalize(z + noise * F.normalize(torch.randn(z.shape, generator=made), dim=-1), dim=-1)
    z[: len(catalogue.z)] = catalogue.z
    last = int(catalogue.items[-1])
    return Catalogue(
        items=torch.cat([catalogue.items + n * last for n in range(times)]),
        z=z,
        codes=catalogue.codes.repeat(times, 1),
        category=catalogue.category.repeat(times),
        log_prior=catalogue.log_prior.repeat(times) - float(np.log(times)),
        novelty=catalogue.novelty.repeat(times),
    )


def compared(
    frozen: dict[str, Any],
    catalogue: Catalogue,
    posterior: Posterior,
    asked: tuple[Tensor, Tensor, Tensor],
    rules: Rules,
) -> dict[str, Any]:
    """One line of the table."""
    latent, codes, history = asked
    started = time.process_time()
    near = NearItems(catalogue, posterior, seed=frozen["seed"])
    built = time.process_time() - started
    ways: dict[str, Shortlists] = {"every item": WholeCatalogue(catalogue, posterior), "index": near}
    seconds: dict[str, float] = dict.fromkeys(ways, float("inf"))
    chosen: dict[str, Grounded] = {}
    for _ in range(frozen["turns"]):
        for name, way in ways.items():
            started = time.process_time()
            chosen[name] = ground(latent, codes, history, way, rules)
            seconds[name] = min(seconds[name], time.process_time() - started)
    known = catalogue.position(history)
    found = {name: way.of(latent, known, held_categories(known, catalogue), fresh=True) for name, way in ways.items()}
    error = (found["index"].total - found["every item"].total).abs()
    return {
        "items": len(catalogue.items),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "speed-up": round(seconds["every item"] / seconds["index"], 2),
        "chosen items that both choose": round(_overlap(chosen["every item"].items, chosen["index"].items), 4),
        "of the exact shortlists, found": round(_overlap(*(_listed(found[name]) for name in ways)), 4),
        "error of log-sum, mean": round(float(error.mean()), 4),
        "error of log-sum, most": round(float(error.max()), 4),
        "seconds to build the index": round(built, 1),
    }


def _listed(found: Shortlist) -> Tensor:
    """Positions + 1, [B·S, N]; 0 for none."""
    return torch.where(found.score > -torch.inf, found.items + 1, 0).flatten(0, 1)


def _overlap(exact: Tensor, other: Tensor) -> float:
    """Share of the entries of `exact` [n, N], 0 for none, that stand in the same row of `other`."""
    there = exact > 0
    return float(((exact[..., None] == other[:, None]).any(-1) & there).sum() / there.sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=FROZEN, help="another configuration, for a trial")
    parser.add_argument("--out", type=Path, help="JSON of the table")
    given = parser.parse_args()
    frozen = json.loads(given.config.read_text())
    run = config.load(frozen["preset"], overrides={"threads": 1})
    dataset, item_vectors, denoiser = (
        open_artifact(given.assets / name, name) for name in ("dataset", "item_vectors", "denoiser")
    )
    data, vectors = open_catalogue(dataset, item_vectors)
    snapshot = data.valid_start
    rows = []
    with deterministic_torch(1, frozen["seed"]):
        rules = rules_of(run.behavior, data.log.before(int(denoiser.facts["cut"])), vectors, data.category_index)
        inferrer = open_inferrer(folder_at(denoiser, snapshot), run, data, vectors, rules, "timed")
        log = data.log.with_actions(inferrer.sampler.model.config.action_names)
        view = View.at(0, snapshot, log, vectors, data.category_index)
        able = np.flatnonzero(np.diff(view.log.offsets) >= run.behavior.min_events)
        users = np.sort(np.random.default_rng(frozen["seed"]).permutation(able)[: frozen["users"]])
        sampled = inferrer.sampler.sample(
            inferrer.inserted(view, users), noise_keys(view.log.user_ids[users], snapshot)
        )
        starts, ends = view.log.offsets[users], view.log.offsets[users + 1]
        history = torch.from_numpy(gather_sequences(view.log, starts, ends).items)
        posterior = Posterior.of(inferrer.sampler.model)
        for size in frozen["sizes"]:
            catalogue = grown(view.catalogue, size, frozen["noise"], frozen["seed"])
            asked = (sampled.latent, sampled.codes, history)
            rows.append(compared(frozen, catalogue, posterior, asked, rules))
            print(json.dumps(rows[-1]), flush=True)
    if given.out:
        given.out.write_text(json.dumps({"frozen": frozen, "users": len(users), "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
