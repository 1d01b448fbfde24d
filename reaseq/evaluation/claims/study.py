"""A study: all ten claims on one dataset, from raw files to verdicts.

The assets (knowledge, vectors, denoiser, inferred behaviours) are made once, under the configuration's seed; seeds vary
what is trained from them. Everything that takes time is an artifact in the workspace: a study that was killed, or that
is run again with one claim more, takes over what is there.
"""

import os
import platform
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from reaseq import progress
from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.behavior.decoder_stage import fit_decoder
from reaseq.behavior.stage import fit_denoiser, infer_behaviors
from reaseq.config import Json, RunConfig, digest, load
from reaseq.data.dataset import Dataset
from reaseq.data.stage import ingest
from reaseq.evaluation.claims import beyond_log, judgements, reasoning
from reaseq.evaluation.claims.arms import GATE, TITLES, Arm, Assets, scores_of, train_arms
from reaseq.evaluation.claims.evidence import Evidence
from reaseq.evaluation.claims.serving_cost import stays_cheap
from reaseq.evaluation.claims.table import Table
from reaseq.evaluation.errors import EvaluationError
from reaseq.evaluation.provenance import portable_config, versions
from reaseq.representation.titles import encode_titles

CLAIMS = (*(f"C{number}" for number in range(1, 11)), "controls", "baselines")
RESULTS_VERSION = 1


def run_study(
    config: RunConfig,
    *,
    seeds: Sequence[int],
    claims: Sequence[str],
    workspace: Workspace,
    workers: int,
    given: Path | None = None,
) -> Json:
    """All evidence for the claims on one dataset.

    Args:
        config: preset, data, and the seed of the assets.
        seeds: of the arms; a claim about a ranker wants five or more.
        claims: some of `CLAIMS`.
        workspace: what is finished is kept here.
        workers: arms that are trained side by side.
        given: folder with assets that were made elsewhere from this dataset (artifacts named `item_vectors`,
            `denoiser`, `decoder`, `inferred_behaviors`); those that it lacks are made.

    Returns:
        JSON: what was run, the table of arms and the evidence of each claim.

    Raises:
        EvaluationError: a claim is unknown, there are no seeds, or an asset was made from other ones than the study's.
    """
    unknown = [claim for claim in claims if claim not in CLAIMS]
    if unknown or not claims or not seeds:
        raise EvaluationError(
            f"claims {', '.join(unknown) or 'none'}, {len(seeds)} seeds: give at least one seed, and claims out of "
            f"{', '.join(CLAIMS)}."
        )
    made = Made(config, workspace, given)
    dataset = Dataset.open(made.dataset)
    arms = wanted_arms(claims, truth=dataset.beyond_log() is not None)
    trained = train_arms(config, made.assets(arms), arms, seeds, workspace, workers) if arms else {}
    scores = {name: [scores_of(artifact) for artifact in of_seeds] for name, of_seeds in trained.items()}
    bootstrap = {"replicates": config.evaluation.bootstrap, "seed": config.seed}
    table = Table(dataset, scores, **bootstrap) if scores else None
    evidence: list[Evidence] = []
    for claim in claims:
        progress.note(f"judging {claim}")
        evidence.append(_judge(claim, made, table, trained, seeds))
    return {
        "version": RESULTS_VERSION,
        "dataset": config.data.dataset,
        "preset": config.preset,
        "seeds": list(seeds),
        "asset_seed": config.seed,
        "assets": {
            name: {
                "digest": a.digest[:12],
                "made": a.manifest.created,
                "elsewhere": made.given is not None and a.path.parent == made.given,
            }
            for name, a in made.all().items()
        },
        "config": portable_config(config),
        "split": made.dataset.facts["split"],
        "counts": made.dataset.facts["counts"],
        "sampling": made.dataset.facts["sampling"],
        "arms": table.figures() if table is not None else {},
        "evidence": [each.as_json() for each in evidence],
        "seconds": {
            "assets": {name: round(a.manifest.seconds, 1) for name, a in made.all().items()},
            "arms": round(sum(a.manifest.seconds for of_seeds in trained.values() for a in of_seeds), 1),
            "arms trained": sum(len(of_seeds) for of_seeds in trained.values()),
        },
        "training": _training(trained),
        "trained_on": _trained_on(trained),
        "versions": versions(),
        "machine": {
            "cpus": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": platform.system(),
        },
    }


