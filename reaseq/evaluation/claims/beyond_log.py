"""C4, C5 and C6: does GBR infer what the log does not hold, is it this user's, and do reverse steps matter?

The truths are those of `cases`. Of every truth that a dataset has, each comparison that a claim names must hold: a
claim does not hold on a dataset where one of them fails.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reaseq.artifacts import Artifact, Workspace
from reaseq.behavior.denoiser import load_denoiser
from reaseq.config import Json, RunConfig
from reaseq.data.dataset import Dataset
from reaseq.evaluation.claims.cases import (
    Cases,
    beyond_log_cases,
    future_cases,
    hidden_cases,
    likeness,
    novelty,
)
from reaseq.evaluation.claims.evidence import Comparison, Evidence, Verdict
from reaseq.evaluation.claims.generation import Generation, ways
from reaseq.evaluation.claims.generation_speed import speed
from reaseq.evaluation.claims.hiding import Hidden, hide, infer_hidden
from reaseq.evaluation.claims.keeping import kept
from reaseq.evaluation.claims.recovery import (
    ANOTHER,
    GBR,
    METHODS,
    M,
    PerUser,
    compare,
    per_user,
    recall_of_inferred,
    recalls,
)
from reaseq.representation.vectors import ItemVectors

USERS = 500
"""Users of one seed."""
STEPS = (1, 2, 4, 8)
"""R that C6 compares, beside the configured one."""
NEW_ITEMS = 0.9
"""Least share of inferred items that the visible log lacks, for C5 to hold."""

HIDDEN, BEYOND, FUTURE = "a hidden category", "behaviours beyond the log", "the user's future"
_DRAWS = "One denoiser, frozen: seeds draw the users, the category hidden from each and the sampler's noise. "
_SERVING = _DRAWS + (
    "It is the one that serves at this snapshot, fitted on training events, as item vectors are; only items first "
    "taken after training count."
)
_FROZEN = _DRAWS + (
    "It was fitted on events before its cut, as the decoder was, item vectors on those of training; only items first "
    "taken after training count."
)
_READY = (
    "Inferences as the pipeline made them, so that seeds draw users, ties and who gets whose inferences, but no noise "
    "of the sampler."
)


@dataclass(frozen=True)
class Assets:
    """Artifacts that belong together."""

    dataset: Artifact
    item_vectors: Artifact
    denoiser: Artifact
    inferred_behaviors: Artifact

    def inputs(self) -> dict[str, Artifact]:
        return dict(vars(self))


class _Probe:
    """Opens the assets once and gives the cases of each truth, seed by seed."""

    def __init__(self, config: RunConfig, assets: Assets, seeds: Sequence[int], users: int, workspace: Workspace):
        self.config, self.assets, self.seeds, self.users, self.workspace = config, assets, seeds, users, workspace
        self.data = Dataset.open(assets.dataset)
        self.vectors = ItemVectors.open(assets.item_vectors)
        self.snapshot = int(max(assets.inferred_behaviors.facts["snapshots"]))

    def hidden(self, seed: int) -> Hidden:
        return hide(
            self.data,
            snapshot=self.snapshot,
            users=self.users,
            least=self.config.behavior.min_events,
            seed=seed,
        )

    def inferred(self, hidden: Hidden, seed: int, way: Generation) -> Artifact:
        return infer_hidden(
            self.config,
            self.assets.dataset,
            self.assets.item_vectors,
            way,
            hidden,
            snapshot=self.snapshot,
            users=self.users,
            seed=seed,
            workspace=self.workspace,
        )

    def with_hidden_category(self, seed: int) -> list[Cases]:
        hidden = self.hidden(seed)
        if not len(hidden.user):
            return []
        behavior = self.config.behavior
        way = Generation(self.assets.denoiser, behavior.reverse_steps, behavior.guidance, self.snapshot)
        return [hidden_cases(self.data, hidden, self.inferred(hidden, seed, way))]

    def beyond_log(self, seed: int) -> list[Cases]:
        return beyond_log_cases(self.data, self.assets.inferred_behaviors, users=self.users, seed=seed)

    def future(self, seed: int) -> list[Cases]:
        return future_cases(self.data, self.assets.inferred_behaviors, users=self.users, seed=seed)

    def why_nothing_is_hidden(self) -> str:
        if not self.data.category_names:
            return "its items have no categories, so there is none to hide; item clusters of z would be no substitute"
        return "no user has first taken items of one category in validation or test and has others to infer them from"


def infers_beyond_the_log(
    config: RunConfig, assets: Assets, seeds: Sequence[int], workspace: Workspace, users: int = USERS
) -> Evidence:
    """C4: Recall@10 of what the log does not show, against the other methods of `recovery.METHODS`.

    Args:
        config: sections `behavior`, `evaluation`, `threads`, `device`.
        assets: of one dataset; nothing is trained.
        seeds: see the module.
        workspace: keeps inferences and evidence.
        users: of one seed, at most.
    """

    def experiment() -> Evidence:
        probe = _Probe(config, assets, seeds, users, workspace)
        scale = load_denoiser(assets.denoiser.path).latent_scale.item()
        comparisons: list[Comparison] = []
        figures: Json = {}
        for truth, cases_of, note in (
            (BEYOND, probe.beyond_log, _READY),
            (HIDDEN, probe.with_hidden_category, _SERVING),
        ):
            found = {seed: cases for seed in seeds if (cases := cases_of(seed))}
            if not found:
                continue
            each = [
                recalls(
                    cases,
                    probe.vectors,
                    scale=scale,
                    category=probe.data.category_index,
                    new=round(config.behavior.new_category_share * M),
                    history=config.behavior.max_slots,
                    seed=seed,
                )
                for seed, cases in found.items()
            ]
            for base in METHODS[1:]:
                for where, attribute, decides in (("all items", "overall", True), ("its categories", "within", False)):
                    comparisons.append(
                        compare(
                            f"Recall@{M} of {truth}, out of {where}",
                            (GBR, [getattr(of_seed[GBR], attribute) for of_seed in each]),
                            (base, [getattr(of_seed[base], attribute) for of_seed in each]),
                            replicates=config.evaluation.bootstrap,
                            seed=config.seed,
                            decides=decides,
                            note=note,
                        )
                    )
            figures[f"Recall@{M} of {truth}"] = {
                name: {
                    "all items": _mean([of_seed[name].overall for of_seed in each]),
                    "its categories": _mean([of_seed[name].within for of_seed in each]),
                }
                for name in METHODS
            }
            figures[f"size of {truth}"] = _sizes(found)
        verdict, reason = _judge(comparisons, probe.why_nothing_is_hidden())
        return Evidence("C4", verdict, reason, tuple(comparisons), figures)

    key = _key(config, seeds, users) | {"methods": METHODS, "fit": "serving"}
    return kept("C4", key, assets.inputs(), workspace, experiment)


def is_consistent(
    config: RunConfig, assets: Assets, seeds: Sequence[int], workspace: Workspace, users: int = USERS
) -> Evidence:
    """C5: cosine of what was inferred to what the user did and the log did not show, against another user's
    inferences; novelty and diversity beside it. Arguments as of `infers_beyond_the_log`."""

    def experiment() -> Evidence:
        probe = _Probe(config, assets, seeds, users, workspace)
        comparisons: list[Comparison] = []
        figures: Json = {}
        novel: list[float] = []
        truths: tuple[tuple[str, Callable[[int], list[Cases]], str], ...] = (
            (BEYOND, probe.beyond_log, _READY),
            (HIDDEN, probe.with_hidden_category, _SERVING),
            (FUTURE, probe.future, _READY),
        )
        for truth, cases_of, note in truths:
            found = {seed: cases for seed in seeds if (cases := cases_of(seed))}
            if not found:
                continue
            own, other, traits = [], [], []
            for seed, parts in found.items():
                several = [part for part in parts if len(part) > 1]  # a case that is alone has no other user
                own.append(_weighted(several, [likeness(part, probe.vectors) for part in several]))
                strangers = [part.of_another_user(seed) for part in several]
                other.append(_weighted(several, [likeness(part, probe.vectors) for part in strangers]))
                traits.append(_weighted(parts, [novelty(part, probe.data, probe.vectors) for part in parts]))
            for what, said in (("items", "inferred items"), ("latents", "ẑ")):
                comparisons.append(
                    compare(
                        f"cosine of {said} to {truth}",
                        (GBR, [of_seed.get(what, {}) for of_seed in own]),
                        (ANOTHER, [of_seed.get(what, {}) for of_seed in other]),
                        replicates=config.evaluation.bootstrap,
                        seed=config.seed,
                        decides=True,
                        note=note,
                    )
                )
            figures[f"novelty, {truth}"] = {name: _mean([of[name] for of in traits]) for name in traits[0]}
            novel.append(figures[f"novelty, {truth}"]["new_items"])
            figures[f"size of {truth}"] = _sizes(found)
        figures["of novelty"] = (
            "Shares of inferred items that the visible log lacks. Grounding never offers an item of the log, so "
            "new_items is 1 by construction; of new_categories, too, a share of "
            f"{config.behavior.new_category_share:g} is asked for (behavior.new_category_share), as far as the log "
            "lacks any, and only what exceeds it was found."
        )
        verdict, reason = _judge(comparisons, probe.why_nothing_is_hidden())
        if verdict == "holds" and min(novel) < NEW_ITEMS:
            verdict, reason = "does not hold", f"only {min(novel):.0%} of the inferred items are new to the log."
        return Evidence("C5", verdict, reason, tuple(comparisons), figures)

    return kept("C5", _key(config, seeds, users) | {"fit": "serving"}, assets.inputs(), workspace, experiment)


def iterates_with_profit(
    config: RunConfig,
    assets: Assets,
    decoder: Artifact,
    seeds: Sequence[int],
    workspace: Workspace,
    users: int = USERS,
) -> Evidence:
    """C6: recall of a hidden category by number of reverse steps, against one step and an autoregressive decoder of
    equal size, with what each costs. Arguments as of `infers_beyond_the_log`, and:

    Args:
        decoder: fitted on what the denoiser was fitted on.
    """
    behavior = config.behavior
    configured = behavior.reverse_steps

    def experiment() -> Evidence:
        probe = _Probe(config, assets, seeds, users, workspace)
        recall: dict[str, list[PerUser]] = {}
        cost: dict[str, dict[str, Any]] = {}
        draws = {seed: hidden for seed in seeds if len((hidden := probe.hidden(seed)).user)}
        found = ways(assets.denoiser, decoder, [*{*STEPS, configured}], behavior.guidance) if draws else []
        for way in found:
            made = {seed: probe.inferred(hidden, seed, way) for seed, hidden in draws.items()}
            cases = [hidden_cases(probe.data, draws[seed], artifact) for seed, artifact in made.items()]
            recall[way.name] = [recall_of_inferred(each) for each in cases]
            traits = [_weighted([each], [novelty(each, probe.data, probe.vectors)]) for each in cases]
            first = next(iter(draws))
            cost[way.name] = {
                f"recall@{M}": _mean(recall[way.name]),
                **{name: _mean([of[name] for of in traits]) for name in traits[0]},
                "forwards": sum(artifact.facts["forwards"] for artifact in made.values()),
                **speed(way, config, probe.vectors, draws[first], first),
            }
        bases = [way.name for way in found if way.steps is None]
        comparisons = [
            compare(
                f"Recall@{M} of {HIDDEN}",
                (way.name, recall[way.name]),
                (base, recall[base]),
                replicates=config.evaluation.bootstrap,
                seed=config.seed,
                decides=way.steps == configured,
                note=_FROZEN,
            )
            for way in found
            if way.steps is not None
            for base in ("R = 1", *bases)
            if way.name != base
        ]
        figures: Json = {
            "by way of generating": cost,
            "configured R": configured,
            "recall of fits": _fits(assets, decoder),
        }
        verdict, reason = _judge(comparisons, probe.why_nothing_is_hidden())
        level = [c.base for c in comparisons if c.decides and c.base in bases and not c.better and not c.worse]
        if level:
            reason = f"{reason} R = {configured} is neither above nor below {' and '.join(level)}."
        return Evidence("C6", verdict, reason, tuple(comparisons), figures)

    inputs = assets.inputs() | {"decoder": decoder}
    return kept("C6", _key(config, seeds, users), inputs, workspace, experiment)


def _fits(assets: Assets, decoder: Artifact) -> Json:
    """What each model's best epoch was chosen by, with its size."""
    return {
        kind: {
            "parameters": fitted.facts["parameters"],
            "best epoch": fitted.facts["best_epoch"],
            "recall@10 of the held-out behaviour": fitted.facts["inpainting"]["recall_at_10"],
        }
        for kind, fitted in (("denoiser", assets.denoiser), ("decoder", decoder))
    }


