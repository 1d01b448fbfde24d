"""Small datasets and configurations for the knowledge room's tests."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from reaseq import config, schema
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.config import RunConfig
from tests.llm.scripted_endpoint import MODEL


def remote(url: str, model: str = MODEL, overrides: Mapping[str, object] | None = None) -> RunConfig:
    settings = {"llm.backend": "openai", "llm.base_url": url, "llm.model": model, "llm.concurrency": 4}
    return config.load("tiny", overrides=settings | dict(overrides or {}))


def dataset_of(out: Path, workspace: Workspace, *rows: Mapping[str, object]) -> Artifact:
    blank = {"category": ["Beauty"], "brand": None, "price": None, "description": None, "attributes": []}

    def write(draft: Draft) -> None:
        table = [blank | {"item_id": f"i{n}"} | dict(row) for n, row in enumerate(rows)]
        draft.write_table("items.parquet", pa.Table.from_pylist(table, schema=schema.ITEMS), schema.ITEMS)
        draft.write_table("interactions.parquet", schema.INTERACTIONS.empty_table(), schema.INTERACTIONS)

    return build(
        out, kind="dataset", config={"rows": [str(r) for r in rows]}, inputs={}, write=write, workspace=workspace
    )
