"""From rankers to a decision, on the small world with made-up scores and real ONNX models."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from reaseq import config as configuration
from reaseq.artifacts import Artifact, Draft, Workspace, build, open_artifact
from reaseq.evaluation import judging, stage
from reaseq.evaluation.errors import EvaluationError
from reaseq.evaluation.judging import Champion, judge
from reaseq.ranking import scoring
from reaseq.ranking.model import RankerSpec, build_ranker
from tests import smallworld
from tests.evaluation import standins
from tests.serving import standin

CONFIG = configuration.load("tiny", overrides={"evaluation.bootstrap": 60, "evaluation.gate_click_ratio": (0.2, 5.0)})
CONFIG = CONFIG.model_copy(update={"evaluation": CONFIG.evaluation.model_copy(update={"gate_ece": 0.5})})
SIGNALS = {0: 2.0, 1: 2.1, 2: 1.9, 7: 0.6, 9: 3.5}
"""How well the ranker of a seed knows the label; 7 is a poor champion, 9 an excellent one."""


class Scorer(standins.Scorer):
    @property
    def signal(self) -> float:
        return 0.6 if self.bundle.manifest.name == "ranker_id" else SIGNALS[self.bundle.manifest.config["seed"]]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Arguments of `judge`, its rankers first among them, and the folder they are in."""
    root = tmp_path_factory.mktemp("judging")
    workspace = Workspace(root / "workspace")
    inputs = standins.write_all(root, workspace)
    hand_made = standin.write_ranker(root / "hand-made", workspace)
    rankers = [standins.replicate_of(hand_made, root / f"ranker-{n}", workspace, n) for n in SIGNALS]
    inputs["ranker_full"] = rankers[0]
    with pytest.MonkeyPatch.context() as patched:
        standins.stand_in(patched, Scorer)
        evaluation = stage.evaluate(CONFIG, **inputs, out=root / "evaluation", workspace=workspace)
    kept = {name: inputs[name] for name in ("dataset", "item_vectors", "inferred_behaviors")}
    return {**kept, "rankers": rankers, "evaluation": evaluation, "workspace": workspace}, root


@pytest.fixture
def arguments(world, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "Scorer", Scorer)
    made, _ = world
    return made | {"rankers": made["rankers"][:3], "out": tmp_path / "gate", "workspace": Workspace(tmp_path / "w")}


def decided(made: Artifact) -> dict:
    return made.json(judging.GATE)


def test_three_seeds_better_than_the_stand_in_are_promoted(arguments):
    told = decided(judge(CONFIG, **arguments))

    assert told["decision"] == "promote", told["reason"]
    assert told["challenger"]["seeds"] == [0, 1, 2]
    assert "stands in" in told["champion"]["name"]
    assert any("no champion yet" in note for note in told["notes"])
    auc = {check["name"]: check for check in told["checks"]}["auc"]
    assert auc["figure"] == pytest.approx(np.mean(told["challenger"]["auc"]) - told["champion"]["auc"], abs=1e-9)
    assert auc["interval"][0] <= auc["figure"] <= auc["interval"][1]


def test_a_better_champion_is_not_displaced(arguments, world):
    champion = Champion("shop version 5", world[0]["rankers"][4])

    told = decided(judge(CONFIG, **arguments, champion=champion))

    failed = [check["name"] for check in told["checks"] if check["status"] == "fail"]
    assert told["decision"] == "hold"
    assert "auc" in failed
    assert any(name.startswith("bucket.") for name in failed)
    assert told["champion"]["name"] == "shop version 5"


def test_a_champion_that_is_this_ranker_or_of_other_assets_is_said(arguments, world):
    same = Champion("shop version 1", world[0]["rankers"][0])
    told = decided(judge(CONFIG, **arguments, champion=same))
    assert "shop version 1 is this very ranker." in told["notes"]

    other = standin.write_ranker(arguments["out"].parent / "other", arguments["workspace"], seed=7)
    manifest = other.manifest.model_copy(update={"inputs": {"item_vectors": "of last month"}})
    told = decided(judge(CONFIG, **arguments, champion=Champion("shop version 2", Artifact(other.path, manifest))))
    assert any("shop version 2 was made from other data" in note for note in told["notes"])


def test_a_champion_that_could_not_be_opened_holds(arguments):
    told = decided(judge(CONFIG, **arguments, champion=Champion("shop version 2", None, "a byte changed")))

    assert told["decision"] == "hold"
    assert "a byte changed" in told["reason"]
    assert told["champion"]["name"] == "shop version 2"


