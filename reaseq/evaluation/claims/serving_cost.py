"""C10: what a request costs with the assets and without them, and what stale or missing inferences cost in quality.

Measured is the served path in process: feature assembly and an onnxruntime session of one thread, on users and
histories of the test split. Of each request the processor time of its thread is taken, which is its latency on an idle
core, and the wall time beside it; requests of all arms take turns, so that whatever else the machine does falls on all.

The base is a lean network: ids, categories, short history and profile, with no search of the long history, no item
vectors and no inferred branch. Its weights were never trained for that, which changes no latency.
"""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reaseq.artifacts import Artifact, Workspace
from reaseq.config import Json, RunConfig, digest
from reaseq.data.dataset import Dataset
from reaseq.evaluation.bootstrap import paired
from reaseq.evaluation.claims.evidence import Comparison, Evidence, Verdict
from reaseq.evaluation.claims.keeping import kept
from reaseq.evaluation.metrics import Floats, auc, gauc
from reaseq.ranking.bundle import Bundle, onnx_session
from reaseq.ranking.export import ServedRanker, export_onnx
from reaseq.ranking.features import PROFILE, FeatureLimits, UserRow, assemble
from reaseq.ranking.golden import user_row
from reaseq.ranking.inferences import InferenceTable
from reaseq.ranking.model import PROFILE_SCALE, Candidates, ItemTable, Ranker, RankerSpec, Users
from reaseq.ranking.scoring import Scorer
from reaseq.ranking.stage import train_ranker

BOUND = 1.10
"""Most that p99 may be of the base's."""
CANDIDATES = (100, 1000)
REQUESTS, WARM_UP = 400, 20
LAGS = (24.0, 72.0, 168.0)  # hours
DRAW, RESAMPLING = 0x10CA, 0x10CB  # streams of random numbers drawn from the seed

WITH, MISSING, LEAN = "with the assets", "inferences missing", "lean network"


class LeanRanker(Ranker):
    """The ranker without what the assets feed: target attention over the short history, profile, click rate, MLP."""

    def __init__(self, spec: RankerSpec):
        rows = spec.items + 1
        nothing = np.zeros(rows, np.int64)
        z, codes = np.zeros((rows, 128), np.float32), np.full((rows, spec.levels), -1)
        super().__init__(spec, z, codes, nothing, nothing + 1, nothing.astype(np.float32))
        inner = 3 * spec.width + len(PROFILE) + 1
        _, *rest = self.mlp
        self.mlp = nn.Sequential(nn.Linear(inner, spec.hidden[0]), *rest)

    def score(self, table: ItemTable, users: Users, candidates: Candidates, valid: Tensor | None = None) -> Tensor:
        """As `Ranker.score`."""
        x, _, rate = candidates
        there = (users.history > 0).to(x.dtype).unsqueeze(1)
        short = self.short(x, table.x[users.history], torch.zeros_like(there), there, age=users.history_age)
        profile = (users.profile * PROFILE_SCALE).unsqueeze(1).expand(-1, x.shape[1], -1)
        features = torch.cat([x, short, short * x, profile, rate.unsqueeze(-1)], dim=-1)
        return self.mlp(features).squeeze(-1) + self.wide * rate


def export_lean(bundle: Bundle) -> tuple[bytes, FeatureLimits]:
    """ONNX bytes of a `LeanRanker` of the bundle's sizes, and its limits."""
    spec = RankerSpec(**bundle.spec["model"]).model_copy(update={"variant": "id"})
    short = bundle.limits.short
    limits = replace(bundle.limits, long=min(short, bundle.limits.long), inferred=1)
    torch.manual_seed(0)
    return export_onnx(ServedRanker(LeanRanker(spec).eval()), limits), limits


@dataclass(frozen=True)
class Request:
    row: UserRow
    candidates: list[str]
    now: int

    def without_assets(self) -> "Request":
        nothing = UserRow()
        row = replace(
            self.row,
            inferred_items=nothing.inferred_items,
            inferred_vectors=nothing.inferred_vectors,
            inferred_confidence=nothing.inferred_confidence,
        )
        return replace(self, row=row)


class ServedPath:
    """Assembly and session of one arm."""

    def __init__(self, bundle: Bundle, limits: FeatureLimits, session: onnxruntime.InferenceSession):
        self.bundle, self.limits, self.session = bundle, limits, session
        self._names = {each.name for each in session.get_inputs()}  # export drops inputs that the network ignores

    def __call__(self, request: Request) -> NDArray[np.float32]:
        inputs = assemble(
            request.row,
            request.candidates,
            now=request.now,
            vocabulary=self.bundle.vocabulary,
            limits=self.limits,
            cold={},
        )
        fed = {name: value for name, value in inputs.items() if name in self._names}
        scores: NDArray[np.float32] = self.session.run(["scores"], fed)[0]
        return scores


