"""What is to be known of the assets behind the ranker: knowledge, vectors, inferred behaviours, training curves.

Read from the artifacts' tables, not from their facts, wherever the tables tell it: facts may hold run times, and the
evaluation's bytes depend on content alone.
"""

import json
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from safetensors.numpy import load_file

from reaseq.artifacts import Artifact
from reaseq.config import Json
from reaseq.evaluation.metrics import Floats, Ints
from reaseq.schema import Provenance


def describe_knowledge(knowledge: Artifact) -> Json:
    """Statuses, sources and the fields that the critic dropped, of the knowledge table."""
    table = knowledge.table("knowledge.parquet", ["status", "provenance", "item_text", "demand_text"])
    sources: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    items_with_drops = tokens = 0
    for text in table.column("provenance").to_pylist():
        record = Provenance.model_validate_json(text)
        named = record.model.startswith(record.backend)
        sources[record.model if named else f"{record.backend}: {record.model}"] += 1
        dropped.update(field.rpartition(": ")[2] for field in record.dropped_fields)
        items_with_drops += bool(record.dropped_fields)
        tokens += record.prompt_tokens + record.completion_tokens
        if record.reason:
            reasons[record.reason] += 1
    stated = _stated(knowledge, "schema_valid", "critic_pass", "grounded", "grounded_in_input", "inputs_cut")
    return stated | {
        "items": table.num_rows,
        "statuses": _counts(Counter(table.column("status").to_pylist())),
        "sources": _counts(sources),
        "items_with_dropped_fields": items_with_drops,
        "dropped_by_criterion": _counts(dropped),
        "reasons": dict(reasons.most_common(5)),
        "tokens": tokens,
    }


def describe_vectors(item_vectors: Artifact) -> Json:
    """Spread of z and use of the codes."""
    table = item_vectors.table("item_vectors.parquet", ["z", "codes"])
    codes = _codes(table)
    used = code_counts(item_vectors)
    _, shared = np.unique(codes, axis=0, return_counts=True)
    stated = _stated(item_vectors, "mean_cosine.pca_title", "i2i_hit_at_30.pca_title", "i2i_hit_at_30.z")
    return stated | {
        "items": len(codes),
        "levels": codes.shape[1],
        "codebook_size": len(used[0]),
        "mean_cosine": _mean_cosine(pc.list_flatten(table.column("z")).to_numpy().reshape(len(codes), -1)),
        "code_utilisation": [float((level > 0).mean()) for level in used],
        "code_gini": [_gini(level) for level in used],
        "items_sharing_all_codes": float(shared[shared > 1].sum() / max(1, len(codes))),
    }


def code_counts(item_vectors: Artifact) -> list[Ints]:
    """Items under each code, [K] for each level."""
    size = load_file(item_vectors.file("codebook.safetensors"))["centroids"].shape[1]
    return [np.bincount(level, minlength=size) for level in _codes(item_vectors.table("item_vectors.parquet")).T]


def describe_behaviors(inferred: Artifact) -> Json:
    """Coverage and confidence of the inferred behaviours."""
    table = inferred.table("inferred_behaviors.parquet", ["user_id", "snapshot", "item_ids"])
    items = pc.list_flatten(table.column("item_ids"))
    counts = pc.value_counts(items).field("counts").to_numpy() if len(items) else np.zeros(0)
    confidence = confidences(inferred)
    return _stated(inferred, "novelty", "diversity", "mean_confidence", "pairs_without_row") | {
        "rows": table.num_rows,
        "users": len(pc.unique(table.column("user_id"))),
        "snapshots": len(pc.unique(table.column("snapshot"))),
        "inferred": len(items),
        "per_row": len(items) / max(1, table.num_rows),
        "distinct_items": len(counts),
        "largest_item_share": float(counts.max() / counts.sum()) if len(counts) else 0.0,
        "confidence_quartiles": [float(q) for q in np.percentile(confidence, [25, 50, 75])] if len(confidence) else [],
    }


def confidences(inferred: Artifact) -> Floats:
    """[N] confidence of every inferred behaviour."""
    column = inferred.table("inferred_behaviors.parquet", ["confidence"]).column(0)
    return pc.list_flatten(column).to_numpy().astype(np.float64)


def describe_denoiser(denoiser: Artifact) -> Json:
    """Size of the denoiser and how often it fills in a hidden behaviour rightly."""
    return _stated(
        denoiser, "parameters", "steps", "tokens", "inpainting.recall_at_10", "inpainting.popularity_recall_at_10"
    )


def notes(knowledge: Json) -> list[str]:
    """What a reader must know of the assets before believing the figures.

    Args:
        knowledge: as `describe_knowledge` gives it.
    """
    said = []
    if any(source.startswith("offline") for source in knowledge["sources"]):
        said.append("The knowledge was reasoned by the bundled offline reasoner, not by a large language model.")
    poor = knowledge["items"] - knowledge["statuses"].get("ok", 0)
    if poor:
        said.append(
            f"{poor:,} of {knowledge['items']:,} items have no knowledge and are represented by their title alone."
        )
    return said


def training_curve(artifact: Artifact | None) -> dict[str, list[tuple[float, float]]]:
    """Series of (step, value) from `training.jsonl`, for each field that names a loss; empty without such a file."""
    if artifact is None or "training.jsonl" not in artifact.manifest.files:
        return {}
    series: dict[str, list[tuple[float, float]]] = {}
    lines = artifact.file("training.jsonl").read_text().splitlines()
    for number, record in enumerate(json.loads(line) for line in lines if line.strip()):
        step = record.get("step", number)
        for name, value in record.items():
            if "loss" in name and isinstance(value, int | float):
                series.setdefault(name, []).append((float(step), float(value)))
    return series


def _stated(artifact: Artifact, *names: str) -> Json:
    """Figures among the artifact's facts, by dotted name; those that it doesn't state are left out."""
    found: Json = {}
    for name in names:
        value: Any = artifact.facts
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, int | float) and np.isfinite(value):
            found[name.replace(".", "_")] = value
    return found


def _codes(table: pa.Table) -> Ints:
    flat = pc.list_flatten(table.column("codes")).to_numpy().astype(np.int64)
    return flat.reshape(table.num_rows, -1)


def _mean_cosine(z: NDArray[np.float32]) -> float | None:
    """Mean cosine over all pairs of different rows, without forming the pairs: (|Σz|² − Σ|z|²) / (V² − V)."""
    if len(z) < 2:
        return None
    unit = z.astype(np.float64) / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    total = unit.sum(0)
    return float((total @ total - (unit * unit).sum()) / (len(z) ** 2 - len(z)))


def _gini(counts: Ints) -> float:
    """0 where all codes hold equally many items, near 1 where one code holds all."""
    ordered = np.sort(counts).astype(float)
    place = np.arange(1, len(ordered) + 1)
    return float(2 * (place @ ordered) / (len(ordered) * ordered.sum()) - (len(ordered) + 1) / len(ordered))


def _counts(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda pair: (-pair[1], pair[0])))
