"""Evaluation: both rankers on the same impressions, what they were made of, and the report."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from reaseq import schema
from reaseq.artifacts import Artifact, Draft, Workspace, build, write_text
from reaseq.config import Json, RunConfig
from reaseq.data.dataset import Dataset
from reaseq.evaluation import assets, buckets, cases, scorecard, yardsticks
from reaseq.evaluation.errors import EvaluationError
from reaseq.evaluation.metrics import Floats, Ints
from reaseq.evaluation.provenance import portable_config
from reaseq.evaluation.report import Cases, Material, Run, render
from reaseq.evaluation.scorecard import MODELS, ScoredSplit
from reaseq.ranking.gates import GateValues
from reaseq.ranking.scoring import CatalogueRanks, Scorer

METRICS, REPORT = "metrics.json", "report.html"
SPLITS = ("valid", "test")


@dataclass(frozen=True)
class Predicted:
    """What one ranker says of the dataset."""

    splits: dict[str, pa.Table]  # split → PREDICTIONS
    ranks: CatalogueRanks  # of the test split
    gate: GateValues  # of the test split


def evaluate(
    config: RunConfig,
    dataset: Artifact,
    knowledge: Artifact,
    item_vectors: Artifact,
    denoiser: Artifact,
    inferred_behaviors: Artifact,
    ranker_id: Artifact,
    ranker_full: Artifact,
    out: Path | str,
    workspace: Workspace,
) -> Artifact:
    """Measure the full model against the ID-only one, beside yardsticks that need no model, and write the report.

    Returns:
        An `evaluation` artifact: metrics.json, report.html, and predictions_id.parquet and predictions_full.parquet of
        the test split, so that later comparisons can be paired with this one.

    Raises:
        EvaluationError: predictions don't match the impressions, or aren't finite.
    """
    inputs = {
        "dataset": dataset,
        "knowledge": knowledge,
        "item_vectors": item_vectors,
        "denoiser": denoiser,
        "inferred_behaviors": inferred_behaviors,
        "ranker_id": ranker_id,
        "ranker_full": ranker_full,
    }

    def write(draft: Draft) -> None:
        _write(draft, config, inputs, workspace.shards)

    # The report shows the whole configuration, so its bytes depend on all of it.
    key = {"config": portable_config(config)}
    return build(out, kind="evaluation", config=key, inputs=inputs, write=write, workspace=workspace)


def _write(draft: Draft, config: RunConfig, inputs: dict[str, Artifact], folder: Path) -> None:
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    data = Dataset.open(inputs["dataset"])
    events = yardsticks.item_events(data.log.only_train().items, len(data.item_ids))
    made = {name: _predict(inputs[f"ranker_{name}"], data, config, inputs, folder) for name in MODELS}
    predicted = {split: {name: of_model.splits[split] for name, of_model in made.items()} for split in SPLITS}
    splits = {split: _line_up(data, split, predicted[split], events) for split in SPLITS}
    ranked = {name: of_model.ranks for name, of_model in made.items()}
    splits["test"] = _rank(splits["test"], data, events, ranked, config.seed)
    gate = made["full"].gate
    metrics = _measure(config, splits, events, _ages(data), inputs)
    metrics["omega"] = buckets.gate_by_history(gate.omega, gate.inferred, splits["test"].history)
    for name, table in predicted["test"].items():
        draft.write_table(f"predictions_{name}.parquet", table, schema.PREDICTIONS)
    draft.write_json(METRICS, metrics)
    run = Run(
        dataset=config.data.dataset,
        preset=config.preset,
        seed=config.seed,
        config=portable_config(config),
        digests={name: artifact.digest for name, artifact in inputs.items()},
        split=inputs["dataset"].facts["split"],
        counts=inputs["dataset"].facts.get("counts", {}),
    )
    shown = _cases(data, splits["test"], predicted["test"]["full"], events, inputs)
    write_text(draft.path / REPORT, render(run, metrics, _material(splits["test"], inputs), shown))
    draft.facts.update({name: metrics["test"][name] for name in MODELS}, lift=metrics["lift"], notes=metrics["notes"])


def _predict(
    ranker: Artifact, data: Dataset, config: RunConfig, inputs: dict[str, Artifact], folder: Path
) -> Predicted:
    sources = (data, inputs["item_vectors"], inputs["inferred_behaviors"])
    scorer = Scorer(ranker, *sources, config.ranking.lag_hours, folder)
    test, gate = scorer.impressions_with_gate("test")
    splits = {"valid": scorer.impressions("valid"), "test": test}
    return Predicted(splits, scorer.ranks("test", users=config.evaluation.ranked_users, seed=config.seed), gate)


def _line_up(data: Dataset, split: str, predicted: dict[str, pa.Table], events: Ints) -> ScoredSplit:
    """The split's impressions with each model's predictions and the yardsticks' scores.

    Raises:
        EvaluationError: predictions don't follow the rows of the impressions.
    """
    shown = data.impressions(split)
    for name, table in predicted.items():
        if table.num_rows != len(shown) or not np.array_equal(data.index_of(table.column("item_id")), shown.item):
            raise EvaluationError(
                f"predictions of ranker_{name} don't follow the {split} rows of impressions.parquet ({table.num_rows} "
                f"rows against {len(shown)}); score that split of this very dataset again."
            )
    training = data.impressions("train")
    mean = yardsticks.item_mean(training.item, training.label, len(data.item_ids))
    scores = {name: table.column("score").to_numpy().astype(np.float64) for name, table in predicted.items()}
    users = next(iter(predicted.values())).column("user_id").combine_chunks().dictionary_encode()
    return ScoredSplit(
        users=users.indices.to_numpy(),
        items=shown.item,
        labels=shown.label,
        history=shown.end - data.log.offsets[shown.user],  # for user -1 both are the length of the log
        scores=scores | {"item_mean": mean[shown.item], "popularity": events[shown.item].astype(np.float64)},
        probabilities=frozenset({*scores, "item_mean"}),
    )


def _rank(test: ScoredSplit, data: Dataset, events: Ints, ranked: dict[str, CatalogueRanks], seed: int) -> ScoredSplit:
    """`test` with the ranks of sampled users' first positives in the catalogue, by both models and by popularity."""
    some = ranked["full"]
    if not (np.array_equal(some.user_id, ranked["id"].user_id) and np.array_equal(some.item_id, ranked["id"].item_id)):
        raise EvaluationError("the rankers ranked different positives; run both stages on one dataset and seed.")
    shown = data.impressions("test")
    rows = np.flatnonzero((shown.label == 1) & (shown.user >= 0))
    users, first = np.unique(shown.user[rows], return_index=True)
    place = rows[first[np.searchsorted(users, data.log.user_index(some.user_id))]]
    seen = [data.log.items[data.log.offsets[shown.user[row]] : shown.end[row]] for row in place]
    popularity = yardsticks.ranks(events.astype(np.float64), data.index_of(some.item_id), seen, seed)
    ranks = {name: result.rank for name, result in ranked.items()} | {"popularity": popularity}
    return replace(test, ranks=ranks, rank_users=some.user_id)