def stays_cheap(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    inferred_behaviors: Artifact,
    workspace: Workspace,
    requests: int = REQUESTS,
) -> Evidence:
    """C10 on one machine: p99 with the assets may be at most 10 % above that of the lean network.

    Args:
        config: sections `ranking`, `evaluation`; the seed trains the ranker and draws users and candidates.
        dataset, item_vectors, inferred_behaviors: what the full ranker is trained from, if it is not there yet.
        workspace: keeps the evidence; figures taken over from it say when and where they were measured.
        requests: of each size.
    """
    sources = (dataset, item_vectors, inferred_behaviors)
    short = digest([config.part("ranking"), config.device, [source.digest for source in sources]])[:24]
    ranker = train_ranker(config, *sources, workspace.root / "served" / short, workspace)

    data = Dataset.open(dataset)

    def experiment() -> Evidence:
        table = InferenceTable.read(inferred_behaviors, data, 0.0)
        full = Bundle.open(ranker)
        exported, lean_limits = export_lean(full)
        paths = {
            WITH: ServedPath(full, full.limits, full.session),
            MISSING: ServedPath(full, full.limits, full.session),
            LEAN: ServedPath(full, lean_limits, onnx_session(exported)),
        }
        comparisons: list[Comparison] = []
        figures: Json = {}
        for count in CANDIDATES:
            drawn = draw_requests(data, full, table, requests=requests, candidates=count, seed=config.seed)
            if not drawn:
                break
            taken = measure(paths, drawn)
            figures[f"{count} candidates"] = {name: summary(*of_arm) for name, of_arm in taken.items()}
            for base in (LEAN, MISSING):
                comparisons.append(
                    headroom(count, base, taken[WITH][0], taken[base][0], config.evaluation.bootstrap, config.seed)
                )
        quality, changes = staleness(config, data, item_vectors, inferred_behaviors, ranker)
        figures |= {"stale and missing inferences, test split": quality, "measured": where_and_when()}
        figures["no LLM on the request path"] = (
            "The import contract forbids `serving` to import reaseq.llm, reaseq.knowledge and reaseq.behavior; "
            "lint-imports checks it in the test command."
        )
        figures["of the arms"] = (
            "A request without inferences runs the full graph with a shorter inferred axis. The lean network has no "
            "item vectors, no search of the long history and no inferred branch: it tells what the assets cost."
        )
        verdict, reason = judge(comparisons)
        return Evidence("C10", verdict, reason, (*comparisons, *changes), figures)

    key: Json = {"seed": config.seed, "bootstrap": config.evaluation.bootstrap, "requests": requests}
    if (data.impressions("test").user < 0).any():
        key["users"] = "told apart"  # without such users, evidence from before they were told apart is the same
    inputs = {
        "dataset": dataset,
        "item_vectors": item_vectors,
        "inferred_behaviors": inferred_behaviors,
        "ranker": ranker,
    }
    return kept("C10", key, inputs, workspace, experiment)


def draw_requests(
    data: Dataset, bundle: Bundle, table: InferenceTable, *, requests: int, candidates: int, seed: int
) -> list[Request]:
    """Users of the test split, as they stood at an impression of theirs, with random candidates that the model knows
    (again and again where the catalogue is smaller); empty if the split is."""
    shown = data.impressions("test")
    if not len(shown):
        return []
    rng = np.random.default_rng([seed, DRAW, candidates])
    drawn = []
    for at in rng.integers(len(shown), size=requests).tolist():
        now = int(shown.timestamp[at])
        row = user_row(data, table, int(shown.user[at]), int(shown.end[at]), now, bundle.limits.long)
        picked = rng.integers(len(bundle.vocabulary), size=candidates)
        drawn.append(Request(row, [bundle.vocabulary.item_ids[place] for place in picked], now))
    return drawn


def measure(paths: dict[str, ServedPath], requests: Sequence[Request]) -> dict[str, tuple[Floats, Floats]]:
    """Each arm's processor and wall time in ms of every request, [N] each; arms take turns in a rotating order."""
    names = list(paths)
    cost = {name: (np.zeros(len(requests)), np.zeros(len(requests))) for name in names}
    given = {name: [r.without_assets() if name == MISSING else r for r in requests] for name in names}
    for name in names:
        for request in given[name][:WARM_UP]:
            paths[name](request)
    for number in range(len(requests)):
        for turn in range(len(names)):
            name = names[(number + turn) % len(names)]
            wall, processor = time.perf_counter_ns(), time.thread_time_ns()
            paths[name](given[name][number])
            cost[name][0][number] = (time.thread_time_ns() - processor) / 1e6
            cost[name][1][number] = (time.perf_counter_ns() - wall) / 1e6
    return cost


