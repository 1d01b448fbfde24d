"""Does the denoiser know anything of a click that the ranker does not? A bound for claim C7, by validation alone.

    python benchmarks/posterior_beside_ranker.py --dataset DIR --item-vectors DIR --denoiser DIR [--config FILE]

A ranker without inferred behaviours (variant `rer`) scores the validation impressions. Beside its logit stands what the
denoiser says of the shown item at the validation snapshot: not ten inferred items but its whole posterior, as the mean
over slots of exp(scale · cos(ẑ, z)), and as the mean log-probability of the item's codes. A logistic regression on half
of the users joins the two, and the other half shows what is gained; then the halves change places. Item-to-item with
weights that fall by 5 % a behaviour is joined in the same way, as a yardstick. Users without two behaviours before the
snapshot are left out. docs/behaviors.md quotes the table that it prints.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from reaseq import config
from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.behavior.denoiser import load_denoiser
from reaseq.behavior.fitted import folder_at
from reaseq.behavior.slots import gather_sequences, insert_masks
from reaseq.config import RunConfig
from reaseq.data.dataset import Dataset, Impressions
from reaseq.evaluation import metrics
from reaseq.ranking.batches import RequestBatches
from reaseq.ranking.sequential.counting import ItemToItem
from reaseq.ranking.stage import fit, prepare
from reaseq.ranking.training import catalogue, predict
from reaseq.representation import ItemVectors

FROZEN = Path(__file__).resolve().parent / "posterior_beside_ranker-2026-11-27.json"
BATCH, ROWS = 2048, 128


def ranker_logits(
    run: RunConfig, dataset: Artifact, vectors: Artifact, inferred: Artifact, out: Path
) -> tuple[Impressions, np.ndarray]:
    """The validation impressions, and a logit of each."""
    ready = prepare(run, dataset, vectors, inferred, "rer", Workspace(out))
    with tempfile.TemporaryDirectory(prefix="posterior-") as scratch:
        fit(ready.model, ready.shards["train"], ready.contexts, run, Path(scratch), ready.device, ready.rated)
    shown = ready.data.impressions("valid")
    scores = predict(ready.model, catalogue(ready.model), RequestBatches(shown, ready.contexts), BATCH)
    scores = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    return shown, np.log(scores / (1 - scores))


@torch.no_grad()
def said(
    run: RunConfig, data: Dataset, vectors: ItemVectors, denoiser: Artifact, users: np.ndarray
) -> dict[str, np.ndarray]:
    """What is said of every item for these users at the validation snapshot: name → [n, V+1]."""
    behavior = run.behavior
    model = load_denoiser(folder_at(denoiser, int(data.valid_start)))
    past = data.visible_log().with_actions(model.config.action_names).before(int(data.valid_start))
    starts, ends = past.offsets[users], past.offsets[users + 1]
    recent = gather_sequences(past, np.maximum(starts, ends - behavior.max_slots), ends)
    z, codes = torch.from_numpy(vectors.z), torch.from_numpy(vectors.codes.astype(np.int64)).clamp(min=0)
    found: dict[str, list[np.ndarray]] = {}
    for slots, name in ((1, "one slot"), (behavior.inferred + behavior.spare_slots, "all slots")):
        inside = 0 if slots == 1 else slots // 3
        inserted = insert_masks(recent, vectors.codes, model.config.mask_code, slots, inside, now=int(data.valid_start))
        for some in torch.arange(len(users)).split(ROWS):
            hidden = model(inserted.batch.rows(some), inserted.index[some])
            cosine = model.latent_scale * model.latent(hidden) @ z.T
            found.setdefault(f"ẑ, {name}", []).append(cosine.logsumexp(1).numpy())
            of_codes = model.code_logits(hidden).softmax(-1).mean(1).log()  # [b, L, K]
            total = sum(of_codes[:, level][:, codes[:, level]] for level in range(codes.shape[1]))
            found.setdefault(f"codes, {name}", []).append(torch.as_tensor(total).numpy())
    near = ItemToItem(past, past, len(data.item_ids), decay=0.95, history=behavior.max_slots)(starts, ends)
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return joined | {"item-to-item, recent first": np.concatenate([np.zeros((len(users), 1)), near], 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--dataset", "--item-vectors", "--denoiser", "--inferred-behaviors"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--config", type=Path, default=FROZEN, help="another configuration, for a trial")
    parser.add_argument("--out", type=Path, default=Path("runs/posterior_beside_ranker"))
    chosen = parser.parse_args()
    frozen: dict[str, Any] = json.loads(chosen.config.read_text())
    kinds = ("dataset", "item_vectors", "denoiser", "inferred_behaviors")
    dataset, item_vectors, denoiser, inferred = (open_artifact(getattr(chosen, kind), kind) for kind in kinds)
    data, vectors = Dataset.open(dataset), ItemVectors.open(item_vectors)
    torch.set_num_threads(1)
    gains: dict[str, list[tuple[float, float, float]]] = {}
    for seed in frozen["seeds"]:
        run = config.load(frozen["preset"], seed=seed, overrides={"threads": 1, "device": "cpu"})
        shown, logits = ranker_logits(run, dataset, item_vectors, inferred, chosen.out)
        able = np.diff(data.visible_log().before(int(data.valid_start)).offsets) >= run.behavior.min_events
        kept = (shown.user >= 0) & able[np.maximum(shown.user, 0)]
        users, row = np.unique(shown.user[kept], return_inverse=True)
        user, label, item, logit = shown.user[kept], shown.label[kept], shown.item[kept], logits[kept]
        half = np.random.default_rng(seed).random(len(users))[row] < 0.5
        for name, of_items in said(run, data, vectors, denoiser, users).items():
            feature = of_items[row, item]
            feature = (feature - feature.mean()) / feature.std()
            both = np.stack([logit, feature], 1)
            for learn in (half, ~half):
                test = ~learn
                joined = LogisticRegression(C=100).fit(both[learn], label[learn]).decision_function(both[test])
                gains.setdefault(name, []).append(
                    tuple(metrics.gauc(user[test], label[test], s).value for s in (feature[test], logit[test], joined))
                )
    print("| said of the shown item by | alone | the ranker alone | joined | gained, over halves and seeds |")
    print("|---|---|---|---|---|")
    for name, rows in gains.items():
        alone, ranker, joined = np.mean(rows, axis=0)
        each = [row[2] - row[1] for row in rows]
        print(f"| {name} | {alone:.4f} | {ranker:.4f} | {joined:.4f} | {min(each):+.4f} … {max(each):+.4f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