def _ages(data: Dataset) -> Floats:
    """[N] days that the item of each test impression has been known; -1: nobody took it before."""
    shown = data.impressions("test")
    return buckets.ages(data.log.items, data.log.timestamps, shown.item, shown.timestamp)


def _measure(
    config: RunConfig, splits: dict[str, ScoredSplit], events: Ints, days: Floats, inputs: dict[str, Artifact]
) -> Json:
    ks, test, seed, replicates = config.evaluation.ks, splits["test"], config.seed, config.evaluation.bootstrap
    figures = {split: scorecard.score(scored, ks) for split, scored in splits.items()}
    effects = scorecard.lift(test, ks, replicates=replicates, seed=seed)
    rows = (test.users, test.labels, test.scores)
    by_bucket = {
        "item_events": buckets.by_frequency(*rows, events[test.items], replicates=replicates, seed=seed),
        "item_age": buckets.by_age(*rows, days, replicates=replicates, seed=seed),
        "history": buckets.by_history(*rows, test.history, replicates=replicates, seed=seed),
    }
    knowledge = assets.describe_knowledge(inputs["knowledge"])
    return figures | {
        "lift": {name: effect.as_json() for name, effect in effects.items()},
        "buckets": by_bucket,
        "knowledge": knowledge,
        "representation": assets.describe_vectors(inputs["item_vectors"]),
        "behaviors": assets.describe_behaviors(inputs["inferred_behaviors"])
        | {"target_overlap": inputs["ranker_full"].facts.get("target_overlap", {})},
        "denoiser": assets.describe_denoiser(inputs["denoiser"]),
        "notes": scorecard.notes(figures["test"], effects, by_bucket) + assets.notes(knowledge),
    }


def _material(test: ScoredSplit, inputs: dict[str, Artifact]) -> Material:
    curves = {name: assets.training_curve(inputs[f"ranker_{name}"]).get("loss", []) for name in MODELS}
    return Material(
        test=test,
        confidence=assets.confidences(inputs["inferred_behaviors"]),
        codes=assets.code_counts(inputs["item_vectors"]),
        ranker_curves={name: points for name, points in curves.items() if points},
        denoiser_curves=assets.training_curve(inputs["denoiser"]),
    )


def _cases(data: Dataset, test: ScoredSplit, predictions: pa.Table, events: Ints, inputs: dict[str, Artifact]) -> Cases:
    catalogue = dict(zip(data.item_ids, zip(data.titles, data.top_categories, strict=True), strict=True))
    users = predictions.column("user_id").to_pylist()
    knowledge = inputs["knowledge"].table("knowledge.parquet")
    ends = data.impressions("test").end
    helped, hurt = cases.changed_cases(
        test, users, data.item_ids, catalogue, events, knowledge=knowledge, log=data.log, ends=ends
    )
    columns = ["user_id", "snapshot", "item_ids", "confidence"]
    inferred = inputs["inferred_behaviors"].table("inferred_behaviors.parquet", columns)
    return Cases(
        items=cases.item_cases(knowledge, data.titles, data.top_categories, events, test.items),
        users=cases.user_cases(inferred, data, catalogue, data.beyond_log()),
        helped=helped,
        hurt=hurt,
    )
