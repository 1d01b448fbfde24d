"""`train_ranker`: dataset, item vectors and inferred behaviours → a bundle that serving loads."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from sklearn.metrics import log_loss, roc_auc_score

from reaseq.artifacts import Artifact, Draft, Workspace, build, write_text
from reaseq.config import Json, RunConfig
from reaseq.data.dataset import Dataset
from reaseq.determinism import make_deterministic
from reaseq.parallel import Ranks
from reaseq.ranking.batches import Contexts, Epochs
from reaseq.ranking.bundle import CURVE, GOLDEN, MODEL, PARITY, SPEC, VOCABULARY, WEIGHTS, onnx_session
from reaseq.ranking.errors import RankingError
from reaseq.ranking.export import GRAPH, ServedRanker, export_onnx, largest_difference
from reaseq.ranking.features import FeatureLimits, Tensors
from reaseq.ranking.golden import golden_requests
from reaseq.ranking.inferences import InferenceTable
from reaseq.ranking.model import VARIANTS, Ranker, RankerSpec, build_ranker
from reaseq.ranking.shards import Shards, item_counts, negatives_sampled
from reaseq.ranking.statistics import click_rate
from reaseq.ranking.training import Network, Progress, Trainer, predict_shards
from reaseq.representation.vectors import ItemVectors
from reaseq.schema import SPLITS

SMALLEST_BATCH = 32


def train_ranker(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    inferred_behaviors: Artifact,
    out: Path,
    workspace: Workspace,
    variant: str = "full",
    ranks: Ranks = Ranks(),
) -> Artifact:
    """Train a ranker, export it and bundle it (artifact kind "ranker", name `ranker_<variant>`).

    Facts: `valid` {auc, logloss, impressions} after training, `examples_per_second`, `target_overlap` (share of
    impressions whose target is among the inferred items seen, by split, for positives and negatives apart), `parity`
    (largest difference between eager and exported scores over the golden requests), `final_loss`, `steps`.

    Args:
        config: sections `ranking`, `seed`, `threads`, `device`.
        dataset: kind "dataset".
        item_vectors: kind "item_vectors", of that dataset.
        inferred_behaviors: kind "inferred_behaviors", of that dataset.
        out: folder to make.
        workspace: finished artifacts and checkpoints.
        variant: one of `VARIANTS`: "full", or the same network with some of its inputs zeroed.
        ranks: the processes that train together. This is the leading one, and the others call `assist_training`; what
            comes out is that of one process up to the order of float sums, so the artifact's key does not name them.

    Raises:
        RankingError: unknown variant, inputs that don't fit together, no training impressions, no such device, or an
            export that scores differently.
    """
    if variant not in VARIANTS:
        raise RankingError(f"variant {variant!r} of the ranker is unknown; choose one of {', '.join(VARIANTS)}.")

    def write(draft: Draft) -> None:
        prepared = prepare(config, dataset, item_vectors, inferred_behaviors, variant, workspace)
        _write(draft, config, prepared, item_vectors, ranks)

    with ranks.announcing(write) as announced:
        return build(
            out,
            kind="ranker",
            name=f"ranker_{variant}",
            config=config.part("ranking") | {"variant": variant, "device": config.device, "graph": GRAPH},
            inputs={"dataset": dataset, "item_vectors": item_vectors, "inferred_behaviors": inferred_behaviors},
            write=announced,
            workspace=workspace,
        )


def assist_training(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    inferred_behaviors: Artifact,
    workspace: Workspace,
    ranks: Ranks,
    variant: str = "full",
) -> None:
    """Take part in a training that another process leads; arguments as for `train_ranker`, nothing is written but the
    workspace's shards."""
    if not ranks.called():
        return
    prepared = prepare(config, dataset, item_vectors, inferred_behaviors, variant, workspace)
    with tempfile.TemporaryDirectory(prefix="training-") as scratch:
        fit(
            prepared.model,
            prepared.shards["train"],
            prepared.contexts,
            config,
            Path(scratch),
            prepared.device,
            prepared.rated,
            ranks,
        )


@dataclass(frozen=True)
class Prepared:
    """All that training reads, and the network before its first step; made by `prepare`."""

    data: Dataset
    vectors: ItemVectors
    table: InferenceTable
    contexts: Contexts
    shards: dict[str, Shards]
    spec: RankerSpec
    rated: bool
    model: Ranker
    device: torch.device


