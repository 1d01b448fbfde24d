"""What the report says of the assets is read from their tables."""

import json

import numpy as np
import pytest

from reaseq import schema
from reaseq.artifacts import Workspace, build
from reaseq.evaluation import assets
from tests import smallworld
from tests.evaluation import standins
from tests.evaluation.test_report import rewritten


def test_dropped_fields_are_counted_by_criterion(tmp_path, workspace: Workspace):
    dataset = smallworld.write_dataset(tmp_path / "dataset", workspace)
    knowledge = smallworld.write_knowledge(tmp_path / "knowledge", dataset, workspace)
    record = schema.Provenance(
        backend="offline", model="m", prompt_version="1", dropped_fields=("item.style: specificity", "x.y: validity")
    ).model_dump_json()
    plain = json.loads(record) | {"dropped_fields": []}

    def change(table):
        values = [record, *[json.dumps(plain)] * (table.num_rows - 1)]
        place = table.schema.get_field_index("provenance")
        return table.set_column(place, table.schema.field("provenance"), [values])

    changed = rewritten(knowledge, "knowledge.parquet", schema.KNOWLEDGE, change, tmp_path / "k2", workspace)
    told = assets.describe_knowledge(changed)

    assert told["dropped_by_criterion"] == {"specificity": 1, "validity": 1}
    assert told["items_with_dropped_fields"] == 1
    assert told["sources"] == {"offline: m": 60}
    assert any("offline reasoner" in note for note in assets.notes(told))


def test_mean_cosine_and_code_use_are_those_of_the_table(tmp_path, workspace: Workspace):
    dataset = smallworld.write_dataset(tmp_path / "dataset", workspace)
    vectors = smallworld.write_item_vectors(tmp_path / "vectors", dataset, workspace)
    z = np.array(vectors.table("item_vectors.parquet", ["z"]).column(0).to_pylist())
    cosine = z @ z.T

    told = assets.describe_vectors(vectors)

    assert told["mean_cosine"] == pytest.approx(cosine[~np.eye(len(z), dtype=bool)].mean(), abs=1e-6)
    assert all(sum(level) == 60 for level in assets.code_counts(vectors))


def test_run_times_in_facts_do_not_reach_the_metrics(tmp_path, workspace: Workspace):
    def write(draft):
        draft.facts.update(seconds=3.0, inpainting={"recall_at_10": 0.2, "seconds": 1.0}, steps=5)

    denoiser = build(tmp_path / "d", kind="denoiser", config={}, inputs={}, write=write, workspace=workspace)

    assert assets.describe_denoiser(denoiser) == {"steps": 5, "inpainting_recall_at_10": 0.2}
    assert assets.training_curve(denoiser) == {}


def test_the_curve_holds_every_loss_by_step(tmp_path, workspace: Workspace):
    curve = assets.training_curve(standins.write_denoiser(tmp_path / "d", workspace))

    assert set(curve) == {"code_loss", "latent_loss"}
    assert curve["code_loss"][1] == (1.0, 1.5)
