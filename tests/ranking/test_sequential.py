"""The sequential baseline: exact repeats and resumes, no padding, future or held-out event in a score, fair ranking."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn import functional as F

from reaseq import config, schema
from reaseq.artifacts import Artifact, Draft, Workspace, build, open_artifact
from reaseq.config import RunConfig
from reaseq.data import Dataset, EventLog
from reaseq.errors import ArtifactError
from reaseq.ranking import RankingError
from reaseq.ranking.sequential import ItemToItem, Popularity, Targets, load_sequential, rank_targets, train_sequential
from reaseq.ranking.sequential import training as trainer
from reaseq.ranking.sequential.loss import PIECE, catalogue_cross_entropy
from reaseq.ranking.sequential.model import SasRec, SasRecSpec
from reaseq.ranking.sequential.rows import Rows, last_events
from reaseq.ranking.sequential.stage import CURVE, RANKS, SPEC, WEIGHTS
from reaseq.ranking.sequential.training import rank_held_out
from tests import smallworld

SETTINGS = {
    "sequential.d_model": 16,
    "sequential.layers": 1,
    "sequential.history": 6,  # shorter than a user's log, so that some users have several rows
    "sequential.dropout": 0.2,
    "sequential.batch_positions": 64,
    "sequential.lr": 1e-2,
    "sequential.epochs": 12,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    root = tmp_path_factory.mktemp("sequential")
    return smallworld.write_dataset(root / "dataset", Workspace(root / "workspace"))


@pytest.fixture(scope="module")
def settings() -> RunConfig:
    return config.load("tiny", overrides=SETTINGS)


@pytest.fixture(scope="module")
def trained(dataset: Artifact, settings: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    root = tmp_path_factory.mktemp("trained")
    return train_sequential(settings, dataset, root / "sasrec", Workspace(root / "workspace"))


def network(**changes: float) -> SasRec:
    torch.manual_seed(0)
    spec = {"items": 60, "d_model": 16, "layers": 2, "heads": 2, "history": 8, "dropout": 0.5, "temperature": 0.0}
    model = SasRec(SasRecSpec.model_validate(spec | changes))
    for parameter in model.parameters():  # larger than at the start, so that every path matters
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def test_it_learns_what_users_like(trained: Artifact, dataset: Artifact) -> None:
    curve = [json.loads(line) for line in trained.file(CURVE).read_text().splitlines()]
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.2
    assert trained.facts["valid_ndcg_at_10"] == pytest.approx(max(p["valid_ndcg_at_10"] for p in curve), abs=1e-6)
    data = Dataset.open(dataset)
    test = Targets.of(data, "test")
    known = test.item <= smallworld.ITEMS - 6
    popular = rank_targets(data, test, Popularity(data.log.only_train(), len(data.item_ids)), seed=0)
    rank = trained.table(RANKS).column("rank").to_numpy()
    assert np.mean(rank[known]) < np.mean(popular.rank[known]) - 10


def test_the_artifact_holds_weights_ranks_and_what_builds_the_network(trained: Artifact, dataset: Artifact) -> None:
    assert sorted(trained.manifest.files) == sorted([WEIGHTS, SPEC, CURVE, RANKS])
    assert trained.json(SPEC)["dataset"] == dataset.digest
    table = trained.table(RANKS)
    assert table.schema.equals(schema.CATALOGUE_RANKS)
    data = Dataset.open(dataset)
    again = rank_held_out(load_sequential(trained), data, Targets.of(data, "test"), seed=0)
    assert table.to_pydict() == {name: column.tolist() for name, column in vars(again).items()}


def test_a_seed_repeats_bit_for_bit_and_another_differs(
    trained: Artifact, dataset: Artifact, settings: RunConfig, tmp_path: Path
) -> None:
    again = train_sequential(settings, dataset, tmp_path / "again", Workspace(tmp_path / "ws"))
    other = train_sequential(settings, dataset, tmp_path / "other", Workspace(tmp_path / "ws"), seed=1)
    assert again.digest == trained.digest
    assert other.manifest.files[WEIGHTS].sha256 != trained.manifest.files[WEIGHTS].sha256


def test_a_killed_training_goes_on_to_the_same_bytes(
    trained: Artifact, dataset: Artifact, settings: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, out = Workspace(tmp_path / "ws"), tmp_path / "sasrec"
    loss, calls = trainer._loss, iter(range(1000))
    per_epoch = json.loads(trained.file(CURVE).read_text().splitlines()[0])["step"]

    def killed_in_the_third_epoch(*arguments: object) -> torch.Tensor:
        if next(calls) == 2 * per_epoch + 1:
            raise KeyboardInterrupt
        return loss(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_loss", killed_in_the_third_epoch)
        with pytest.raises(KeyboardInterrupt):
            train_sequential(settings, dataset, out, workspace)
    assert not out.exists()
    assert list(workspace.root.rglob("*checkpoint.safetensors"))
    torch.rand(7)  # whatever else moves torch's random state changes nothing
    started = []
    epoch = trainer._epoch
    monkeypatch.setattr(trainer, "_epoch", lambda *a: started.append(a[-1].epoch) or epoch(*a))
    resumed = train_sequential(settings, dataset, out, workspace)
    assert started[0] == 2
    assert {n: f.sha256 for n, f in resumed.manifest.files.items()} == {
        n: f.sha256 for n, f in trained.manifest.files.items()
    }
    assert not list(workspace.root.rglob("*checkpoint.safetensors"))


def test_training_stops_when_validation_no_longer_rises(
    dataset: Artifact, settings: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([0.1, 0.3, 0.2, 0.3, 0.2, 0.9])
    monkeypatch.setattr(trainer, "mean_ndcg", lambda ranks: next(told))
    patient = settings.model_copy(update={"sequential": settings.sequential.model_copy(update={"patience": 3})})
    stopped = train_sequential(patient, dataset, tmp_path / "out", Workspace(tmp_path / "ws"))
    assert (stopped.facts["best_epoch"], stopped.facts["epochs"]) == (2, 5)


@pytest.mark.parametrize("temperature", [0.0, 0.1])
def test_a_batch_of_one_scores_as_a_batch_of_many(temperature: float) -> None:
    model = network(temperature=temperature)
    rng = np.random.default_rng(0)
    events = rng.integers(1, 61, 200).astype(np.int32)
    start = rng.integers(0, 190, 30)
    end = start + rng.integers(1, 9, 30)
    together = model.scores(torch.from_numpy(last_events(events, start, end, 8)), model.candidates())
    for row in range(30):
        alone = last_events(events, start[row : row + 1], end[row : row + 1], int(end[row] - start[row]))
        assert alone.all()
        torch.testing.assert_close(
            model.scores(torch.from_numpy(alone), model.candidates())[0], together[row], atol=1e-5, rtol=1e-5
        )


def test_a_later_event_changes_no_earlier_state() -> None:
    model = network()
    read = torch.randint(1, 61, (4, 8))
    changed = read.clone()
    changed[:, 5:] = 1 + changed[:, 5:] % 60
    with torch.no_grad():
        before, after = model(read), model(changed)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_rows_predict_every_training_event_but_each_users_first_exactly_once(dataset: Artifact) -> None:
    log = Dataset.open(dataset).log.only_train()
    rows = Rows.of(log, history=4)
    batches = rows.batches(40, np.random.default_rng(0))
    assert sorted(np.concatenate(batches)) == list(range(len(rows)))
    predicted = []
    for batch in batches:
        read, target = rows.gather(batch)
        assert read.shape == target.shape
        assert read.size <= 40
        assert read.shape[1] <= 4
        assert ((read > 0) == (target > 0)).all()
        assert (target[:, -1] > 0).all()
        predicted.append(target[target > 0])
    first = log.offsets[:-1][np.diff(log.offsets) > 0]
    expected = np.delete(log.items, first)
    np.testing.assert_array_equal(np.sort(np.concatenate(predicted)), np.sort(expected))
    assert rows.positions == len(expected)


def test_the_loss_and_its_gradient_are_those_of_cross_entropy() -> None:
    torch.manual_seed(0)
    hidden, items = torch.randn(2 * PIECE + 7, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    target = torch.randint(0, 50, (len(hidden),))
    expected = F.cross_entropy(hidden @ items.T, target)
    wanted = torch.autograd.grad(3 * expected, (hidden, items))
    for bfloat16, tolerance in ((False, 1e-6), (True, 2e-3)):
        loss = catalogue_cross_entropy(hidden, items, target, bfloat16=bfloat16)
        torch.testing.assert_close(loss, expected, atol=10 * tolerance, rtol=tolerance)
        found = torch.autograd.grad(3 * loss, (hidden, items))
        for ours, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)


def test_seen_items_are_left_out_and_ties_fall_at_random(dataset: Artifact) -> None:
    data = Dataset.open(dataset)
    test = Targets.of(data, "test")
    assert len(set(test.user)) == len(test) > 5
    scores = np.random.default_rng(0).normal(size=(smallworld.USERS, smallworld.ITEMS)).astype(np.float32)
    user_of = dict(zip(test.start, test.user, strict=True))
    ranks = rank_targets(data, test, lambda start, end: scores[[user_of[s] for s in start]], seed=0)
    for place, (user, item) in enumerate(zip(test.user, test.item, strict=True)):
        seen = set(data.log.items[test.start[place] : test.end[place]].tolist()) - {int(item)}
        rivals = [scores[user, i - 1] for i in range(1, smallworld.ITEMS + 1) if i not in seen]
        assert ranks.ranked[place] == len(rivals)
        assert ranks.rank[place] == 1 + sum(rival > scores[user, item - 1] for rival in rivals)
        assert ranks.item_id[place] == data.item_ids[item - 1]
    flat = [
        rank_targets(data, test, lambda s, e: np.zeros((len(s), smallworld.ITEMS), np.float32), seed)
        for seed in (0, 0, 1)
    ]
    assert (flat[0].rank >= 1).all() and (flat[0].rank <= flat[0].ranked).all()
    assert flat[0].rank.tolist() == flat[1].rank.tolist() != flat[2].rank.tolist()
    assert 0.25 < (flat[0].rank / flat[0].ranked).mean() < 0.75


def test_held_out_events_enter_neither_training_nor_counts(
    dataset: Artifact, settings: RunConfig, tmp_path: Path
) -> None:
    """Canary: the same world with every event after training made another item trains to the same weights."""

    def poisoned(draft: Draft) -> None:
        for name, columns in (
            ("items.parquet", schema.ITEMS),
            ("interactions.parquet", schema.INTERACTIONS),
            ("impressions.parquet", schema.IMPRESSIONS),
        ):
            table = dataset.table(name)
            if name == "interactions.parquet":
                train = np.array(table.column("split").to_pylist()) == "train"
                ids = np.where(train, table.column("item_id").to_pylist(), smallworld.item_id(60))
                place = table.schema.get_field_index("item_id")
                table = table.set_column(place, "item_id", pa.array(ids.tolist(), pa.string()))
            draft.write_table(name, table, columns)
        draft.facts.update(dataset.facts)

    workspace = Workspace(tmp_path / "ws")
    changed = build(tmp_path / "d", kind="dataset", config={}, inputs={}, write=poisoned, workspace=workspace)
    once = settings.model_copy(update={"sequential": settings.sequential.model_copy(update={"epochs": 1})})
    clean, other = (
        train_sequential(once, d, tmp_path / name, workspace) for d, name in ((dataset, "clean"), (changed, "other"))
    )
    assert other.manifest.files[WEIGHTS].sha256 == clean.manifest.files[WEIGHTS].sha256
    logs = [Dataset.open(d).log for d in (dataset, changed)]
    assert (logs[0].items != logs[1].items).any()
    counts = [Popularity(log.only_train(), 60).count for log in logs]
    np.testing.assert_array_equal(*counts)
    similar = [ItemToItem(log.only_train(), logs[0], 60, decay=0.9, history=6) for log in logs]
    start, end = logs[0].offsets[:-1], logs[0].offsets[1:]
    np.testing.assert_array_equal(*(s(start, end) for s in similar))


def hand_log(rows: list[list[int]]) -> EventLog:
    items = np.concatenate(rows).astype(np.int32)
    return EventLog(
        user_ids=np.array([f"u{u}" for u in range(len(rows))], object),
        offsets=np.cumsum([0, *map(len, rows)]).astype(np.int64),
        items=items,
        timestamps=np.arange(len(items)),
        actions=np.zeros(len(items), np.int8),
        train=np.ones(len(items), bool),
        action_names=("click",),
    )


def test_item_to_item_weighs_the_cosine_to_the_last_items() -> None:
    log = hand_log([[1, 2], [1, 2, 2], [1, 3], [4]])
    scorer = ItemToItem(log, log, 4, decay=0.5, history=2)
    scores = scorer(np.array([0]), np.array([2]))[0]
    one_two, one_three = 2 / np.sqrt(3 * 2), 1 / np.sqrt(3 * 1)
    np.testing.assert_allclose(scores, [one_two, 0.5 * one_two, 0.5 * one_three, 0.0], rtol=1e-6)


def test_wrong_inputs_are_refused_with_a_remedy(dataset: Artifact, settings: RunConfig, tmp_path: Path) -> None:
    def train(**changes: float) -> None:
        wrong = settings.model_copy(update={"sequential": settings.sequential.model_copy(update=changes)})
        train_sequential(wrong, dataset, tmp_path / "out", Workspace(tmp_path / "ws"))

    with pytest.raises(RankingError, match=r"sequential\.heads"):
        train(heads=3)
    with pytest.raises(RankingError, match=r"sequential\.lr"):
        train(lr=1e20, epochs=3)
    with pytest.raises(ArtifactError):
        open_artifact(tmp_path / "out", "sequential")
