"""Offline scores: the same as serving gives, ranks over the catalogue, and a bundle older than its dataset."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from reaseq import schema
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.data.dataset import Dataset
from reaseq.ranking import Bundle, ColdItem, RankingError, assemble
from reaseq.ranking.golden import user_row
from reaseq.ranking.inferences import InferenceTable
from reaseq.ranking.scoring import Scorer, load_ranker
from reaseq.representation.vectors import ItemVectors
from tests import smallworld
from tests.ranking.conftest import World


def online_scores(bundle: Bundle, world: World, data: Dataset, split: str, every: int) -> tuple[list[int], list[float]]:
    """Rows of a split and their scores, each asked as a request of its own."""
    inferences = InferenceTable.read(world.inferred, data, 0.0)
    vectors = ItemVectors.open(world.vectors)
    shown, rows, scores = data.impressions(split), [], []
    for row in range(0, len(shown), every):
        now, item = int(shown.timestamp[row]), int(shown.item[row])
        user = user_row(data, inferences, int(shown.user[row]), int(shown.end[row]), now, bundle.limits.long)
        name = data.item_ids[item - 1]
        cold = {name: ColdItem(vectors.z[item], vectors.codes[item].tolist(), data.top_categories[item - 1])}
        request = assemble(user, [name], now=now, vocabulary=bundle.vocabulary, limits=bundle.limits, cold=cold)
        rows.append(row)
        scores.append(float(bundle.score(request)[0]))
    return rows, scores


@pytest.mark.parametrize("variant", ["full", "id_only", "bare"])
def test_offline_scores_are_those_that_serving_gives(
    variant: str, world: World, request: pytest.FixtureRequest
) -> None:
    artifact: Artifact = request.getfixturevalue(variant)
    table = Scorer(artifact, *world.inputs).impressions("test")
    assert table.schema.equals(schema.PREDICTIONS)
    rows, online = online_scores(Bundle.open(artifact), world, Dataset.open(world.dataset), "test", every=4)
    np.testing.assert_allclose(table.column("score").to_numpy()[rows], online, atol=1e-5)


def test_predictions_stand_in_the_order_of_the_impressions(full: Artifact, world: World) -> None:
    table = Scorer(full, *world.inputs).impressions("valid").to_pylist()
    shown = [row for row in world.dataset.table("impressions.parquet").to_pylist() if row["split"] == "valid"]
    names = ("request_id", "user_id", "item_id", "label", "split")
    assert [[row[n] for n in names] for row in table] == [[row[n] for n in names] for row in shown]


def test_catalogue_ranks_leave_out_what_the_user_has_seen(full: Artifact, world: World) -> None:
    scorer = Scorer(full, *world.inputs)
    ranks = scorer.ranks("test", users=0, seed=0)
    data = scorer.data
    shown = data.impressions("test")
    assert len(set(ranks.user_id)) == len(ranks.user_id) > 5
    for place, name in enumerate(ranks.user_id):
        user = int(data.log.user_index([name])[0])
        row = int(np.flatnonzero((shown.user == user) & (shown.label == 1))[0])
        seen = set(data.log.items[data.log.offsets[user] : shown.end[row]].tolist()) - {int(shown.item[row])}
        scores = scorer.catalogue_scores(shown, row)
        rivals = [scores[i] for i in range(1, 61) if i not in seen]
        assert ranks.item_id[place] == data.item_ids[shown.item[row] - 1]
        assert ranks.ranked[place] == len(rivals)
        assert ranks.rank[place] == 1 + sum(s > scores[shown.item[row]] for s in rivals)


def test_the_same_seed_ranks_the_same_users(full: Artifact, world: World) -> None:
    first, again, other = (Scorer(full, *world.inputs).ranks("test", users=8, seed=seed) for seed in (0, 0, 1))
    assert len(first.user_id) == 8
    for field in dataclasses.fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
    assert first.user_id.tolist() != other.user_id.tolist()


def test_ties_are_broken_at_random_and_not_by_position(
    full: Artifact, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scorer, "catalogue_scores", lambda *_: np.zeros(61, np.float32))
    ranks = Scorer(full, *world.inputs).ranks("test", users=0, seed=0)
    assert ranks.rank.min() >= 1
    assert (ranks.rank <= ranks.ranked).all()
    assert 0.25 < (ranks.rank / ranks.ranked).mean() < 0.75
    assert len(set(ranks.rank.tolist())) > 5


def test_an_older_bundle_scores_a_grown_and_reordered_catalogue_by_id(
    full: Artifact, world: World, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "ws")
    order = np.random.default_rng(0).permutation(60)

    def grown(draft: Draft) -> None:  # the same world, its items in another order
        for name, columns in (
            ("items.parquet", schema.ITEMS),
            ("interactions.parquet", schema.INTERACTIONS),
            ("impressions.parquet", schema.IMPRESSIONS),
        ):
            table = world.dataset.table(name)
            draft.write_table(name, table.take(order) if name == "items.parquet" else table, columns)
        draft.facts.update(world.dataset.facts)

    def vectors(draft: Draft) -> None:
        draft.write_table(
            "item_vectors.parquet", world.vectors.table("item_vectors.parquet").take(order), schema.ITEM_VECTORS
        )
        (draft.path / "codebook.safetensors").write_bytes(world.vectors.file("codebook.safetensors").read_bytes())

    reordered = build(tmp_path / "d", kind="dataset", config={}, inputs={}, write=grown, workspace=workspace)
    moved = build(tmp_path / "v", kind="item_vectors", config={}, inputs={}, write=vectors, workspace=workspace)
    before = Scorer(full, *world.inputs).impressions("test").column("score").to_numpy()
    after = Scorer(full, reordered, moved, world.inferred).impressions("test").column("score").to_numpy()
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_items_that_a_bundle_lacks_are_scored_from_their_vectors(
    full: Artifact, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(full)
    last = bundle.vocabulary.item_ids[54:]  # the six that appear in the test period only: unknown ids either way
    before = Scorer(full, *world.inputs).impressions("test").column("score").to_numpy()
    monkeypatch.setattr(
        "reaseq.ranking.features.Vocabulary.items",
        lambda self, ids: np.array([0 if i in last else self._items.get(i, 0) for i in ids], np.int64),
    )
    after = Scorer(full, *world.inputs).impressions("test").column("score").to_numpy()
    shown = Dataset.open(world.dataset).impressions("test")
    log = Dataset.open(world.dataset).log
    clean = [  # users in whose history none of them stands
        not (log.items[log.offsets[u] : end] > 54).any() for u, end in zip(shown.user, shown.end, strict=True)
    ]
    inferred = world.inferred.table("inferred_behaviors.parquet").to_pylist()
    touched = {row["user_id"] for row in inferred if set(row["item_ids"]) & set(last)}
    clean = [c and log.user_ids[u] not in touched for c, u in zip(clean, shown.user, strict=True)]
    chosen = np.array(clean)
    assert (chosen & (shown.item > 54)).any()
    np.testing.assert_allclose(after[chosen], before[chosen], atol=1e-6)


def test_one_opened_dataset_serves_several_rankers_and_vectors_may_be_mapped(
    full: Artifact, id_only: Artifact, world: World, tmp_path: Path
) -> None:
    data = Dataset.open(world.dataset)
    for bundle in (full, id_only):
        scorer = Scorer(bundle, data, world.vectors, world.inferred, folder=tmp_path)
        assert scorer.data is data
        table, gate = scorer.impressions_with_gate("test")
        assert table.equals(Scorer(bundle, *world.inputs).impressions("test"))
        assert len(gate.omega) == table.num_rows
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_vectors_with_other_codes_are_refused_for_items_that_the_bundle_lacks(
    full: Artifact, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = smallworld.write_item_vectors(tmp_path / "v", world.dataset, Workspace(tmp_path / "ws"), size=16)
    before = Scorer(full, *world.inputs).impressions("test")
    assert Scorer(full, world.dataset, other, world.inferred).impressions("test").equals(before)  # it lacks none
    monkeypatch.setattr(
        "reaseq.ranking.features.Vocabulary.items",
        lambda self, ids: np.array([0 if i == "i060" else self._items.get(i, 0) for i in ids], np.int64),
    )
    with pytest.raises(RankingError, match="reads 4 codes of 8 each and the item vectors have 4 of 16"):
        Scorer(full, world.dataset, other, world.inferred)


def test_weights_for_item_vectors_of_another_width_are_refused(full: Artifact, tmp_path: Path) -> None:
    def narrowed(draft: Draft) -> None:
        for name in full.manifest.files:
            (draft.path / name).write_bytes(full.file(name).read_bytes())
        weights = load_file(full.file("model.safetensors"))
        save_file(weights | {"z": weights["z"][:, :64].copy()}, draft.path / "model.safetensors")

    made = build(
        tmp_path / "n", kind="ranker", config={}, inputs={}, write=narrowed, workspace=Workspace(tmp_path / "ws")
    )
    with pytest.raises(RankingError, match="weights don't fit") as refused:
        load_ranker(Bundle.open(made))
    assert str(tmp_path) not in str(refused.value)
