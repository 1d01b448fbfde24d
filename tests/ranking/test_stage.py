"""From artifacts to a bundle: determinism, resume, kills, parity of every shipped form, and that it learns."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from reaseq import config
from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.errors import ArtifactError
from reaseq.ranking import Bundle, RankingError, assemble
from reaseq.ranking.batches import Batch
from reaseq.ranking.export import ServedRanker, largest_difference
from reaseq.ranking.features import ColdItem, UserRow
from reaseq.ranking.scoring import load_ranker
from reaseq.ranking.stage import train_ranker
from reaseq.ranking.training import CHECKPOINT, Trainer
from reaseq.representation.vectors import ItemVectors
from tests.ranking.conftest import World

FILES = ["golden.safetensors", "model.onnx", "model.safetensors", "ranker.json", "training.jsonl", "vocabulary.parquet"]


@pytest.fixture(params=["full", "id_only"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return Bundle.open(request.getfixturevalue(request.param))


def test_the_full_ranker_learns_what_users_like(full: Artifact) -> None:
    assert full.facts["valid"]["auc"] > 0.6
    curve = [json.loads(line)["loss"] for line in full.file("training.jsonl").read_text().splitlines()]
    assert np.mean(curve[-5:]) < np.mean(curve[:5]) - 0.05


def test_a_bundle_holds_what_serving_needs(bundle: Bundle, world: World) -> None:
    assert sorted(bundle.artifact.manifest.files) == FILES
    assert bundle.artifact.manifest.name == f"ranker_{bundle.variant}"
    assert len(bundle.vocabulary) == 60
    assert bundle.limits.inferred == 5
    inputs = {node.name: node for node in bundle.session.get_inputs()}
    types = {"int64": "tensor(int64)", "float32": "tensor(float)"}
    assert list(inputs) == [name for name, _, _ in bundle.limits.specs()]
    for name, dtype, shape in bundle.limits.specs():
        assert inputs[name].type == types[dtype]
        assert [s if isinstance(s, int) else "dynamic" for s in inputs[name].shape] == [
            s if isinstance(s, int) else "dynamic" for s in shape
        ]
    assert [(node.name, node.type) for node in bundle.session.get_outputs()] == [("scores", "tensor(float)")]


def test_eager_exported_and_golden_scores_agree(bundle: Bundle) -> None:
    served = ServedRanker(load_ranker(bundle)).eval()
    golden = bundle.golden()
    assert len(golden) == 12
    for inputs, scores in golden:
        assert scores.dtype == np.float32
        assert scores.shape == inputs["candidates"].shape
        assert ((scores > 0) & (scores < 1)).all()
        np.testing.assert_array_equal(bundle.score(inputs), scores)
        assert largest_difference(served, inputs, scores) <= 1e-5
    assert not golden[0][0]["history"].any()
    assert golden[1][0]["candidates"].shape == (1,)
    assert (golden[2][0]["cold_index"] > 0).any()
    assert (golden[3][0]["candidates"] == 0).any()
    assert len(set(golden[4][0]["candidates"].tolist())) < len(golden[4][0]["candidates"])


def test_the_exported_ranker_takes_any_number_of_candidates_and_cold_rows(bundle: Bundle, world: World) -> None:
    vectors = ItemVectors.open(world.vectors)
    served = ServedRanker(load_ranker(bundle)).eval()
    for known, new in ((1, 0), (0, 1), (60, 7), (400, 40)):
        cold = {f"n{i}": ColdItem(vectors.z[i + 1], vectors.codes[i + 1].tolist(), "Makeup") for i in range(new)}
        names = [bundle.vocabulary.item_ids[i % 60] for i in range(known)] + list(cold)
        inputs = assemble(None, names, now=0, vocabulary=bundle.vocabulary, limits=bundle.limits, cold=cold)
        scores = bundle.score(inputs)
        assert scores.shape == (known + new,)
        assert largest_difference(served, inputs, scores) <= 1e-5


@pytest.mark.parametrize("events", [0, 1, 4, 5, 6, 7, 12, 30])  # the short history holds 6, a search finds 4 of 12
@pytest.mark.parametrize("size", [1, 40])
def test_the_exported_ranker_takes_histories_of_any_length(bundle: Bundle, events: int, size: int) -> None:
    served, items = ServedRanker(load_ranker(bundle)).eval(), bundle.vocabulary.item_ids
    rng = np.random.default_rng(events)
    user = UserRow([items[place] for place in rng.integers(60, size=events)], list(range(events, 0, -1)))
    names = [items[place] for place in rng.integers(60, size=size)]
    fitting, padded = (
        assemble(user, names, now=events + 1, vocabulary=bundle.vocabulary, limits=limits, cold={})
        for limits in (bundle.limits, replace(bundle.limits, trimmed=False))
    )
    scores = bundle.score(fitting)
    assert fitting["long_history"].shape == (1, min(max(events, 1), 12)) and padded["long_history"].shape == (1, 12)
    assert largest_difference(served, fitting, scores) <= 1e-5
    np.testing.assert_allclose(bundle.score(padded), scores, rtol=0, atol=1e-5)


def test_room_for_new_items_that_a_request_does_not_bring_changes_no_score(bundle: Bundle) -> None:
    names = ["nobody", *bundle.vocabulary.item_ids[:5]]
    inputs = assemble(None, names, now=0, vocabulary=bundle.vocabulary, limits=bundle.limits, cold={})
    names = ("cold_vectors", "cold_codes", "cold_category")
    roomy = inputs | {name: np.concatenate([inputs[name]] * 2) for name in names}
    np.testing.assert_allclose(bundle.score(roomy), bundle.score(inputs), rtol=0, atol=1e-6)


def test_a_new_item_scores_as_if_it_had_been_in_the_catalogue_unseen(full: Artifact, world: World) -> None:
    bundle, vectors = Bundle.open(full), ItemVectors.open(world.vectors)
    known = bundle.vocabulary.item_ids[59]  # appears only in the test period, so its id is the unknown one
    cold = {"new": ColdItem(vectors.z[60], vectors.codes[60].tolist(), "Fragrance")}
    inputs = assemble(
        None, [known, "new", "nobody"], now=0, vocabulary=bundle.vocabulary, limits=bundle.limits, cold=cold
    )
    scores = bundle.score(inputs)
    assert abs(scores[0] - scores[1]) < 1e-6
    assert scores[2] != scores[1]


def test_the_onnx_file_names_no_path_and_needs_no_other_file(full: Artifact) -> None:
    content = full.file("model.onnx").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b".py" not in content
    model = onnx.load_from_string(content)
    assert model.opset_import[0].version == 18
    assert all(not init.external_data for init in model.graph.initializer)


def test_a_killed_training_goes_on_in_another_process_to_the_same_bytes(
    full: Artifact, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, out = Workspace(tmp_path / "ws"), tmp_path / "ranker"
    step = Trainer._step

    def killed_at_13(self: Trainer, batch: Batch, number: int) -> float:
        if number == 13:
            raise KeyboardInterrupt
        return step(self, batch, number)

    monkeypatch.setattr(Trainer, "_step", killed_at_13)
    with pytest.raises(KeyboardInterrupt):
        train_ranker(world.config, *world.inputs, out, workspace)
    assert not out.exists()
    with pytest.raises(ArtifactError):
        open_artifact(next((workspace.root / "artifacts").glob(".ranker-*")), "ranker")
    assert list(workspace.root.rglob(CHECKPOINT))
    code = (
        "import sys; from pathlib import Path; from reaseq.artifacts import Workspace, open_artifact as o\n"
        "from reaseq.config import RunConfig; from reaseq.ranking.stage import train_ranker\n"
        "c, d, v, i, ws, out = sys.argv[1:]\n"
        "train_ranker(RunConfig.model_validate_json(c), o(d), o(v), o(i), Path(out), Workspace(ws))\n"
    )
    paths = [*(artifact.path for artifact in world.inputs), workspace.root, out]
    arguments = [sys.executable, "-c", code, world.config.model_dump_json(), *map(str, paths)]
    done = subprocess.run(
        arguments, check=True, timeout=300, cwd=Path(__file__).parents[2], capture_output=True, text=True
    )

    resumed = open_artifact(out, "ranker")
    assert "goes on at step 10" in done.stderr
    for name in FILES:
        assert resumed.manifest.files[name].sha256 == full.manifest.files[name].sha256, name
    assert resumed.digest == full.digest
    assert not list(workspace.root.rglob(CHECKPOINT))


def test_facts_say_how_often_the_target_was_inferred(full: Artifact, world: World) -> None:
    overlap = full.facts["target_overlap"]
    assert set(overlap) == {"train", "valid", "test"}
    rows = world.inferred.table("inferred_behaviors.parquet").to_pylist()
    shown = world.dataset.table("impressions.parquet").to_pylist()
    for label, name in ((1, "positives"), (0, "negatives")):
        chosen = [s for s in shown if s["split"] == "test" and s["label"] == label]
        hits = 0
        for impression in chosen:
            mine = [
                r for r in rows if r["user_id"] == impression["user_id"] and r["snapshot"] <= impression["timestamp"]
            ]
            hits += bool(mine) and impression["item_id"] in mine[-1]["item_ids"]
        assert overlap["test"][name] == pytest.approx(hits / len(chosen))


def test_wrong_inputs_are_refused_with_a_remedy(world: World, tmp_path: Path) -> None:
    def train(settings: config.RunConfig, **changes: str) -> None:
        train_ranker(settings, *world.inputs, tmp_path / "out", Workspace(tmp_path / "ws"), **changes)

    with pytest.raises(RankingError, match="variant 'ids'"):
        train(world.config, variant="ids")
    if not torch.cuda.is_available():
        with pytest.raises(RankingError, match="device=cpu"):
            train(world.config.model_copy(update={"device": "cuda"}))
    wild = world.config.ranking.model_copy(update={"lr_dense": 1e20})
    with pytest.raises(RankingError, match="lr_dense"):
        train(world.config.model_copy(update={"ranking": wild}))
    assert not (tmp_path / "out").exists()


def test_a_changed_byte_of_a_bundle_is_refused(full: Artifact, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(full.path, copy)
    content = bytearray((copy / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "model.onnx").write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        Bundle.open(copy)