def wanted_arms(claims: Sequence[str], *, truth: bool) -> list[Arm]:
    """The arms that the claims need; the upper bound where the `truth` beyond the log is known."""
    names = {arm for claim in claims for arm in judgements.NEEDS.get(claim, ())}
    if not truth:
        names.discard(judgements.TRUTH)
    return [arm for arm in judgements.ARMS if arm.name in names]


class Made:
    """The assets of a study, each made on first use."""

    def __init__(self, config: RunConfig, workspace: Workspace, given: Path | None = None):
        self.config, self.workspace, self.given = config, workspace, given
        self.folder = workspace.root / "studies" / study_name(config)
        self._kept: dict[str, Artifact] = {}
        self._vectors: dict[str, Artifact] = {}
        self._elsewhere: dict[str, Artifact | None] = {}

    @property
    def dataset(self) -> Artifact:
        if "dataset" not in self._kept:
            self._kept["dataset"] = ingest(self.config, self.folder / "dataset", self.workspace)
        return self._kept["dataset"]

    def vectors(self, *names: str) -> dict[str, Artifact]:
        """Item vectors by the names of `reasoning.VARIANTS`, and title vectors by the name `TITLES`."""
        missing = [name for name in names if name not in self._vectors]
        if "rer" in missing and (made := self._found("item_vectors")):
            self._vectors["rer"] = made
            missing.remove("rer")
        if TITLES in missing:
            self._vectors[TITLES] = encode_titles(self.config, self.dataset, self.folder / TITLES, self.workspace)
            missing.remove(TITLES)
        if missing:
            self._vectors |= reasoning.variants(self.config, self.dataset, self.workspace, self.folder, missing)
        return {name: self._vectors[name] for name in names}

    @property
    def rer(self) -> Artifact:
        """The item vectors that everything else is made from."""
        return self.vectors("rer")["rer"]

    @property
    def denoiser(self) -> Artifact:
        return self._one(
            "denoiser",
            lambda out: fit_denoiser(self.config, self.dataset, self.rer, out, self.workspace),
        )

    @property
    def decoder(self) -> Artifact:
        return self._one(
            "decoder",
            lambda out: fit_decoder(self.config, self.dataset, self.rer, out, self.workspace),
        )

    @property
    def inferred(self) -> Artifact:
        return self._one(
            "inferred_behaviors",
            lambda out: infer_behaviors(self.config, self.dataset, self.rer, self.denoiser, out, self.workspace),
        )

    def assets(self, arms: Sequence[Arm]) -> Assets:
        """What these arms are trained from."""
        inferred = self.inferred if any(arm.infers for arm in arms) else None
        return Assets(self.dataset, self.vectors(*sorted({arm.vectors for arm in arms})), inferred)

    def probed(self) -> beyond_log.Assets:
        return beyond_log.Assets(self.dataset, self.rer, self.denoiser, self.inferred)

    def all(self) -> dict[str, Artifact]:
        """Everything that was made so far."""
        return self._kept | {f"item_vectors, {name}": artifact for name, artifact in self._vectors.items()}

    def _one(self, name: str, make: Any) -> Artifact:
        if name not in self._kept:
            self._kept[name] = self._found(name) or make(self.folder / name)
        return self._kept[name]

    def _found(self, kind: str) -> Artifact | None:
        """An asset that was made elsewhere; codes and rows of items mean nothing beside other assets than its own.

        Raises:
            EvaluationError: it was made from others than the study's.
        """
        if kind not in self._elsewhere:
            path = None if self.given is None else self.given / kind
            self._elsewhere[kind] = self._opened(path, kind) if path is not None and path.is_dir() else None
        return self._elsewhere[kind]

    def _opened(self, path: Path, kind: str) -> Artifact:
        found = open_artifact(path, kind)
        for name, source in found.manifest.inputs.items():
            own = self._source(name)
            if own is not None and own.digest != source:
                raise EvaluationError(
                    f"{path} was made from another {name} ({source[:12]}) than this study's ({own.digest[:12]}): give "
                    f"the {name} that belongs to it, or leave {kind} out of the folder and it is made."
                )
        return found

    def _source(self, name: str) -> Artifact | None:
        """The study's asset of this name that another is made from; None where one that was given stands for it."""
        if name == "dataset":
            return self.dataset
        if name == "item_vectors":
            return self.rer
        return self._found(name)


