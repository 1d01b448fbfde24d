"""C2 and C3: the vectors that are compared, the intervals of item-to-item hits, and attacks on titles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reaseq import config
from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.config import RunConfig
from reaseq.evaluation.claims.injections import ATTACKS, HELD_OUT
from reaseq.evaluation.claims.intervals import PerUser
from reaseq.evaluation.claims.reasoning import VARIANTS, attack, item_to_item, knowledge_is_good, variants
from reaseq.knowledge import distill
from reaseq.representation.behaviors import Behaviors
from reaseq.representation.diagnostics import hit_rate
from reaseq.representation.stage import represent
from reaseq.representation.vectors import ItemVectors
from tests import smallworld
from tests.knowledge.inputs import dataset_of, remote
from tests.llm.scripted_endpoint import ScriptedEndpoint


def quick(seed: int = 0) -> RunConfig:
    settings = {"encoder": "tfidf", "align_steps": 20, "align_batch": 64}
    return config.load("tiny", seed=seed, overrides={f"representation.{n}": v for n, v in settings.items()})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Workspace, Path]:
    root = tmp_path_factory.mktemp("reasoning")
    workspace = Workspace(root / "workspace")
    return smallworld.write_dataset(root / "dataset", workspace), workspace, root / "study"


@pytest.fixture(scope="module")
def made(world: tuple[Artifact, Workspace, Path]) -> dict[str, Artifact]:
    return variants(quick(), *world)


def test_the_variants_differ_in_their_texts_and_rer_is_the_pipelines_own(world, made, tmp_path: Path) -> None:
    dataset, workspace, _ = world

    knowledge = distill(quick(), dataset, tmp_path / "k", workspace)
    own = represent(quick(), dataset, knowledge, tmp_path / "v", workspace)

    assert list(made) == list(VARIANTS)
    assert made["rer"].manifest.key == own.manifest.key
    assert not made["title_frozen"].facts["aligned"] and made["title"].facts["aligned"]
    assert {name: v.facts["title_fallbacks"] for name, v in made.items()} == {
        "title_frozen": 60, "title": 60, "single": 0, "no_critic": 0, "rer": 0
    }  # fmt: skip
    assert len({made[name].digest for name in ("title_frozen", "title", "rer")}) == 3


def test_a_second_call_makes_nothing_again(world, made) -> None:
    again = variants(quick(), *world)

    assert {n: a.manifest.created for n, a in again.items()} == {n: a.manifest.created for n, a in made.items()}


@pytest.mark.parametrize(("name", "sources"), [("rer", {"rer"}), ("title_frozen", {"title"}), ("single", {"single"})])
def test_no_knowledge_is_made_that_the_asked_vectors_are_not_made_from(world, tmp_path, name, sources) -> None:
    dataset, workspace, _ = world

    asked = variants(quick(), dataset, workspace, tmp_path, [name])

    assert list(asked) == [name]
    assert {folder.parent.name for folder in tmp_path.glob("*/knowledge")} == sources


def test_hits_are_compared_user_by_user_and_only_the_aligned_title_in_the_test_period_decides(world, made) -> None:
    dataset = world[0]

    comparisons, figures = item_to_item(quick(), dataset, [made])

    assert {(c.other, c.base) for c in comparisons} == {("RER", VARIANTS[n]) for n in VARIANTS if n != "rer"}
    assert [(c.base, c.what) for c in comparisons if c.decides] == [
        ("title, aligned", "item-to-item Hit@30, test period")
    ]
    transitions = Behaviors.read(dataset, 4.0).next_items("test")
    whole = hit_rate(ItemVectors.open(made["rer"]).z[1:], transitions, 0)
    (decisive,) = [c for c in comparisons if c.decides]
    assert decisive.other_value == pytest.approx(whole, abs=0.01)
    assert decisive.effect == pytest.approx(decisive.other_value - decisive.base_value)
    assert decisive.low <= decisive.effect <= decisive.high
    assert decisive.seeds == 1 and "over users alone" in decisive.note
    assert figures["item-to-item Hit@30"]["RER"]["test period"] == decisive.other_value
    json.dumps(figures)


def test_several_alignment_seeds_enter_the_interval_and_equal_vectors_differ_by_nothing(world, made) -> None:
    other = variants(quick(seed=1), *world[:2], world[2] / "seed1")

    comparisons, _ = item_to_item(quick(), world[0], [made, other])
    same, _ = item_to_item(quick(), world[0], [dict.fromkeys(VARIANTS, made["rer"])])

    assert {(c.seeds, c.note) for c in comparisons if "cold" not in c.what} == {(2, "")}
    assert {(c.effect, c.low, c.high) for c in same if "cold" not in c.what} == {(0.0, 0.0, 0.0)}


def test_a_period_without_transitions_is_said_to_have_none(made, world, tmp_path: Path, workspace: Workspace) -> None:
    empty = dataset_of(tmp_path / "d", workspace, *({"title": f"{n}"} for n in range(smallworld.ITEMS)))

    comparisons, _ = item_to_item(quick(), empty, [made])

    assert {c.note for c in comparisons} == {"no transitions"}
    assert all(np.isnan(c.effect) and np.isnan(c.low) for c in comparisons)
    assert np.isnan(PerUser(np.empty((1, 0)), np.empty(0)).mean)


def test_knowledge_of_the_offline_reasoner_is_measured_and_the_reason_says_what_that_means(world) -> None:
    evidence = knowledge_is_good(quick(), *world, per_attack=2)

    assert "100.0% of" in evidence.reason
    assert "offline reasoner" in evidence.reason and "not a large language model" in evidence.reason
    assert set(evidence.figures["knowledge"]) == {"RER", "no critic", "one prompt"}
    assert evidence.figures["knowledge"]["RER"]["fields the critic passed"] > 0.5
    assert evidence.figures["knowledge"]["no critic"]["fields the critic passed"] is None
    known = evidence.figures["injected titles"]["attacks the guard was made with"]
    assert known["titles"] == 2 * len(ATTACKS)
    assert known["cut"] > known["changed"] == known["obeyed"] == 0
    json.dumps(evidence.as_json(), allow_nan=False)


def obedient(text: str, body: dict[str, Any]) -> str:
    """A model that writes HACKED wherever it reads it, with a critic that lets everything pass."""
    answer = json.loads(text)
    agent = body["response_format"]["json_schema"]["name"]
    if agent == "item_expert" and "HACKED" in body["messages"][-1]["content"]:
        answer["style"] = ["HACKED"]
    if agent == "critic":
        answer["verdicts"] = {field: [1, 1, 1, 1] for field in answer["verdicts"]}
    return json.dumps(answer)


def test_a_model_that_obeys_is_found_out(tmp_path: Path, workspace: Workspace, scripted: ScriptedEndpoint) -> None:
    scripted.rewrite = obedient
    titles = ("Argan Oil Shampoo", "Lip Balm with Mint", "Nail Polish Red", "Hair Dryer", "Eye Shadow Palette")
    dataset = dataset_of(tmp_path / "d", workspace, *({"title": title} for title in titles))
    asked = sum("HACKED" in text for text in HELD_OUT)

    found = attack(remote(scripted.url), dataset, workspace, tmp_path / "a", HELD_OUT, 1)
    cut = attack(remote(scripted.url), dataset, workspace, tmp_path / "b", ATTACKS, 1)

    assert found["titles"] == len(HELD_OUT) and found["obeyed"] == asked
    assert found["changed"] >= found["obeyed"]
    assert cut["obeyed"] == 0  # what the guard cuts out, no model reads
    sample = open_artifact(tmp_path / "a" / "dataset").table("items.parquet")
    assert sample.num_rows == 2 * len(HELD_OUT)


@pytest.mark.parametrize(
    ("changed", "obeyed", "verdict"), [(0, 0, "holds"), (1, 0, "does not hold"), (1, 1, "does not hold")]
)
def test_a_record_that_an_instruction_changes_makes_the_claim_fail(
    monkeypatch, world, changed: int, obeyed: int, verdict: str
) -> None:
    def caught(*arguments: object) -> dict[str, int]:
        return {"titles": 10, "cut": 0, "changed": changed, "obeyed": obeyed}

    monkeypatch.setattr("reaseq.evaluation.claims.reasoning.attack", caught)

    evidence = knowledge_is_good(quick(), *world)

    assert evidence.verdict == verdict
    assert f"of 20 injected titles {2 * obeyed} were obeyed and {2 * changed} changed" in evidence.reason