def summary(processor: Floats, wall: Floats) -> Json:
    """Milliseconds per request, and requests per second of one busy thread."""
    return {
        "p50 ms": round(float(np.percentile(processor, 50)), 3),
        "p99 ms": round(float(np.percentile(processor, 99)), 3),
        "requests/s": round(1000 / float(processor.mean()), 1),
        "p50 ms, wall": round(float(np.percentile(wall, 50)), 3),
        "p99 ms, wall": round(float(np.percentile(wall, 99)), 3),
    }


def headroom(candidates: int, base: str, other: Floats, lean: Floats, replicates: int, seed: int) -> Comparison:
    """1.1 × the base's p99 less the full ranker's, in ms, with its interval over requests; above 0 keeps the bound."""
    rng = np.random.default_rng([seed, RESAMPLING])
    effect = BOUND * np.percentile(lean, 99) - np.percentile(other, 99)
    low = high = float("nan")
    if replicates:
        picks = rng.integers(len(other), size=(replicates, len(other)))
        sample = BOUND * np.percentile(lean[picks], 99, axis=1) - np.percentile(other[picks], 99, axis=1)
        low, high = (float(bound) for bound in np.percentile(sample, [2.5, 97.5]))
    return Comparison(
        what=f"p99 in ms, {candidates} candidates: {BOUND} × base − other, above 0 keeps the bound",
        other=WITH,
        base=base,
        other_value=float(np.percentile(other, 99)),
        base_value=float(np.percentile(lean, 99)),
        effect=float(effect),
        low=low,
        high=high,
        seeds=1,
        users=len(other),
        decides=base == LEAN,
        note="processor time of one thread; `users` are requests",
    )


def judge(comparisons: Sequence[Comparison]) -> tuple[Verdict, str]:
    """Within the bound, beyond it, or too noisy to say, by the deciding comparisons."""
    deciding = [each for each in comparisons if each.decides]
    if not deciding:
        return "not testable here", "the test split holds no impressions to take requests from."
    said = ", ".join(f"{each.other_value:.2f} against {each.base_value:.2f} ms" for each in deciding)
    if any(each.worse for each in deciding):
        return "does not hold", f"p99 is more than 10 % above the lean network's ({said})."
    if all(each.better for each in deciding):
        return "holds", f"p99 is at most 10 % above the lean network's ({said})."
    return "not testable here", f"the machine is too noisy to tell p99 from the bound ({said})."


def staleness(
    config: RunConfig, data: Dataset, item_vectors: Artifact, inferred: Artifact, ranker: Artifact
) -> tuple[Json, list[Comparison]]:
    """AUC and GAUC on the test split with fresh inferences, with ones at least 1, 3 and 7 days old, and with none."""
    scorer = Scorer(ranker, data, item_vectors, inferred)
    shown, table = scorer.data.impressions("test"), scorer.contexts.inferences
    if table is None or not len(shown):
        return {}, []
    scores: dict[str, NDArray[np.float32]] = {"lag 0 h": scorer.scores(shown)}
    for lag in LAGS:
        scorer.contexts.inferences = replace(table, lag=int(lag * 3_600_000_000))
        scores[f"lag {lag:.0f} h"] = scorer.scores(shown)
    scorer.contexts.inferences = None
    scores["none"] = scorer.scores(shown)
    fresh, users = scores["lag 0 h"], scorer.data.shown_to("test")
    quality: Json = {
        name: {"auc": auc(shown.label, given), "gauc": gauc(users, shown.label, given).value}
        for name, given in scores.items()
    }
    changes = []
    for name, given in list(scores.items())[1:]:
        effect = paired(
            "gauc",
            users,
            shown.label,
            fresh,
            given,
            replicates=config.evaluation.bootstrap,
            seed=config.seed,
        )
        values = quality[name]["gauc"], quality["lag 0 h"]["gauc"]
        bounds = effect.effect, effect.low, effect.high
        changes.append(
            Comparison(
                "GAUC, test", f"inferences: {name}", "lag 0 h", *values, *bounds, 1, effect.n, note=effect.reason
            )
        )
    return quality, changes


def where_and_when() -> Json:
    """The machine in general terms, and the moment: figures of time hold for no other."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load average": round(os.getloadavg()[0], 1),
        "onnxruntime": onnxruntime.__version__,
    }