def untrained(out: Path, workspace: Workspace, items: int, codebook_size: int) -> Artifact:
    """A real ranker's bundle as far as scoring reads it, of the small world's first items."""
    settings = CONFIG.ranking
    spec = RankerSpec(
        items=items, categories=len(smallworld.CATEGORIES), levels=4, codebook_size=codebook_size,
        id_dim=settings.id_dim, content_dim=settings.content_dim, attention_dim=settings.attention_dim,
        hidden=settings.hidden, long_top=settings.long_top, temperature=settings.similarity_temperature,
        gate_bias=settings.gate_bias, variant="full",
    )  # fmt: skip
    rows = items + 1
    tables = {"z": np.zeros((rows, 128)), "codes": np.zeros((rows, 4))}
    tables |= {name: np.zeros(rows) for name in ("category", "counts", "rate")}

    def write(draft: Draft) -> None:
        save_file(
            {name: tensor.numpy() for name, tensor in build_ranker(spec, 0, tables).state_dict().items()},
            draft.path / "model.safetensors",
        )
        names = pa.table({"item_id": [smallworld.item_id(n + 1) for n in range(items)]})
        pq.write_table(names, draft.path / "vocabulary.parquet")
        limits = {"short": 6, "long": 12, "inferred": 5, "levels": 4}
        told = {"variant": "full", "categories": sorted(smallworld.CATEGORIES), "limits": limits}
        draft.write_json("ranker.json", told | {"model": spec.model_dump(mode="json")})

    return build(out, kind="ranker", config={}, inputs={}, write=write, workspace=workspace)


def test_a_champion_of_other_codes_holds_and_the_run_goes_on(arguments, monkeypatch, tmp_path):
    """The small world's vectors have codes of 8, and the champion has 4 of them and lacks ten items."""
    bundle = untrained(tmp_path / "older", arguments["workspace"], items=50, codebook_size=4)
    scorers = {True: scoring.Scorer, False: Scorer}
    monkeypatch.setattr(judging, "Scorer", lambda ranker, *rest: scorers[ranker is bundle](ranker, *rest))

    told = decided(judge(CONFIG, **arguments, champion=Champion("shop version 2", bundle)))

    without = decided(judge(CONFIG, **arguments | {"out": tmp_path / "without"}))
    assert told["decision"] == "hold"
    assert "reads 4 codes of 4 each and the item vectors have 4 of 8" in told["reason"]
    assert told["champion"] == {"name": "shop version 2", "auc": without["champion"]["auc"]}
    assert any("shop version 2 could not be scored" in note for note in told["notes"])
    assert str(tmp_path) not in json.dumps(told), "the decision is the same wherever the champion was brought"


def test_one_seed_is_not_enough(arguments):
    told = decided(judge(CONFIG, **arguments | {"rankers": arguments["rankers"][:1]}))

    assert told["decision"] == "hold"
    assert "1 training seed" in told["reason"]


def test_a_model_that_no_longer_repeats_its_golden_scores_is_held(arguments, world, tmp_path):
    sound = world[0]["rankers"][0]

    def spoil(draft):
        for name in sound.manifest.files:
            (draft.path / name).write_bytes(sound.file(name).read_bytes())
        tensors = load_file(sound.file("golden.safetensors"))
        save_file(tensors | {"0/scores": tensors["0/scores"] + 1e-3}, draft.path / "golden.safetensors")

    spoilt = build(
        tmp_path / "spoilt", kind="ranker", config={}, inputs={}, write=spoil, workspace=arguments["workspace"]
    )

    assert judging.rerun_parity(sound) <= 1e-6
    assert judging.rerun_parity(spoilt) == pytest.approx(1e-3, rel=0.01)


def test_rankers_that_differ_in_more_than_the_seed_are_refused(arguments, tmp_path):
    stranger = standin.write_ranker(tmp_path / "stranger", arguments["workspace"], seed=1, golden=2)

    with pytest.raises(EvaluationError, match="differs in more than its seed"):
        judge(CONFIG, **arguments | {"rankers": [*arguments["rankers"][:2], stranger]})


def test_an_evaluation_of_another_ranker_is_refused(arguments):
    with pytest.raises(EvaluationError, match="not of this ranker"):
        judge(CONFIG, **arguments | {"rankers": arguments["rankers"][::-1]})


def test_the_same_inputs_give_the_same_bytes(arguments, tmp_path):
    first = judge(CONFIG, **arguments)
    again = judge(CONFIG, **arguments | {"out": tmp_path / "again", "workspace": Workspace(tmp_path / "other")})

    assert again.digest == first.digest
    assert open_artifact(tmp_path / "again", "gate").facts["decision"] == "promote"
    json.loads(first.file(judging.GATE).read_text(), parse_constant=pytest.fail)


def test_another_champion_is_another_decision(arguments, world):
    """What the registry holds is part of the artifact's key, so a decision is never taken over from before."""
    first = judge(CONFIG, **arguments)
    poor = judge(CONFIG, **arguments, champion=Champion("shop version 1", world[0]["rankers"][3]))

    assert first.manifest.key != poor.manifest.key


def test_the_confusion_matrix_calls_as_many_positive_as_there_are():
    labels, scores = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.3, 0.2, 0.1])

    told = judging.confusion(labels, scores)

    assert told["counts"] == [[2, 1], [1, 1]]
    assert np.sum(told["counts"]) == 5


def test_buckets_count_training_events_and_the_visible_history(arguments, world, tmp_path):
    scored = judging._score(
        CONFIG, {**world[0], "evaluation": arguments["evaluation"]}, arguments["rankers"], None, tmp_path
    )

    data = stage.Dataset.open(arguments["dataset"])
    shown = data.impressions("test")
    trained = data.log.only_train().items
    assert scored.groups["item_events"].tolist() == [int((trained == item).sum()) for item in shown.item]
    starts = data.log.offsets[shown.user]
    assert scored.groups["history"].tolist() == (shown.end - starts).tolist()