def prepare(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    inferred: Artifact,
    variant: str,
    workspace: Workspace,
) -> Prepared:
    """Open the inputs of a training and build its network on the run's device; arguments and errors as for
    `train_ranker`."""
    cache = workspace.shards
    data, vectors = Dataset.open(dataset), ItemVectors.open(item_vectors)
    if len(vectors.z) != len(data.item_ids) + 1:
        raise RankingError(
            f"item_vectors hold {len(vectors.z) - 1} items and the dataset {len(data.item_ids)}: they were not "
            "made from one another. Run the representation stage on this dataset."
        )
    device = training_device(config)
    settings = config.ranking
    limits = FeatureLimits(
        settings.short_history,
        settings.long_history,
        _inferred_width(inferred),
        vectors.codes.shape[1],
        trimmed=True,
    )
    table = InferenceTable.read(inferred, data, settings.lag_hours, cache)
    contexts = Contexts(data.log, data.category_index, table if VARIANTS[variant].inferences else None, limits)
    shards: dict[str, Shards] = {split: Shards.of(data, split, cache) for split in SPLITS}
    spec = ranker_spec(config, data, vectors, variant)
    rated = uses_click_rates(config, shards["train"], variant)
    tables = item_tables(data, vectors, shards["train"], variant, rated)
    model = build_ranker(spec, config.seed, tables).to(device)
    return Prepared(data, vectors, table, contexts, shards, spec, rated, model, device)


def _write(draft: Draft, config: RunConfig, prepared: Prepared, item_vectors: Artifact, ranks: Ranks) -> None:
    settings, model, shards = config.ranking, prepared.model, prepared.shards
    contexts, limits, table = prepared.contexts, prepared.contexts.limits, prepared.table
    done = fit(model, shards["train"], contexts, config, draft.scratch, prepared.device, prepared.rated, ranks)

    draft.facts.update(
        variant=prepared.spec.variant,
        click_rates=prepared.rated,
        valid=_quality(model, shards["valid"], contexts, settings.batch),
        examples_per_second=round(done.impressions / done.seconds, 1),
        training_seconds=round(done.seconds, 1),
        steps=done.step,
        final_loss=done.curve[-1]["loss"],
        training_impressions=done.impressions,
        parameters=sum(p.numel() for p in model.parameters()),
        items_seen_in_training=int((model.id_row > 0).sum()),
        target_overlap={split: _overlap(table, parts) for split, parts in shards.items()},
    )
    model = model.cpu()
    golden = golden_requests(
        prepared.data,
        shards["test"],
        prepared.vectors,
        table,
        limits,
        count=settings.golden_requests,
        candidates=settings.golden_candidates,
        seed=config.seed,
    )
    draft.facts["parity"] = _bundle(draft, model, limits, golden)
    draft.write_json(
        SPEC,
        {
            "variant": prepared.spec.variant,
            "model": prepared.spec.model_dump(mode="json"),
            "limits": vars(limits),
            "categories": prepared.data.category_names,
            "inputs": [{"name": name, "dtype": dtype, "shape": shape} for name, dtype, shape in limits.specs()],
            "output": {"name": "scores", "dtype": "float32", "shape": ["C"]},
            "item_vectors": {"version": prepared.vectors.version, "digest": item_vectors.digest},
        },
    )
    pq.write_table(pa.table({"item_id": pa.array(prepared.data.item_ids, pa.string())}), draft.path / VOCABULARY)
    write_text(draft.path / CURVE, "".join(json.dumps(point) + "\n" for point in done.curve))


