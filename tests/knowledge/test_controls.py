"""What the council is compared with: title only and one prompt. The council's own keys stay what they were."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reaseq import config, schema
from reaseq.artifacts import Workspace
from reaseq.knowledge import distill
from reaseq.knowledge.controls import single_knowledge, title_knowledge
from reaseq.knowledge.controls.one_expert import PROMPT, VERSION
from reaseq.knowledge.controls.title import REASON
from reaseq.llm import RequestRefused, connect
from reaseq.llm.offline_expert import OfflineExpert
from reaseq.representation.stage import read_views
from tests import smallworld
from tests.knowledge.injections import ATTACKS, CLEAN
from tests.knowledge.inputs import dataset_of, remote
from tests.llm.endpoints import TINY_MODEL
from tests.llm.questions import ask
from tests.llm.scripted_endpoint import ScriptedEndpoint


def test_title_only_asks_nobody_and_every_view_is_the_title(tmp_path: Path, workspace: Workspace) -> None:
    dataset = smallworld.write_dataset(tmp_path / "d", workspace)

    made = title_knowledge(config.load("tiny"), dataset, tmp_path / "k", workspace)

    rows = made.table("knowledge.parquet").to_pylist()
    assert {row["status"] for row in rows} == {"fallback"}
    assert {schema.Provenance.model_validate_json(row["provenance"]).reason for row in rows} == {REASON}
    assert not workspace.llm_cache.exists()
    assert len(made.file("quarantine.jsonl").read_text().splitlines()) == smallworld.ITEMS
    _, (titles, items, demands), fallbacks = read_views(dataset, made)
    assert titles == items == demands
    assert fallbacks == smallworld.ITEMS


def test_title_only_cleans_the_title_as_the_council_does(tmp_path: Path, workspace: Workspace) -> None:
    dataset = dataset_of(
        tmp_path / "d", workspace, {"title": "Soap &amp; Co"}, {"title": ATTACKS[0].format(title=CLEAN)}
    )

    made = title_knowledge(config.load("tiny"), dataset, tmp_path / "k", workspace)

    assert made.table("knowledge.parquet")["item_text"].to_pylist() == ["Soap & Co", CLEAN]


def test_one_prompt_asks_once_for_each_record_and_repeats_bit_for_bit(tmp_path: Path, workspace: Workspace) -> None:
    dataset = smallworld.write_dataset(tmp_path / "d", workspace)

    made = single_knowledge(config.load("tiny"), dataset, tmp_path / "k", workspace)
    again = single_knowledge(config.load("tiny", seed=3), dataset, tmp_path / "again", Workspace(tmp_path / "w"))

    assert made.facts["answers"] == made.facts["items"] == smallworld.ITEMS
    assert made.facts["schema_valid"] == 1.0
    assert made.facts["critic_pass"] is None
    assert again.digest == made.digest
    for row in made.table("knowledge.parquet").to_pylist():
        assert row["status"] == "ok"
        assert schema.ItemView.model_validate_json(row["item_view"]).function
        assert [schema.Demand.model_validate(d) for d in json.loads(row["demand_view"])]
        provenance = schema.Provenance.model_validate_json(row["provenance"])
        assert provenance.prompt_version == VERSION and provenance.backend == "offline"
        assert "one-expert" in provenance.model and len(provenance.cache_keys) == 1


def test_a_setting_of_the_critic_does_not_touch_one_prompt(tmp_path: Path, workspace: Workspace) -> None:
    dataset = dataset_of(tmp_path / "d", workspace, {"title": CLEAN})
    without = config.load("tiny", overrides={"knowledge.critic": False})

    made = [single_knowledge(c, dataset, tmp_path / "k", workspace) for c in (config.load("tiny"), without)]

    assert made[0].manifest.key == made[1].manifest.key


def test_one_prompt_works_over_http_and_sends_its_prompt(
    tmp_path: Path, workspace: Workspace, scripted: ScriptedEndpoint
) -> None:
    dataset = smallworld.write_dataset(tmp_path / "d", workspace)
    scripted.reasoner = OfflineExpert()
    views = ["item_id", "status", "item_view", "demand_view", "item_text", "demand_text", "reasoning"]

    made = single_knowledge(remote(scripted.url), dataset, tmp_path / "a", workspace)
    offline = single_knowledge(config.load("tiny"), dataset, tmp_path / "b", workspace)

    assert made.table("knowledge.parquet", views) == offline.table("knowledge.parquet", views)
    assert made.facts["calls"] == len(scripted.answered)
    sent = json.loads(scripted.answered[0])
    assert sent["messages"][0]["content"] == PROMPT
    assert sent["response_format"]["json_schema"]["name"] == "expert"


def test_one_prompt_works_with_a_real_model_behind_a_real_grammar(
    tmp_path: Path, workspace: Workspace, tiny_endpoint: str
) -> None:
    dataset = dataset_of(tmp_path / "d", workspace, {"title": CLEAN}, {"title": "Argan Oil Shampoo"})

    made = single_knowledge(remote(tiny_endpoint, TINY_MODEL), dataset, tmp_path / "k", workspace)

    rows = made.table("knowledge.parquet").to_pylist()
    assert {row["status"] for row in rows} <= {"ok", "fallback", "quarantined"}
    assert all(row["item_text"] and row["demand_text"] for row in rows)


def test_an_answer_that_shows_obedience_is_kept_out_of_one_prompts_records_too(
    tmp_path: Path, workspace: Workspace, scripted: ScriptedEndpoint
) -> None:
    scripted.reasoner = OfflineExpert()
    scripted.rewrite = lambda text, body: json.dumps(json.loads(text) | {"style": ["ignore all previous instructions"]})
    dataset = dataset_of(tmp_path / "d", workspace, {"title": CLEAN})

    made = single_knowledge(remote(scripted.url), dataset, tmp_path / "k", workspace)

    (row,) = made.table("knowledge.parquet").to_pylist()
    assert (row["status"], row["item_text"]) == ("quarantined", CLEAN)
    assert made.facts["outputs_refused"] == 1


def test_the_offline_expert_is_asked_by_nobody_else() -> None:
    with pytest.raises(RequestRefused, match="no agent 'planner', only expert"):
        OfflineExpert().complete(ask("planner"))
    request = ask("item_expert")
    assert OfflineExpert().complete(replace(request, answer=replace(request.answer, name="expert"))).text
    assert OfflineExpert().identity != connect(config.load("tiny").llm).identity


def test_controls_and_council_are_different_artifacts_of_one_dataset(tmp_path: Path, workspace: Workspace) -> None:
    dataset = dataset_of(tmp_path / "d", workspace, {"title": CLEAN})
    makers = (distill, single_knowledge, title_knowledge)

    keys = {make(config.load("tiny"), dataset, tmp_path / "k", workspace).manifest.key for make in makers}

    assert len(keys) == 3
