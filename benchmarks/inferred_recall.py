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

from reaseq import config
from reaseq.artifacts import open_artifact
from reaseq.behavior.catalogue import Catalogue, Posterior, score_catalogue
from reaseq.behavior.denoiser import ReaSeqDenoiser, load_denoiser, place
from reaseq.behavior.grounding import ground
from reaseq.behavior.inference import View, noise_keys, open_shortlists, rules_of
from reaseq.behavior.sampler import Sampler
from reaseq.behavior.slots import Inserted, gather_sequences, insert_masks
from reaseq.behavior.stage import REFIT
from reaseq.data.dataset import Dataset
from reaseq.determinism import deterministic_torch
from reaseq.evaluation.claims.cases import Cases
from reaseq.evaluation.claims.recovery import DECAY, M, best_with_new, lacking, of_spans
from reaseq.ranking.sequential.counting import ItemToItem, Popularity
from reaseq.representation.vectors import ItemVectors
from reaseq.schema import VECTOR_DIM

ROWS = 128  # users at a time
SHARES = (0.0, 0.3, 0.5)
USERS, TIES = 1, 0  # seeds


class Ranking:
    """Users with a truth, and how much of it ten items hold, out of all that they have not had."""

    def __init__(self, cases: Cases, category: np.ndarray):
        self.cases = cases
        self.allowed = cases.known & ~cases.history()
        self.missed = lacking(cases, category)

    def recall(self, items: np.ndarray) -> float:
        """Share of all truth items among `items` int64 [N, M], 0 for none."""
        return float(np.take_along_axis(self.cases.truth, items, 1).sum() / self.cases.truth.sum())

    def told(self, name: str, scores: np.ndarray) -> None:
        allowed, rng = np.where(self.allowed, scores, -np.inf), np.random.default_rng(TIES)
        recalls = [self.recall(best_with_new(allowed, self.missed, new, rng)) for new in (0, M // 2)]
        print(f"| {name} | {recalls[0]:.4f} | {recalls[1]:.4f} |", flush=True)


def truths(data: Dataset, view: View, least: int, most: int) -> Iterator[tuple[str, Cases]]:
    """What users do from the view's snapshot on and before the start of test, and had not done before."""
    events = {"the future": (data.log.users, data.log.items.astype(np.int64), data.log.timestamps)}
    beyond = data.beyond_log()
    if beyond is not None:
        times = beyond.column("timestamp").cast(pa.int64()).to_numpy()
        users, items = data.log.user_index(beyond.column("user_id")), data.index_of(beyond.column("item_id"))
        events["beyond the log"] = (users, items, times)
    for name, (user, item, time) in events.items():
        there = (time >= view.snapshot) & (time < data.test_start) & (user >= 0) & (item > 0)
        able = np.unique(user[there])
        able = able[np.diff(view.log.offsets)[able] >= least]
        users = np.sort(np.random.default_rng(USERS).permutation(able)[:most])
        there &= np.isin(user, users)
        truth = np.zeros((len(users), len(data.item_ids) + 1), bool)
        truth[np.searchsorted(users, user[there]), item[there]] = True
        nothing = np.zeros((len(users), 1), np.int64)
        cases = Cases(view.log, users, nothing, np.zeros((len(users), 1, VECTOR_DIM), np.float32), truth, truth)
        truth &= ~cases.history()
        yield name, cases


@torch.no_grad()
def first_latents(model: ReaSeqDenoiser, inserted: Inserted) -> torch.Tensor:
    """ẑ of all inserted slots before any is settled, [N, S, 128]."""
    rows = torch.arange(len(inserted.index)).split(ROWS)
    return torch.cat([model.latent(model(inserted.batch.rows(some), inserted.index[some])) for some in rows])


def posterior(model: ReaSeqDenoiser, latents: torch.Tensor, catalogue: Catalogue, items: int) -> np.ndarray:
    """Mean over the slots, [N, items + 1]."""
    scores = np.zeros((len(latents), items + 1))
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
    model = place(load_denoiser(fitted.path / REFIT if chosen.refit else fitted.path), "cpu")
    cut = int((fitted.facts[REFIT] if chosen.refit else fitted.facts)["cut"])
    log = data.log.with_actions(model.config.action_names)
    view = View.at(0, data.valid_start, log, vectors, data.category_index)
    learnt, slots, items = log.before(cut), behavior.inferred + behavior.spare_slots, len(data.item_ids)
    for truth, cases in truths(data, view, behavior.min_events, chosen.users):
        ranking, (starts, ends) = Ranking(cases, data.category_index), cases.spans()
        print(f"\n{truth}: {len(cases)} users, {cases.truth.sum() / len(cases):.2f} items each\n")
        print(f"| Recall@{M} | any | new {M // 2} |\n|---|---|---|", flush=True)
        for name, events in (("", view.log), (", the denoiser's events", learnt)):
            ranking.told(f"popularity{name}", of_spans(Popularity(events, items))(cases))
            for decay in (1.0, DECAY):
                counted = ItemToItem(events, view.log, items, decay=decay, history=behavior.max_slots)
                ranking.told(f"item-to-item, decay {decay}{name}", of_spans(counted)(cases))
        recent = gather_sequences(view.log, np.maximum(starts, ends - behavior.max_slots), ends)
        many = insert_masks(recent, vectors.codes, model.config.mask_code, slots, now=view.snapshot)
        one = insert_masks(recent, vectors.codes, model.config.mask_code, 1, 0, view.snapshot)
        for name, inserted in (("one slot", one), (f"{slots} slots, none settled", many)):
            ranking.told(name, posterior(model, first_latents(model, inserted), view.catalogue, items))
        sampler = Sampler.of(model, behavior, seed=0)
        keys = noise_keys(log.user_ids[cases.user], view.snapshot)
        sampled = []
        for some in torch.arange(len(keys)).split(ROWS):
            part = Inserted(many.batch.rows(some), many.index[some], many.times[some.numpy()])
            sampled.append(sampler.sample(part, keys[some.numpy()]))
        latents, codes = (torch.cat([getattr(each, name) for each in sampled]) for name in ("latent", "codes"))
        name = f"{slots} slots, settled in {behavior.reverse_steps} steps"
        ranking.told(name, posterior(model, latents, view.catalogue, items))
        history = torch.from_numpy(gather_sequences(view.log, starts, ends).items)
        shortlists = open_shortlists(view.catalogue, Posterior.of(model), behavior)
        for share in SHARES:
            asked = behavior.model_copy(update={"new_category_share": share})
            rules = rules_of(asked, log.before(int(fitted.facts["cut"])), vectors, data.category_index)
            grounded = ground(latents, codes, history, shortlists, rules)
            recall = ranking.recall(grounded.items.numpy())
            print(f"| inferred, new_category_share {share} | {recall:.4f} | |", flush=True)
    return 0


if __name__ == "__main__":
    with deterministic_torch(1, 0):
        sys.exit(main())