def fit(
    model: Network,
    train: Shards,
    contexts: Contexts,
    config: RunConfig,
    scratch: Path,
    device: torch.device,
    rated: bool = False,
    ranks: Ranks = Ranks(),
    until: float | None = None,
) -> Progress:
    """Train a network on the training split, going on from a checkpoint in `scratch` if there is one.

    Args:
        model: freshly initialised.
        train: the training split.
        contexts: user tensors.
        config: sections `ranking` and `seed`.
        scratch: for the checkpoint.
        device: where the model is.
        rated: whether impressions see click rates, as they stood.
        ranks: the processes that train together.
        until: epochs after which to stop for now; None: all of them.

    Raises:
        RankingError: the split holds no impressions of both labels, or the loss diverges.
    """
    settings = config.ranking
    check_labels(train, "training", "the ranker has nothing to learn")
    size = min(settings.batch, max(SMALLEST_BATCH, train.rows // settings.least_steps))
    epochs = Epochs(train, contexts, size, rated)
    trainer = Trainer(model, epochs, settings, seed=config.seed, scratch=scratch, device=device, ranks=ranks)
    return trainer.run(None if until is None else round(until * epochs.about()))


def check_labels(shards: Shards, split: str, lack: str) -> None:
    """Refuse a split without impressions of both labels.

    Args:
        shards: of the split.
        split: its name, to people.
        lack: what can't be done without, as a clause.

    Raises:
        RankingError: it holds one label only, or nothing.
    """
    labels = sum((np.bincount(block.impressions.label, minlength=2) for block in shards.each()), np.zeros(2, np.int64))
    if not labels.all():
        raise RankingError(
            f"the {split} split holds {labels.sum()} impressions and not both labels: {lack}. "
            "Check `label` in the source, or the split dates (data.valid_start, data.test_start)."
        )


def uses_click_rates(config: RunConfig, train: Shards, variant: str = "full") -> bool:
    """What `ranking.click_rates` comes to on this log, for this variant."""
    if not VARIANTS[variant].attributes:
        return False
    wanted = config.ranking.click_rates
    return not negatives_sampled(train) if wanted == "auto" else wanted == "on"


def item_tables(
    data: Dataset, vectors: ItemVectors, train: Shards, variant: str, rated: bool = False
) -> dict[str, np.ndarray]:
    """What a ranker knows of each item: `z`, `codes`, `category`, `counts` and `rate`, [V+1, …] each.

    For `counts` see `training_counts`.
    """
    size = len(data.item_ids)
    shown, taken = item_counts(train, size)
    known = VARIANTS[variant].vectors
    return {
        "z": vectors.z if known else np.zeros_like(vectors.z),
        "codes": vectors.codes if known else np.full_like(vectors.codes, -1),
        "category": data.category_index,
        "counts": training_counts(data, train),
        "rate": click_rate(shown, taken) if rated else np.zeros(size + 1, np.float32),
    }


def training_counts(data: Dataset, train: Shards) -> np.ndarray:
    """How often the training period holds each item, shown or consumed, int64 [V+1]; labels play no part in it."""
    size = len(data.item_ids)
    return item_counts(train, size)[0] + np.bincount(data.log.only_train().items, minlength=size + 1)


def _bundle(draft: Draft, model: Ranker, limits: FeatureLimits, golden: list[Tensors]) -> float:
    """Write weights, ONNX model and golden requests; returns the largest difference between eager and exported."""
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, draft.path / WEIGHTS)
    served = ServedRanker(model).eval()
    exported = export_onnx(served, limits)
    (draft.path / MODEL).write_bytes(exported)
    session = onnx_session(exported)
    tensors: Tensors = {}
    worst = 0.0
    for place, inputs in enumerate(golden):
        scores = session.run(["scores"], inputs)[0]
        worst = max(worst, largest_difference(served, inputs, scores))
        tensors |= {f"{place}/{name}": value for name, value in inputs.items()} | {f"{place}/scores": scores}
    if worst > PARITY:
        raise RankingError(
            f"the exported ranker's scores differ from the trained one's by {worst:.2e} on a golden request (at most "
            f"{PARITY:.0e} is allowed): this build of onnxruntime can't serve it. Use the locked versions."
        )
    save_arrays(tensors, draft.path / GOLDEN)
    return worst


def ranker_spec(config: RunConfig, data: Dataset, vectors: ItemVectors, variant: str) -> RankerSpec:
    """The sizes of a ranker over this catalogue."""
    settings = config.ranking
    return RankerSpec(
        items=len(data.item_ids),
        categories=len(data.category_names),
        levels=vectors.codes.shape[1],
        codebook_size=vectors.centroids.shape[1],
        id_dim=settings.id_dim,
        content_dim=settings.content_dim,
        attention_dim=settings.attention_dim,
        hidden=settings.hidden,
        long_top=settings.long_top,
        temperature=settings.similarity_temperature,
        gate_bias=settings.gate_bias,
        variant=variant,
    )


def training_device(config: RunConfig) -> torch.device:
    """The run's device, with torch told to repeat itself bit for bit on the run's threads.

    Raises:
        RankingError: there is no such device.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise RankingError("device is cuda and torch finds no GPU: set device=cpu, or choose the preset small.")
    make_deterministic(config.threads)
    return torch.device(config.device)


def _inferred_width(inferred: Artifact) -> int:
    """M: the longest list of inferred behaviours, at least 1."""
    lengths = inferred.table("inferred_behaviors.parquet", ["confidence"]).column(0).combine_chunks().value_lengths()
    return int(np.asarray(lengths).max(initial=1))


def _quality(model: Ranker, valid: Shards, contexts: Contexts, size: int) -> Json:
    """AUC and log loss; null where the split lacks a label."""
    scores, labels = predict_shards(model, valid, contexts, size, "ranker validation")
    if len(np.unique(labels)) < 2:
        return {"auc": None, "logloss": None, "impressions": len(labels)}
    return {
        "auc": float(roc_auc_score(labels, scores)),
        "logloss": float(log_loss(labels, scores.astype(np.float64))),
        "impressions": len(labels),
    }


def _overlap(table: InferenceTable, shards: Shards) -> Json:
    """Share of impressions whose target is among the inferred items seen, for positives and negatives apart."""
    seen, held = np.zeros(2), np.zeros(2)
    for block in shards.each():
        rows = block.impressions
        seen += np.bincount(rows.label, minlength=2)
        held += np.bincount(rows.label, table.holds(rows.user, rows.timestamp, rows.item), minlength=2)
        table.release()
    return {
        name: float(held[label] / seen[label]) if seen[label] else None
        for name, label in (("positives", 1), ("negatives", 0))
    }
