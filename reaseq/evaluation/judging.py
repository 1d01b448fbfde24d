"""`judge`: a challenger's rankers against the champion on this dataset → the gate's decision as an artifact.

The challenger was trained from several seeds; the first of its rankers is the one that would be served. The champion is
the registry's, brought here as a bundle; where there is none, the ID-only ranker of the same run stands in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from reaseq.artifacts import Artifact, Draft, Workspace, build, write_text
from reaseq.config import Json, RunConfig
from reaseq.data.dataset import Dataset
from reaseq.evaluation import gate, gate_page, metrics
from reaseq.evaluation.bootstrap import Effect, paired_over_seeds
from reaseq.evaluation.buckets import BUCKETS, members
from reaseq.evaluation.errors import EvaluationError
from reaseq.evaluation.metrics import Floats, Ints
from reaseq.evaluation.provenance import versions
from reaseq.evaluation.yardsticks import item_events
from reaseq.ranking.bundle import Bundle
from reaseq.ranking.errors import RankingError
from reaseq.ranking.scoring import Scorer

GATE, PAGE, TEXT = "gate.json", "gate.html", "gate.md"


@dataclass(frozen=True)
class Champion:
    """The version that is served now."""

    name: str
    """What a person calls it, such as `reaseq-ranker version 3`."""
    bundle: Artifact | None
    """None: it could not be brought here, or not be scored."""
    problem: str = ""
    """Why not."""


@dataclass(frozen=True)
class Scored:
    """The test impressions with the scores of every ranker of the challenger and of the champion."""

    users: np.ndarray  # [N] str
    labels: np.ndarray  # [N] int8
    challenger: Sequence[Floats]  # of each seed [N]
    champion: Floats  # [N]
    compared: Champion | None
    """The champion; without its bundle if it could not be scored, and then `champion` are the stand-in's scores."""
    groups: dict[str, Ints]  # group of buckets → [N] what is counted; of item_events, that of the row's item


def judge(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    inferred_behaviors: Artifact,
    rankers: Sequence[Artifact],
    evaluation: Artifact,
    out: Path | str,
    workspace: Workspace,
    champion: Champion | None = None,
) -> Artifact:
    """Decide by the rule of `reaseq.evaluation.gate` whether the challenger may be promoted.

    Args:
        config: sections `evaluation` and `ranking.lag_hours`, `seed`, `threads`.
        dataset: whose test impressions decide.
        item_vectors: of the dataset.
        inferred_behaviors: of the dataset.
        rankers: full rankers that differ in their seed alone; the first is the one to be served.
        evaluation: of the first ranker and of the ID-only one, which holds their predictions.
        out: folder to make.
        workspace: finished artifacts.
        champion: None where there is none yet; then the ID-only ranker stands in.

    Returns:
        A `gate` artifact: gate.json (decision, rule version, checks), gate.html and gate.md for people.

    Raises:
        EvaluationError: the rankers are no replicates of one another, or the evaluation is of another ranker.
    """
    _check_replicates(rankers)
    if (evaluation.manifest.inputs["ranker_full"], evaluation.manifest.inputs["dataset"]) != (
        rankers[0].digest,
        dataset.digest,
    ):
        raise EvaluationError(
            "the evaluation is not of this ranker on this dataset, so its predictions say nothing of them. "
            "Evaluate the ranker to be served first."
        )
    inputs = {"dataset": dataset, "item_vectors": item_vectors, "inferred_behaviors": inferred_behaviors}
    inputs |= {"evaluation": evaluation} | {f"ranker_{place}": ranker for place, ranker in enumerate(rankers)}
    if champion and champion.bundle:
        inputs["champion"] = champion.bundle
    known = None if champion is None else {"name": champion.name, "problem": champion.problem}
    key = config.part("evaluation") | {"lag_hours": config.ranking.lag_hours, "champion": known}
    key["onnxruntime"] = versions()["onnxruntime"]  # another runtime must repeat the golden requests itself

    def write(draft: Draft) -> None:
        torch.set_num_threads(config.threads)
        torch.use_deterministic_algorithms(True)
        scored = _score(config, inputs, rankers, champion, workspace.shards)
        bounds = gate.Bounds(config.evaluation.gate_ece, config.evaluation.gate_click_ratio)
        evidence = _measure(config, scored, rankers)
        decision = gate.decide(evidence, bounds)
        told = decision.as_json() | {
            "challenger": {"digest": rankers[0].digest, "seeds": list(evidence.seeds), "auc": _plain(evidence.auc)},
            "champion": {"name": _champion_name(scored.compared), "auc": _plain([evidence.champion_auc])[0]},
            "confusion": confusion(scored.labels, scored.challenger[0]),
            "notes": _notes(rankers[0], scored.compared, dataset),
        }
        draft.write_json(GATE, told)
        write_text(draft.path / PAGE, gate_page.as_html(told))
        write_text(draft.path / TEXT, gate_page.as_markdown(told))
        draft.facts.update(decision=decision.word, reason=decision.reason, rule_version=decision.rule_version)
        draft.facts["figures"] = {c.name: c.figure for c in decision.checks if c.figure is not None}

    return build(out, kind="gate", config=key, inputs=inputs, write=write, workspace=workspace)


