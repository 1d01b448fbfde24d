"""Placebos keep the shape of the real inferences, lose their meaning, and see no future."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from reaseq.artifacts import Workspace
from reaseq.data.dataset import Dataset
from reaseq.evaluation.claims.placebos import INFERENCES, VECTORS, place_inferences, place_vectors
from reaseq.evaluation.errors import EvaluationError
from reaseq.ranking.inferences import InferenceTable
from reaseq.representation.vectors import ItemVectors
from tests import smallworld

World = tuple[Dataset, ItemVectors, InferenceTable]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("placebos")
    workspace = Workspace(root / "workspace")
    dataset = smallworld.write_dataset(root / "dataset", workspace)
    vectors = smallworld.write_item_vectors(root / "vectors", dataset, workspace)
    inferred = smallworld.write_inferred_behaviors(root / "inferred", dataset, vectors, workspace)
    data = Dataset.open(dataset)
    return data, ItemVectors.open(vectors), InferenceTable.read(inferred, data, 0.0)


@pytest.mark.parametrize("kind", [kind for kind in INFERENCES if kind not in ("own", "truth")])
def test_a_placebo_has_the_rows_and_lengths_of_the_real_inferences_and_other_items(world: World, kind: str) -> None:
    data, vectors, table = world
    placebo = place_inferences(kind, table, data, vectors, seed=3)
    np.testing.assert_array_equal(placebo.keys, table.keys)
    np.testing.assert_array_equal(placebo.snapshots, table.snapshots)
    assert placebo.items.shape == table.items.shape
    assert placebo.vectors.shape == table.vectors.shape
    assert placebo.items.min() >= 1
    assert placebo.items.max() <= len(data.item_ids)
    assert (placebo.items != table.items).any()
    again = place_inferences(kind, table, data, vectors, seed=3)
    np.testing.assert_array_equal(again.items, placebo.items)
    if kind != "another_user":
        np.testing.assert_array_equal(placebo.confidence, table.confidence)
        np.testing.assert_array_equal(placebo.offsets, table.offsets)


def test_another_users_inferences_are_whole_rows_of_the_same_snapshot(world: World) -> None:
    data, vectors, table = world
    placebo = place_inferences("another_user", table, data, vectors, seed=0)
    own = [tuple(table.items[a:b]) for a, b in zip(table.offsets[:-1], table.offsets[1:], strict=True)]
    theirs = [tuple(placebo.items[a:b]) for a, b in zip(placebo.offsets[:-1], placebo.offsets[1:], strict=True)]
    rank = table.keys % (len(table.snapshots) + 1)
    for snapshot in np.unique(rank):
        rows = np.flatnonzero(rank == snapshot)
        assert sorted(own[row] for row in rows) == sorted(theirs[row] for row in rows)


@pytest.mark.parametrize("kind", ["popular", "item_to_item"])
def test_what_happens_at_or_after_a_snapshot_changes_no_placebo_of_it(world: World, kind: str) -> None:
    data, vectors, table = world
    first = int(table.snapshots[0])
    later = data.log.timestamps >= first
    log = replace(data.log, items=np.where(later, 1, data.log.items).astype(np.int32))
    changed = Dataset.__new__(Dataset)
    changed.__dict__.update(data.__dict__ | {"log": log})
    of_first = np.repeat(table.keys % (len(table.snapshots) + 1) == 1, np.diff(table.offsets))
    real, planted = (place_inferences(kind, table, d, vectors, seed=0) for d in (data, changed))
    np.testing.assert_array_equal(real.items[of_first], planted.items[of_first])


def test_item_to_item_placebo_offers_nothing_that_the_user_took(world: World) -> None:
    data, vectors, table = world
    placebo = place_inferences("item_to_item", table, data, vectors, seed=0)
    popular = place_inferences("popular", table, data, vectors, seed=0)
    for row, key in enumerate(table.keys):
        user, rank = divmod(int(key), len(table.snapshots) + 1)
        span = slice(data.log.offsets[user], data.log.offsets[user + 1])
        past = data.log.items[span][data.log.timestamps[span] < table.snapshots[rank - 1]]
        found = slice(table.offsets[row], table.offsets[row + 1])
        neighbours = placebo.items[found][placebo.items[found] != popular.items[found]]
        assert not set(neighbours.tolist()) & set(past.tolist())


def knowing(data: Dataset, rows: list[tuple[str, str, int]]) -> Dataset:
    """The dataset, with these behaviours (user, item, microseconds) beyond its log."""
    users, items, times = zip(*rows, strict=True)
    known = pa.table({"user_id": users, "item_id": items, "timestamp": pa.array(times, pa.int64())})
    other = Dataset.__new__(Dataset)
    other.__dict__.update(data.__dict__ | {"beyond_log": lambda: known})
    return other


def test_the_truth_is_what_a_user_did_beyond_the_log_before_the_snapshot_the_last_ones_of_it(world: World) -> None:
    data, vectors, table = world
    users, items = [str(user) for user in data.log.user_ids[:2]], data.item_ids
    first, most = int(table.snapshots[0]), int(np.diff(table.offsets).max())
    early = [(users[0], items[n], first - 100 + n) for n in range(most + 2)]
    planted = [(users[0], items[-1], first), (users[1], items[-1], int(table.snapshots[-1]))]
    truth = place_inferences("truth", table, knowing(data, planted + early[::-1]), vectors, seed=0)
    np.testing.assert_array_equal(truth.keys, table.keys)
    found = {int(key): truth.items[truth.offsets[row] : truth.offsets[row + 1]] for row, key in enumerate(truth.keys)}
    ranks = len(table.snapshots) + 1
    for key, of_row in found.items():
        user, rank = divmod(key, ranks)
        if user != 0:
            assert not len(of_row)  # the other's one behaviour lies at its last snapshot: not before any
        elif rank == 1:
            assert [items[i - 1] for i in of_row] == [item for _, item, _ in early[-most:]]
        else:
            assert items[of_row[-1] - 1] == items[-1]
    assert (truth.confidence == 1).all()
    np.testing.assert_array_equal(truth.vectors, vectors.z[truth.items].astype(np.float16))


def test_without_a_known_truth_the_upper_bound_is_refused(world: World) -> None:
    data, vectors, table = world
    with pytest.raises(EvaluationError, match="knows"):
        place_inferences("truth", table, knowing_nothing(data), vectors, seed=0)


def knowing_nothing(data: Dataset) -> Dataset:
    other = Dataset.__new__(Dataset)
    other.__dict__.update(data.__dict__ | {"beyond_log": lambda: None})
    return other


def test_vector_controls_keep_shapes_and_norms(world: World) -> None:
    vectors = world[1]
    random = place_vectors("random", vectors, 0)
    np.testing.assert_allclose(np.linalg.norm(random.z, axis=1), np.linalg.norm(vectors.z, axis=1), atol=1e-5)
    assert abs(float((random.z[1:] * vectors.z[1:]).sum(1).mean())) < 0.2
    permuted = place_vectors("permuted_codes", vectors, 0)
    assert sorted(map(tuple, permuted.codes[1:])) == sorted(map(tuple, vectors.codes[1:]))
    assert (permuted.codes != vectors.codes).any()
    np.testing.assert_array_equal(permuted.z, vectors.z)
    assert place_vectors(VECTORS[0], vectors, 0) is vectors
