"""The smallest artifacts that conform to the schemas, made by hand: 40 users, 60 items in 4 categories, 60 days.

Rooms are tested on these, so that a test of one room does not need the one before it to be right. Users like one
category each, so that there is something to learn; nothing here is realistic.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from reaseq import schema
from reaseq.artifacts import Artifact, Draft, Workspace, build

USERS, ITEMS, DAYS, EVENTS = 40, 60, 60, 12
CATEGORIES = ("Skin Care", "Hair Care", "Makeup", "Fragrance")
START = 1_600_000_000_000_000
DAY = 86_400_000_000
VALID_START, TEST_START = START + 48 * DAY, START + 54 * DAY
INFERRED = 5
BEYOND = TEST_START + DAY


def item_id(index: int) -> str:
    """Id of the item with this index (1-based)."""
    return f"i{index:03d}"


def write_dataset(out: Path, workspace: Workspace, seed: int = 0) -> Artifact:
    """A dataset artifact; user u likes category u % 4, and the last 6 items appear only in the test period."""
    rng = np.random.default_rng(seed)
    events = sorted(_events(rng))
    splits = ["train" if t < VALID_START else "valid" if t < TEST_START else "test" for _, t, _ in events]
    shown = [(u, t, i, label) for u, t, i in events for i, label in _slate(rng, i)]
    shown.sort(key=lambda row: (row[1], row[0]))

    def write(draft: Draft) -> None:
        draft.write_table("items.parquet", _items(), schema.ITEMS)
        draft.write_table(
            "interactions.parquet",
            pa.table(
                {
                    "user_id": [u for u, _, _ in events],
                    "item_id": [item_id(i) for _, _, i in events],
                    "timestamp": _times([t for _, t, _ in events]),
                    "action": ["click"] * len(events),
                    "rating": pa.nulls(len(events), pa.float32()),
                    "domain": pa.nulls(len(events), pa.string()),
                    "split": splits,
                }
            ),
            schema.INTERACTIONS,
        )
        draft.write_table(
            "impressions.parquet",
            pa.table(
                {
                    "request_id": [f"{u}-{t}" for u, t, _, _ in shown],
                    "user_id": [u for u, _, _, _ in shown],
                    "item_id": [item_id(i) for _, _, i, _ in shown],
                    "timestamp": _times([t for _, t, _, _ in shown]),
                    "label": pa.array([label for *_, label in shown], pa.int8()),
                    "split": [
                        "train" if t < VALID_START else "valid" if t < TEST_START else "test" for _, t, _, _ in shown
                    ],
                }
            ),
            schema.IMPRESSIONS,
        )
        (draft.path / "quarantine.jsonl").write_text("")
        draft.facts.update(
            split={"kind": "time", "valid_start": VALID_START, "test_start": TEST_START},
            counts={"items": ITEMS, "users": USERS, "events": len(events), "impressions": len(shown)},
            sampling={"negatives": 2},
            quarantined={},
        )

    return build(out, kind="dataset", config={"seed": seed}, inputs={}, write=write, workspace=workspace)


def with_beyond_log(dataset: Artifact, out: Path, workspace: Workspace) -> Artifact:
    """The dataset, with one item that each user took beyond the log in the test period."""
    ids = dataset.table("interactions.parquet", ["user_id"]).column(0).unique().to_pylist()
    columns = {
        "user_id": ids,
        "item_id": [item_id(1 + n) for n in range(len(ids))],
        "timestamp": _times([BEYOND] * len(ids)),
        "domain": ["elsewhere"] * len(ids),
        "need": ["noise"] * len(ids),
    }

    def write(draft: Draft) -> None:
        for name in ("items", "interactions", "impressions"):
            file = f"{name}.parquet"
            draft.write_table(file, dataset.table(file), getattr(schema, name.upper()))
        draft.write_table("beyond_log.parquet", pa.table(columns), schema.BEYOND_LOG)
        draft.facts.update(dataset.facts)

    return build(out, kind="dataset", name="known", config={}, inputs={}, write=write, workspace=workspace)


def with_impressions(
    dataset: Artifact, out: Path, workspace: Workspace, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> Artifact:
    """The dataset with other impressions, those that `change` makes of its own."""
    shown = change(pl.DataFrame(dataset.table("impressions.parquet")))

    def write(draft: Draft) -> None:
        for name in ("items", "interactions"):
            file = f"{name}.parquet"
            draft.write_table(file, dataset.table(file), getattr(schema, name.upper()))
        draft.write_table("impressions.parquet", shown.to_arrow().cast(schema.IMPRESSIONS), schema.IMPRESSIONS)
        draft.facts.update(dataset.facts)

    config = {"changed": out.name}
    return build(out, kind="dataset", name=out.name, config=config, inputs={}, write=write, workspace=workspace)


def write_knowledge(out: Path, dataset: Artifact, workspace: Workspace) -> Artifact:
    """A knowledge artifact in which every item is `ok`."""
    ids = dataset.table("items.parquet", ["item_id"]).column(0).to_pylist()
    item = schema.ItemView(function=("cleanses",), category="Beauty").model_dump_json()
    demand = json.dumps([schema.Demand(need="look fresh").model_dump(mode="json")])
    provenance = schema.Provenance(backend="hand", model="hand", prompt_version="1").model_dump_json()
    columns = {
        "item_id": ids,
        "status": ["ok"] * len(ids),
        "item_view": [item] * len(ids),
        "demand_view": [demand] * len(ids),
        "item_text": [f"A product of group {n % 4} that cleanses." for n in range(len(ids))],
        "demand_text": [f"For people of group {n % 4} who want to look fresh." for n in range(len(ids))],
        "reasoning": [""] * len(ids),
        "provenance": [provenance] * len(ids),
    }

    def write(draft: Draft) -> None:
        draft.write_table("knowledge.parquet", pa.table(columns), schema.KNOWLEDGE)
        (draft.path / "quarantine.jsonl").write_text("")
        draft.facts.update(items=len(ids), schema_valid=1.0, critic_pass=1.0, statuses={"ok": len(ids)})

    return build(out, kind="knowledge", config={}, inputs={"dataset": dataset}, write=write, workspace=workspace)


def write_item_vectors(
    out: Path, dataset: Artifact, workspace: Workspace, levels: int = 4, size: int = 8, seed: int = 0
) -> Artifact:
    """An item_vectors artifact; items of one category lie close together, codes are nearest centroids."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(seed)
    ids = dataset.table("items.parquet", ["item_id"]).column(0).to_pylist()
    centers = rng.normal(size=(len(CATEGORIES), schema.VECTOR_DIM))
    z = centers[np.arange(len(ids)) % len(CATEGORIES)] + 0.5 * rng.normal(size=(len(ids), schema.VECTOR_DIM))
    z = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)
    parts = z.reshape(len(ids), levels, -1)
    centroids = np.stack([parts[rng.choice(len(ids), size, replace=False), level] for level in range(levels)])
    distance = ((parts[:, :, None, :] - centroids[None]) ** 2).sum(-1)
    codes = distance.argmin(-1).astype(np.int16)

    def write(draft: Draft) -> None:
        table = pa.table(
            {
                "item_id": ids,
                "z": pa.FixedSizeListArray.from_arrays(pa.array(z.ravel()), schema.VECTOR_DIM),
                "codes": codes.tolist(),
                "version": ["small"] * len(ids),
            }
        )
        draft.write_table("item_vectors.parquet", table, schema.ITEM_VECTORS)
        rotation = np.eye(schema.VECTOR_DIM, dtype=np.float32)
        save_file({"rotation": rotation, "centroids": centroids}, draft.path / "codebook.safetensors")
        draft.facts.update(encoder="hand", items=len(ids))

    return build(out, kind="item_vectors", config={}, inputs={"dataset": dataset}, write=write, workspace=workspace)


