"""Title only: a knowledge artifact in which no agent was asked and each item's title stands for its knowledge."""

import json
from pathlib import Path

import pyarrow as pa

from reaseq import schema
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.config import RunConfig
from reaseq.knowledge.catalogue import read_catalogue

REASON = "title only: no agent was asked"
_VERSION = 1  # of this control; raise it when its table changes


def title_knowledge(config: RunConfig, dataset: Artifact, out: Path, workspace: Workspace) -> Artifact:
    """Make the artifact: status `fallback` in every row, empty views, the title (cleaned as for agents) as both texts.

    It depends on the items alone; of `config` nothing enters its key.

    Raises:
        KnowledgeError: the dataset's tables do not fit together.
    """

    def write(draft: Draft) -> None:
        catalogue = read_catalogue(
            dataset.table("items.parquet"),
            schema.INTERACTIONS.empty_table(),
            co_bought=0,
            description_tokens=0,
            positive_rating=config.data.positive_rating,
        )
        provenance = schema.Provenance(backend="none", model="none", prompt_version="", reason=REASON)
        rows = [
            {
                "item_id": item.item_id,
                "status": "fallback",
                "item_view": schema.ItemView().model_dump_json(),
                "demand_view": "[]",
                "item_text": item.title,
                "demand_text": item.title,
                "reasoning": "",
                "provenance": provenance.model_dump_json(),
            }
            for item in catalogue
        ]
        draft.write_table("knowledge.parquet", pa.Table.from_pylist(rows, schema=schema.KNOWLEDGE), schema.KNOWLEDGE)
        with (draft.path / "quarantine.jsonl").open("w", encoding="utf-8") as file:
            for item in catalogue:
                line = {"item_id": item.item_id, "reason": REASON, "status": "fallback"}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        draft.facts.update(items=len(rows), statuses={"fallback": len(rows)}, calls=0)

    return build(
        out,
        kind="knowledge",
        config={"control": "title", "version": _VERSION},
        inputs={"dataset": dataset},
        write=write,
        workspace=workspace,
        name="title_knowledge",
    )