def _judge(
    claim: str, made: Made, table: Table | None, trained: dict[str, list[Artifact]], seeds: Sequence[int]
) -> Evidence:
    config, workspace = made.config, made.workspace
    match claim:
        case "C3":
            return reasoning.knowledge_is_good(config, made.dataset, workspace, made.folder)
        case "C4":
            return beyond_log.infers_beyond_the_log(config, made.probed(), seeds, workspace)
        case "C5":
            return beyond_log.is_consistent(config, made.probed(), seeds, workspace)
        case "C6":
            return beyond_log.iterates_with_profit(config, made.probed(), made.decoder, seeds, workspace)
        case "C10":
            return stays_cheap(config, made.dataset, made.rer, made.inferred, workspace)
    assert table is not None, "wanted_arms gives the arms of every other claim"
    match claim:
        case "C1":
            return judgements.knowledge_poverty(table)
        case "C2":
            hits, figures = reasoning.item_to_item(config, made.dataset, [made.vectors(*reasoning.VARIANTS)])
            return judgements.reasoning_adds(table, hits, figures)
        case "C7":
            return judgements.inference_lifts(table)
        case "C8":
            return judgements.complement(table)
        case "controls":
            return judgements.controls(table)
        case "baselines":
            return judgements.against_baselines(table)
        case _:
            gate = np.mean([np.load(a.file(GATE), allow_pickle=False) for a in trained["full"]], axis=0)
            return judgements.sparse_users_unharmed(table, gate)


def _training(trained: dict[str, list[Artifact]]) -> dict[str, dict[str, float]]:
    """Arm → seconds and examples per second of training, mean over seeds."""
    return {
        name: {
            fact: float(np.mean([artifact.facts[fact] for artifact in of_seeds]))
            for fact in ("training_seconds", "examples_per_second")
        }
        for name, of_seeds in trained.items()
    }


def _trained_on(trained: dict[str, list[Artifact]]) -> list[Json]:
    """Machines and versions that trained the arms, with the number of arms; an arm may come from elsewhere."""
    told = Counter(
        (artifact.facts["cpus"], artifact.facts["versions"]["python"], artifact.facts["versions"]["torch"])
        for of_seeds in trained.values()
        for artifact in of_seeds
    )
    return [
        {"arms": arms, "cpus": cpus, "python": python, "torch": torch}
        for (cpus, python, torch), arms in sorted(told.items())
    ]


def study_name(config: RunConfig) -> str:
    """Dataset and preset, and a digest of what is set otherwise: a study under other settings replaces nothing of the
    preset's."""
    name = f"{config.data.dataset}-{config.preset}"
    told = portable_config(config) | {"impressions": config.data.impressions}
    preset = portable_config(load(config.preset, overrides={"data.dataset": config.data.dataset})) | {"impressions": ""}
    return name if told == preset else f"{name}-{digest(told)[:8]}"