def write_inferred_behaviors(
    out: Path, dataset: Artifact, vectors: Artifact, workspace: Workspace, seed: int = 0
) -> Artifact:
    """Inferences for every user at one snapshot in the training period, one at validation and one at test."""
    rng = np.random.default_rng(seed)
    z = np.array(vectors.table("item_vectors.parquet", ["z"]).column(0).to_pylist(), np.float16)
    rows = []
    for user in range(USERS):
        for snapshot in (START + 30 * DAY, VALID_START, TEST_START):
            items = rng.choice(ITEMS, INFERRED, replace=False)
            rows.append((f"u{user:02d}", snapshot, items))

    def write(draft: Draft) -> None:
        vectors_type = schema.INFERRED_BEHAVIORS.field("vectors").type
        table = pa.table(
            {
                "user_id": [u for u, _, _ in rows],
                "snapshot": _times([s for _, s, _ in rows]),
                "item_ids": [[item_id(i + 1) for i in items] for _, _, items in rows],
                "vectors": pa.array([[z[i] for i in items] for _, _, items in rows], vectors_type),
                "confidence": pa.array([[0.9, 0.7, 0.5, 0.3, 0.1]] * len(rows), pa.list_(pa.float32())),
                "slot_times": pa.array([[s] * INFERRED for _, s, _ in rows], pa.list_(schema.TIMESTAMP)),
                "version": ["small"] * len(rows),
            }
        )
        draft.write_table("inferred_behaviors.parquet", table, schema.INFERRED_BEHAVIORS)
        draft.facts.update(snapshots=[START + 30 * DAY, VALID_START, TEST_START], users=USERS)

    inputs = {"dataset": dataset, "item_vectors": vectors}
    return build(out, kind="inferred_behaviors", config={}, inputs=inputs, write=write, workspace=workspace)


def _events(rng: np.random.Generator) -> list[tuple[str, int, int]]:
    events = []
    for user in range(USERS):
        for _ in range(EVENTS):
            time = START + int(rng.integers(DAYS * 24)) * (DAY // 24)
            newest = ITEMS if time >= TEST_START else ITEMS - 6
            liked = [i for i in range(1, newest + 1) if (i - 1) % 4 == user % 4]
            item = rng.choice(liked) if rng.random() < 0.8 else rng.integers(1, newest + 1)
            events.append((f"u{user:02d}", time, int(item)))
    return events


def _slate(rng: np.random.Generator, positive: int) -> list[tuple[int, int]]:
    others = rng.choice([i for i in range(1, ITEMS - 5) if i != positive], 2, replace=False)
    slate = [(positive, 1), *((int(i), 0) for i in others)]
    return [slate[k] for k in rng.permutation(3)]


def _items() -> pa.Table:
    names = [CATEGORIES[n % len(CATEGORIES)] for n in range(ITEMS)]
    return pa.table(
        {
            "item_id": [item_id(n + 1) for n in range(ITEMS)],
            "title": [f"{names[n]} product number {n}" for n in range(ITEMS)],
            "category": [[name, "All"] for name in names],
            "brand": [f"Brand {n % 7}" for n in range(ITEMS)],
            "price": [5.0 + n for n in range(ITEMS)],
            "description": [None] * ITEMS,
            "attributes": [[name] for name in names],
        }
    )


def _times(microseconds: list[int]) -> pa.Array:
    return pa.array(microseconds, pa.int64()).cast(schema.TIMESTAMP)