def confusion(labels: np.ndarray, scores: Floats) -> Json:
    """Counts of [[true −, false +], [false −, true +]] where as many impressions are called positive as are."""
    threshold = float(np.sort(scores)[::-1][max(0, int(labels.sum()) - 1)]) if len(scores) else 0.5
    called = scores >= threshold
    counts = [[int(((labels == y) & (called == c)).sum()) for c in (False, True)] for y in (0, 1)]
    return {"threshold": threshold, "counts": counts}


def rerun_parity(ranker: Artifact) -> float:
    """Largest difference of the ONNX model's scores to those that the golden requests must get."""
    bundle = Bundle.open(ranker)
    return max(float(np.abs(bundle.score(inputs) - scores).max()) for inputs, scores in bundle.golden())


def _check_replicates(rankers: Sequence[Artifact]) -> None:
    def made_of(ranker: Artifact) -> Json:
        settings = {name: value for name, value in ranker.manifest.config.items() if name != "seed"}
        return {"config": settings, "inputs": ranker.manifest.inputs, "name": ranker.manifest.name}

    for ranker in rankers[1:]:
        if made_of(ranker) != made_of(rankers[0]):
            raise EvaluationError(
                f"ranker {ranker.path} is no replicate of {rankers[0].path}: it differs in more than its seed. "
                "Train it from the same artifacts and settings."
            )


def _score(
    config: RunConfig,
    inputs: dict[str, Artifact],
    rankers: Sequence[Artifact],
    champion: Champion | None,
    folder: Path,
) -> Scored:
    data = Dataset.open(inputs["dataset"])
    shown = data.impressions("test")
    first = inputs["evaluation"].table("predictions_full.parquet")
    if first.num_rows != len(shown):
        raise EvaluationError(
            f"the evaluation holds {first.num_rows} predictions and the dataset {len(shown)} test impressions; "
            "evaluate the ranker on this dataset again."
        )

    def scores(bundle: Artifact) -> Floats:
        sources = (data, inputs["item_vectors"], inputs["inferred_behaviors"])
        return Scorer(bundle, *sources, config.ranking.lag_hours, folder).scores(shown).astype(np.float64)

    others = [scores(bundle) for bundle in rankers[1:]]
    against = inputs["evaluation"].table("predictions_id.parquet", ["score"]).column(0).to_numpy().astype(np.float64)
    if champion and champion.bundle:
        try:
            against = scores(champion.bundle)
        except RankingError as error:  # of other item vectors: a person must look, and the run goes on
            champion = replace(champion, bundle=None, problem=str(error))
    events = item_events(data.log.only_train().items, len(data.item_ids))
    history = shown.end - data.log.offsets[shown.user]  # for user -1 both are the length of the log
    return Scored(
        users=first.column("user_id").to_numpy(),
        labels=shown.label,
        challenger=[first.column("score").to_numpy().astype(np.float64), *others],
        champion=against,
        compared=champion,
        groups={"item_events": events[shown.item], "history": history},
    )


def _measure(config: RunConfig, scored: Scored, rankers: Sequence[Artifact]) -> gate.Evidence:
    served, y = scored.challenger[0], scored.labels
    draws = {"replicates": config.evaluation.bootstrap, "seed": config.seed}

    def effect(group: str, bucket: str) -> Effect:
        kept = members(scored.groups[group], bucket)
        if group == "item_events":  # a bucket's positives meet all negatives of their users
            kept |= y == 0
        others = [values[kept] for values in scored.challenger]
        return paired_over_seeds("gauc", scored.users[kept], y[kept], scored.champion[kept], others, **draws)

    return gate.Evidence(
        seeds=[ranker.manifest.config["seed"] for ranker in rankers],
        auc=[metrics.auc(y, values) for values in scored.challenger],
        champion_auc=metrics.auc(y, scored.champion),
        auc_effect=paired_over_seeds("auc", scored.users, y, scored.champion, scored.challenger, **draws),
        buckets={group: {bucket: effect(group, bucket) for bucket in BUCKETS} for group in gate.GROUPS},
        ece=metrics.calibration(y, served).error,
        click_ratio=float(served.sum() / y.sum()) if y.any() else float("nan"),
        parity_recorded=rankers[0].facts.get("parity", float("nan")),
        parity_rerun=rerun_parity(rankers[0]),
        champion_problem=scored.compared.problem if scored.compared else "",
    )


def _champion_name(champion: Champion | None) -> str:
    return champion.name if champion else "none yet, the ID-only ranker of this run stands in"


def _notes(served: Artifact, champion: Champion | None, dataset: Artifact) -> list[str]:
    """What a person must know before acting on the decision."""
    said = []
    if champion is None:
        said.append(
            "The registry has no champion yet: the ID-only ranker of this run, trained from one seed, stands in for it."
        )
    elif champion.bundle is None:
        said.append(f"{champion.name} could not be scored; the figures compare with this run's ID-only ranker instead.")
    elif champion.bundle.digest == served.digest:
        said.append(f"{champion.name} is this very ranker.")
    elif champion.bundle.manifest.inputs != served.manifest.inputs:
        said.append(
            f"{champion.name} was made from other data, vectors or inferences than this run's and is scored with this "
            "run's: where the vectors were fitted anew, that understates it. An online test decides better."
        )
    if "negatives_per_positive" in dataset.facts.get("sampling", {}):
        said.append("The negatives are sampled, so calibration is that of the sampling and not that of live traffic.")
    said.append("Each bucket's interval is at 95 %, not corrected for their number: a sound ranker is at times held.")
    return said


def _plain(values: Sequence[float]) -> list[float | None]:
    """JSON has no nan."""
    return [None if value != value else value for value in values]