def _key(config: RunConfig, seeds: Sequence[int], users: int) -> Json:
    return config.part("behavior") | {
        "device": config.device,
        "bootstrap": config.evaluation.bootstrap,
        "seeds": list(seeds),
        "users": users,
        "asked": "held out",
    }


def _judge(comparisons: Sequence[Comparison], nothing: str) -> tuple[Verdict, str]:
    """All deciding comparisons must lie above 0."""
    deciding = [each for each in comparisons if each.decides]
    unmeasured = [each for each in deciding if not each.measured]
    if not deciding:
        return "not testable here", f"{nothing}."
    if unmeasured:
        return "not testable here", unmeasured[0].unmeasured
    failed = [each for each in deciding if not each.better]
    if not failed:
        return "holds", f"all {len(deciding)} deciding comparisons lie above 0 with their whole interval."
    named = ", ".join(dict.fromkeys(each.base for each in failed))
    said = f"{len(failed)} of {len(deciding)} deciding comparisons do not lie above 0 with their whole interval"
    return "does not hold", f"{said}: those against {named}."


def _weighted(parts: Sequence[Cases], values: Sequence[dict[str, Any]]) -> dict[str, PerUser]:
    """Mean of each value per user, over its snapshots, weighted by how much truth each holds."""
    names = values[0] if values else {}
    sizes = [part.truth.sum(1) for part in parts]
    return {
        name: per_user(
            (part.user, np.asarray(of[name]) * size, size) for part, of, size in zip(parts, values, sizes, strict=True)
        )
        for name in names
    }


def _mean(values: Sequence[PerUser]) -> float:
    """Mean over seeds of the mean over users."""
    each = [float(np.mean(list(of_seed.values()))) for of_seed in values if of_seed]
    return float(np.mean(each)) if each else float("nan")


def _sizes(found: dict[int, list[Cases]]) -> dict[str, float]:
    users = [len(np.unique(np.concatenate([part.user for part in parts]))) for parts in found.values()]
    items = [sum(int(part.truth.sum()) for part in parts) for parts in found.values()]
    reachable = [sum(int((part.truth & part.known).sum()) for part in parts) for parts in found.values()]
    return {
        "seeds": len(found),
        "users a seed": float(np.mean(users)),
        "items a user": float(np.sum(items) / np.sum(users)),
        "of them in the catalogue": float(np.sum(reachable) / np.sum(items)),
    }
