"""Where recall is lost between what the denoiser knows and what it infers, at the validation snapshot.

    python benchmarks/inferred_recall.py --dataset DIR --item-vectors DIR --denoiser DIR [--users N] [--preset small]

ranks items for users with behaviours between the starts of validation and test, and prints Recall@10 of the future
(what the log holds then) and, where the dataset tells it, of what the users did beyond the log. Behaviours of the test
period are never read.

Rows: popularity and item-to-item on all events before the snapshot and on those that the denoiser was fitted on; the
posterior of one slot after the history; the mean posterior of all inserted slots before any is settled, and as the
sampler leaves it; the items that grounding chooses at each share of new categories. Each ranking takes ten items out of
all that the user has not had; column `new 5` takes five of them from categories that the history lacks. A refit
denoiser is asked with --refit.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from reaseq import config
from reaseq.artifacts import open_artifact
from reaseq.behavior.denoiser import ReaSeqDenoiser, load_denoiser, place
from reaseq.behavior.determinism import deterministic_torch
from reaseq.behavior.grounding import ground, score_catalogue
from reaseq.behavior.inference import View, noise_keys, rules_of
from reaseq.behavior.sampler import Sampler
from reaseq.behavior.slots import Inserted, gather_sequences, insert_masks
from reaseq.data.dataset import Dataset
from reaseq.ranking.sequential.counting import ItemToItem, Popularity
from reaseq.representation.vectors import ItemVectors

K = 10
ROWS = 128  # users at a time
SHARES = (0.0, 0.3, 0.5)

Scores = NDArray[np.float64]


class Probe:
    """Users with a truth, and how much of it a ranking holds."""

    def __init__(self, data: Dataset, view: View, users: np.ndarray, truth: NDArray[np.bool_]):
        self.view, self.users = view, users
        log, category = view.log, data.category_index
        self.starts, self.ends = log.offsets[users], log.offsets[users + 1]
        self.known = np.zeros(len(category), bool)
        self.known[log.items] = True
        history = np.zeros_like(truth)
        self.lacking = np.ones((len(users), int(category.max()) + 1), bool)
        self.lacking[:, 0] = False
        for row, (start, end) in enumerate(zip(self.starts, self.ends, strict=True)):
            history[row, log.items[start:end]] = True
            self.lacking[row, category[log.items[start:end]]] = False
        self.lacking = self.lacking[:, category]
        self.truth, self.allowed = truth & ~history, self.known & ~history

    def recall(self, items: np.ndarray) -> float:
        """Share of all truth items among `items` int64 [N, K], 0 for none."""
        found = np.take_along_axis(self.truth, items, 1) & (items > 0)
        return float(found.sum() / self.truth.sum())

    def best(self, scores: Scores, new: int) -> np.ndarray:
        """[N, K] the best items, `new` of them of categories that the history lacks."""
        scores = np.where(self.allowed, scores + np.random.default_rng(0).random(scores.shape) * 1e-9, -np.inf)
        fresh = np.argsort(-np.where(self.lacking, scores, -np.inf), 1)[:, :new]
        fresh = np.where(np.take_along_axis(self.lacking & self.allowed, fresh, 1), fresh, 0)
        np.put_along_axis(scores, fresh, -np.inf, 1)
        return np.concatenate([fresh, np.argsort(-scores, 1)[:, : K - new]], 1)

    def told(self, name: str, scores: Scores) -> str:
        return f"| {name} | {self.recall(self.best(scores, 0)):.4f} | {self.recall(self.best(scores, K // 2)):.4f} |"


def probes(data: Dataset, view: View, least: int, most: int) -> Iterator[tuple[str, Probe]]:
    truths = {"the future": (data.log.users, data.log.items.astype(np.int64), data.log.timestamps)}
    beyond = data.beyond_log()
    if beyond is not None:
        times = beyond.column("timestamp").cast(pa.int64()).to_numpy()
        truths["beyond the log"] = (
            data.log.user_index(beyond.column("user_id")),
            data.index_of(beyond.column("item_id")),
            times,
        )
    for name, (user, item, time) in truths.items():
        there = (time >= view.snapshot) & (time < data.test_start) & (user >= 0) & (item > 0)
        able = np.unique(user[there])
        able = able[np.diff(view.log.offsets)[able] >= least]
        users = np.sort(np.random.default_rng(1).permutation(able)[:most])
        there &= np.isin(user, users)
        truth = np.zeros((len(users), len(data.item_ids) + 1), bool)
        truth[np.searchsorted(users, user[there]), item[there]] = True
        yield name, Probe(data, view, users, truth)


def padded(scores: np.ndarray) -> Scores:
    return np.concatenate([np.full((len(scores), 1), -np.inf), scores], 1).astype(np.float64)


@torch.no_grad()
def first_latents(model: ReaSeqDenoiser, inserted: Inserted) -> torch.Tensor:
    """ẑ of all inserted slots before any is settled, [N, S, 128]."""
    rows = torch.arange(len(inserted.index)).split(ROWS)
    return torch.cat([model.latent(model(inserted.batch.rows(some), inserted.index[some])) for some in rows])


def posterior(model: ReaSeqDenoiser, latents: torch.Tensor, probe: Probe) -> Scores:
    """Mean over the slots, [N, V+1]."""
    scores = np.zeros((len(latents), len(probe.known)))
    catalogue = probe.view.catalogue
    for low in range(0, len(latents), ROWS):
        some = latents[low : low + ROWS]
        flat = score_catalogue(some.reshape(-1, some.shape[-1]), catalogue, model.latent_scale).exp()
        mean = flat.view(*some.shape[:2], -1).mean(1).detach().numpy()
        scores[low : low + len(some)][:, catalogue.items.numpy()] = mean
    return scores


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--dataset", "--item-vectors", "--denoiser"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--refit", action="store_true", help="ask the one that was fitted on all training events")
    parser.add_argument("--preset", default="small", help="how slots are inserted and settled")
    parser.add_argument("--users", type=int, default=3000)
    chosen = parser.parse_args()
    fitted = open_artifact(chosen.denoiser, "denoiser")
    data = Dataset.open(open_artifact(chosen.dataset, "dataset"))
    vectors = ItemVectors.open(open_artifact(chosen.item_vectors, "item_vectors"))
    behavior = config.load(chosen.preset).behavior
    model = place(load_denoiser(fitted.path / "refit" if chosen.refit else fitted.path), "cpu")
    cut = int(fitted.facts["refit"]["cut"] if chosen.refit else fitted.facts["cut"])
    log = data.log.with_actions(model.config.action_names)
    view = View.at(0, data.valid_start, log, vectors, data.category_index)
    learnt, slots = log.before(cut), behavior.inferred + behavior.spare_slots
    for truth, probe in probes(data, view, behavior.min_events, chosen.users):
        print(f"\n{truth}: {len(probe.users)} users, {probe.truth.sum() / len(probe.users):.2f} items each\n")
        print(f"| Recall@{K} | any | new {K // 2} |\n|---|---|---|", flush=True)
        spans = (probe.starts, probe.ends)
        for name, events in (("", view.log), (", the denoiser's events", learnt)):
            print(probe.told(f"popularity{name}", padded(Popularity(events, len(data.item_ids))(*spans))), flush=True)
            for decay in (1.0, 0.95):
                counted = ItemToItem(events, view.log, len(data.item_ids), decay=decay, history=behavior.max_slots)
                print(probe.told(f"item-to-item, decay {decay}{name}", padded(counted(*spans))), flush=True)
        recent = gather_sequences(view.log, np.maximum(probe.starts, probe.ends - behavior.max_slots), probe.ends)
        many = insert_masks(recent, vectors.codes, model.config.mask_code, slots, now=view.snapshot)
        one = insert_masks(recent, vectors.codes, model.config.mask_code, 1, 0, view.snapshot)
        for name, inserted in (("one slot", one), (f"{slots} slots, none settled", many)):
            print(probe.told(name, posterior(model, first_latents(model, inserted), probe)), flush=True)
        sampler = Sampler(
            model,
            slots=slots,
            steps=behavior.reverse_steps,
            guidance=behavior.guidance,
            temperature=behavior.temperature,
            seed=0,
            refresh=behavior.cache_refresh,
        )
        keys = noise_keys(log.user_ids[probe.users], view.snapshot)
        latents, codes = [], []
        for some in torch.arange(len(keys)).split(ROWS):
            part = Inserted(many.batch.rows(some), many.index[some], many.times[some.numpy()])
            sampled = sampler.sample(part, keys[some.numpy()])
            latents.append(sampled.latent)
            codes.append(sampled.codes)
        print(probe.told(f"{slots} slots, settled in {behavior.reverse_steps} steps",
                         posterior(model, torch.cat(latents), probe)), flush=True)  # fmt: skip
        history = torch.from_numpy(gather_sequences(view.log, *spans).items)
        for share in SHARES:
            asked = behavior.model_copy(update={"new_category_share": share})
            rules = rules_of(asked, log.before(int(fitted.facts["cut"])), vectors, data.category_index)
            chosen_items = ground(
                torch.cat(latents), torch.cat(codes), history, view.catalogue, model.latent_scale.item(), rules
            ).items.numpy()
            print(f"| inferred, new_category_share {share} | {probe.recall(chosen_items):.4f} | |", flush=True)
    return 0


if __name__ == "__main__":
    with deterministic_torch(1, 0):
        sys.exit(main())
