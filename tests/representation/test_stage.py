"""The stage on the small world: what depends on what, twice the same bytes, and a kill in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from reaseq import schema
from reaseq.artifacts import Artifact, Workspace, build
from reaseq.determinism import deterministic_torch
from reaseq.representation import Codebook, ItemVectors, RepresentationError
from reaseq.representation.embedder import ItemEmbedder
from reaseq.representation.encoders import open_encoder
from reaseq.representation.stage import read_views, represent
from tests import smallworld
from tests.representation.conftest import quick

FILES = ["aligner.json", "aligner.safetensors", "codebook.safetensors", "item_vectors.parquet"]


def content(artifact: Artifact) -> dict[str, str]:
    return {name: entry.sha256 for name, entry in artifact.manifest.files.items()}


def rebuilt(artifact: Artifact, out: Path, workspace: Workspace, **tables: pa.Table) -> Artifact:
    """A copy of a dataset or knowledge artifact with tables replaced."""
    schemas = {"interactions": schema.INTERACTIONS, "items": schema.ITEMS, "knowledge": schema.KNOWLEDGE}

    def write(draft) -> None:
        for name, layout in schemas.items():
            if f"{name}.parquet" in artifact.manifest.files:
                table = tables.get(name, artifact.table(f"{name}.parquet"))
                draft.write_table(f"{name}.parquet", table, layout)
        draft.facts.update(artifact.facts)

    config = {"copy": str(out)}
    return build(out, kind=artifact.manifest.kind, config=config, inputs={}, write=write, workspace=workspace)


def test_every_item_has_a_unit_vector_and_codes_of_the_saved_codebook(represented: Artifact) -> None:
    table = represented.table("item_vectors.parquet")
    z = np.array(table.column("z").to_pylist(), np.float32)
    codes = np.array(table.column("codes").to_pylist())

    assert table.column("item_id").to_pylist() == [smallworld.item_id(n + 1) for n in range(smallworld.ITEMS)]
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    assert codes.shape == (smallworld.ITEMS, 4)
    np.testing.assert_array_equal(Codebook.load(represented.file("codebook.safetensors")).encode(z), codes)
    assert set(FILES) <= set(represented.manifest.files)


def test_the_facts_say_what_was_made_and_whether_it_did_harm(represented: Artifact) -> None:
    facts = represented.facts

    assert facts["encoder"]["name"] == "tfidf"
    assert facts["aligned"]
    assert facts["pairs"] > 100
    assert set(facts["mean_cosine"]) == {"pca_title", "z"}
    assert 0 < facts["i2i_hit_at_30"]["pca_title"] <= 1
    assert 0 < facts["i2i_hit_at_30"]["z"] <= 1
    assert facts["align_loss"][-1]["step"] == 30
    assert facts["codebook"] == {"items": 54, "all_items": False, "size": 8}
    assert {"utilisation", "gini", "collisions", "distinct"} <= set(facts["codes"])


def test_torch_is_left_as_it_was(world: tuple[Artifact, Artifact], tmp_path: Path) -> None:
    with deterministic_torch(threads=2, seed=0):  # puts back what the process had
        torch.use_deterministic_algorithms(False)

        represent(quick(), *world, tmp_path / "item_vectors", Workspace(tmp_path / "workspace"))

        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (2, False)


def test_items_that_are_new_in_the_test_period_have_vectors_and_codes_too(represented: Artifact) -> None:
    vectors = ItemVectors.open(represented)

    cold = slice(smallworld.ITEMS - 5, smallworld.ITEMS + 1)
    assert np.isfinite(vectors.z[cold]).all()
    assert (vectors.codes[cold] >= 0).all()


def test_no_event_after_the_training_period_reaches_a_vector_or_a_code(
    world, represented: Artifact, tmp_path: Path, workspace: Workspace
) -> None:
    dataset, knowledge = world
    events = dataset.table("interactions.parquet")
    later = pc.not_equal(events.column("split"), "train")
    other = pc.if_else(later, smallworld.item_id(3), events.column("item_id"))
    shuffled = events.set_column(events.column_names.index("item_id"), "item_id", other)
    canary = rebuilt(dataset, tmp_path / "canary", workspace, interactions=shuffled)

    made = represent(quick(), canary, knowledge, tmp_path / "out", workspace)

    assert content(made) == content(represented)
    assert made.facts["i2i_hit_at_30"] != represented.facts["i2i_hit_at_30"]


def test_a_training_event_does_reach_them(world, represented: Artifact, tmp_path: Path, workspace: Workspace) -> None:
    dataset, knowledge = world
    events = dataset.table("interactions.parquet")
    fewer = rebuilt(dataset, tmp_path / "fewer", workspace, interactions=events.slice(smallworld.EVENTS))

    made = represent(quick(), fewer, knowledge, tmp_path / "out", workspace)

    assert content(made)["item_vectors.parquet"] != content(represented)["item_vectors.parquet"]
    assert ItemVectors.open(made).version != ItemVectors.open(represented).version


def test_with_too_few_pairs_z_stays_pca_of_the_title(world, tmp_path: Path, workspace: Workspace) -> None:
    dataset, knowledge = world
    events = dataset.table("interactions.parquet").slice(0, 12)
    sparse = rebuilt(dataset, tmp_path / "sparse", workspace, interactions=events)

    made = represent(quick(), sparse, knowledge, tmp_path / "out", workspace)

    assert not made.facts["aligned"]
    assert made.facts["pairs"] < 100
    assert made.facts["align_loss"] == []
    assert made.facts["mean_cosine"]["z"] == made.facts["mean_cosine"]["pca_title"]


def test_without_alignment_steps_z_is_the_frozen_title_vector(world, tmp_path: Path, workspace: Workspace) -> None:
    made = represent(quick(align_steps=0), *world, tmp_path / "out", workspace)

    _, (titles, *others), _ = read_views(*world)
    texts = [*titles, *(text for view in others for text in view)]
    encoder = open_encoder("tfidf", texts=texts, seed=0, max_length=128, batch=64, threads=1, device="cpu")
    centred = (e := encoder.encode(titles).astype(np.float64)) - e.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    pca = centred @ axes[:128].T
    pca /= np.linalg.norm(pca, axis=1, keepdims=True)
    z = ItemVectors.open(made).z[1:]
    np.testing.assert_allclose(z @ z.T, pca @ pca.T, atol=1e-5)
    assert made.facts["align_loss"] == []
    assert made.facts["i2i_hit_at_30"]["z"] == made.facts["i2i_hit_at_30"]["pca_title"]


def test_encodings_that_are_there_already_change_no_byte(world, represented: Artifact, tmp_path: Path) -> None:
    used = Workspace(tmp_path / "used")
    represent(quick(align_steps=0), *world, tmp_path / "first", used)

    made = represent(quick(), *world, tmp_path / "second", used)

    assert (used.root / "encodings.sqlite").is_file()
    assert content(made) == content(represented)


def test_an_item_without_good_knowledge_is_read_by_its_title(world, tmp_path: Path, workspace: Workspace) -> None:
    dataset, knowledge = world
    table = knowledge.table("knowledge.parquet")
    status = pa.array(["fallback", "quarantined"] + ["ok"] * (table.num_rows - 2))
    poor = rebuilt(knowledge, tmp_path / "poor", workspace, knowledge=table.set_column(1, "status", status))

    _, views, fallbacks = read_views(dataset, poor)

    assert fallbacks == 2
    assert [view[:2] for view in views] == [views[0][:2]] * 3
    assert views[1][2] == "A product of group 2 that cleanses."


def test_knowledge_of_other_items_is_refused(world, tmp_path: Path, workspace: Workspace) -> None:
    dataset, knowledge = world
    table = knowledge.table("knowledge.parquet").slice(1)

    with pytest.raises(RepresentationError, match="knowledge"):
        represent(
            quick(), dataset, rebuilt(knowledge, tmp_path / "k", workspace, knowledge=table), tmp_path / "o", workspace
        )


def test_an_item_newer_than_the_model_is_embedded_as_the_stage_would_have(world, represented: Artifact) -> None:
    dataset, knowledge = world
    titles = dataset.table("items.parquet").column("title").to_pylist()
    texts = knowledge.table("knowledge.parquet", ["item_text", "demand_text"]).to_pydict()
    vectors = ItemVectors.open(represented)
    embedder = ItemEmbedder.open(represented)

    z, codes = embedder.embed(titles, texts["item_text"], texts["demand_text"])
    alone, _ = embedder.embed(["Hair Care product nobody has seen"])

    np.testing.assert_allclose(z, vectors.z[1:], atol=1e-6)
    np.testing.assert_array_equal(codes, vectors.codes[1:])
    assert np.linalg.norm(alone) == pytest.approx(1, abs=1e-5)
    assert np.argmax(vectors.z[1:] @ alone[0]) % 4 == 1  # the nearest item is of hair care
    assert embedder.version == vectors.version
    with pytest.raises(RepresentationError, match="item_texts"):
        embedder.embed(titles[:2], ["one"])


SCRIPT = """
import sys
from pathlib import Path
from reaseq.artifacts import Workspace, open_artifact
from reaseq.representation.stage import represent
from tests.representation.conftest import quick
root, dataset, knowledge = map(Path, sys.argv[1:])
represent(quick(align_steps=150), open_artifact(dataset), open_artifact(knowledge), root / "out", Workspace(root / "w"))
"""


def start(root: Path, world) -> subprocess.Popen[bytes]:
    root.mkdir(exist_ok=True)
    arguments = [str(root), *(str(artifact.path) for artifact in world)]
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], env=os.environ | {"OMP_NUM_THREADS": "1"})


def test_a_killed_stage_finishes_on_the_next_start_with_the_bytes_of_an_unkilled_one(
    world, tmp_path: Path, workspace: Workspace
) -> None:
    killed = tmp_path / "killed"
    process = start(killed, world)
    deadline = time.monotonic() + 120
    while not list(killed.glob("w/scratch/*/alignment.safetensors")):
        assert process.poll() is None, "the stage ended before it kept a checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "out").exists()

    assert start(killed, world).wait() == 0
    unkilled = represent(quick(align_steps=150), *world, tmp_path / "whole", workspace)

    manifest = json.loads((killed / "out" / "manifest.json").read_text())
    whole = json.loads((unkilled.path / "manifest.json").read_text())
    assert manifest["files"] == whole["files"]
    assert manifest["facts"] == whole["facts"]
