"""The offline reasoner reasons from the item that it is given."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.knowledge.answers import parse
from reaseq.llm import AnswerSchema, ChatRequest, LlmError, Message, RequestRefused
from reaseq.llm.offline import OfflineReasoner
from tests.llm.questions import RECORDS, ask

REASONER = OfflineReasoner()


def answer(agent: str, item: Any = None, **blocks: Any) -> dict[str, Any]:
    return dict(json.loads(REASONER.complete(ask(agent, item, **blocks)).text))


def test_it_names_itself_with_the_version_of_what_it_knows() -> None:
    assert REASONER.identity.startswith("offline:reaseq-offline-reasoner-")
    assert REASONER.complete(ask("planner")).model in REASONER.identity


def test_other_questions_are_refused() -> None:
    with pytest.raises(RequestRefused, match="poet"):
        REASONER.complete(ChatRequest(ask("planner").messages, AnswerSchema("poet", {})))
    with pytest.raises(LlmError, match="<item>"):
        REASONER.complete(ChatRequest((Message("user", "hello"),), AnswerSchema("planner", {})))


@pytest.mark.parametrize(
    ("title", "category", "kind"),
    [
        ("Aveeno Positively Radiant Daily Moisturizer SPF 15", ["Skin Care", "Face"], "face moisturizer"),
        ("Argan Oil Shampoo with Keratin for Dry Hair", ["Hair Care"], "shampoo"),
        ("Lincoln Park After Dark 0.5 oz", ["Makeup", "Nails", "Nail Polish"], "nail polish"),
        ("Eau De Parfum Spray for Women, 1.7 oz", ["Skin Care", "Body", "Lotions"], "women's perfume"),
        ("4-Person Camping Tent, Waterproof", [], "tent"),
        ("Noise Cancelling Over Ear Headphones", ["Electronics"], "headphones"),
        ("Grain Free Dry Dog Food, Salmon, 12 lb", ["Pet Supplies", "Dogs"], "dog food"),
        ("Non Stick Frying Pan 28 cm", [], "cookware"),
        ("Toy Story", ["Animation", "Children's", "Comedy"], "animated film"),
    ],
)
def test_the_kind_of_product_is_recognised(title: str, category: list[str], kind: str) -> None:
    assert answer("planner", {"title": title, "category": category})["product"] == kind


def test_each_agent_gives_something_else() -> None:
    item, demand = answer("item_expert"), answer("demand_expert")

    assert "colours the nails" in item["function"]
    assert {"name": "brand", "value": "OPI"} in item["key_attributes"]
    assert {"name": "size", "value": "0.5 oz"} in item["key_attributes"]
    assert demand["demands"][0]["need"] == "salon-looking nails at home"
    assert demand["demands"][0]["complements"]


def test_words_of_the_title_change_the_record() -> None:
    plain = {"title": "Shampoo 12 oz", "category": ["Hair Care"]}
    curly = {"title": "Sulfate Free Shampoo for Curly Hair, Men, 12 oz", "category": ["Hair Care"]}

    assert "defines curls" in answer("item_expert", curly)["function"]
    assert "defines curls" not in answer("item_expert", plain)["function"]
    assert all("men" in d["audience"] for d in answer("demand_expert", curly)["demands"][:1])


def test_what_training_users_bought_with_it_shows_in_the_complements() -> None:
    item = {"title": "Shampoo", "category": ["Hair Care"], "co_bought": ["Velvet Scrunchie Hair Ties, 10 Pack"]}

    assert "hair ties" in answer("demand_expert", item)["demands"][0]["complements"]


def test_an_unknown_product_gets_a_modest_answer() -> None:
    item = {"title": "Qwrtz 3000", "category": ["Zorbs"]}

    assert answer("planner", item)["facets"] == ["category"]
    described = answer("item_expert", item, facets=["category"])
    assert (described["function"], described["category"]) == ([], "Zorbs")
    assert answer("demand_expert", item, facets=["category"])["demands"] == []


CLAIMS = {
    "item.function.0": "colours the nails",
    "item.function.1": "brews coffee",
    "item.function.2": "cures cancer, guaranteed",
    "item.key_attributes.0": "size: 0.5 oz",
    "item.key_attributes.1": "size: 12 gallons",
    "item.style.0": "high quality",
    "item.season": "winter",
    "item.price_tier": "premium",
    "demand.0.need": "salon-looking nails at home",
    "demand.0.audience": "everyone",
    "demand.0.complements.0": "top coat",
    "demand.0.complements.1": "lawn mower",
    "demand.0.complements.2": "nail polish",
}


def test_the_critic_checks_each_field_against_the_item() -> None:
    verdicts = answer("critic", draft=CLAIMS)["verdicts"]
    failed = {field for field, scores in verdicts.items() if 0 in scores}

    assert failed == set(CLAIMS) - {
        "item.function.0", "item.key_attributes.0", "demand.0.need", "demand.0.complements.0"
    }  # fmt: skip
    assert verdicts["item.function.1"][0] == 0  # relevance
    assert verdicts["item.price_tier"][1] == 0  # consistency: no price band is given
    assert verdicts["item.style.0"][2] == 0  # specificity
    assert verdicts["item.key_attributes.1"][3] == 0  # validity


def test_the_critic_sees_that_an_audience_contradicts_the_offer() -> None:
    item = {"title": "Shaving Cream for Men", "category": ["Skin Care"]}
    draft = {"demand.0.audience": "women who shave", "demand.1.audience": "men who shave"}

    verdicts = answer("critic", item, draft=draft)["verdicts"]

    assert verdicts["demand.0.audience"][1] == 0
    assert verdicts["demand.1.audience"][1] == 1


def test_an_expert_asked_again_offers_something_else() -> None:
    first = answer("demand_expert")["demands"][0]["need"]
    again = answer("demand_expert", rejected=[{"field": "demand.0.need", "value": first, "reason": "no"}])

    assert first not in [d["need"] for d in again["demands"]]
    assert again["demands"]


def test_the_arbiter_drops_repetition_and_orphans() -> None:
    candidates = {
        "item.function.0": "controls shine",
        "item.function.1": "shine controls",
        "item.function.2": "removes makeup",
        "demand.0.audience": "people without a need",
        "demand.1.need": "a matte face",
    }

    assert answer("arbiter", candidates=candidates)["keep"] == ["item.function.0", "item.function.2", "demand.1.need"]


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {"title": st.text(max_size=80)},
        optional={
            "category": st.lists(st.text(max_size=20), max_size=3) | st.none() | st.text(max_size=5),
            "brand": st.text(max_size=20) | st.integers(),
            "description": st.text(max_size=80),
            "co_bought": st.lists(st.text(max_size=30) | st.none(), max_size=3),
        },
    ),
    st.sampled_from(["planner", "item_expert", "demand_expert"]),
)
def test_any_text_gets_the_same_valid_answer_twice(item: dict[str, Any], agent: str) -> None:
    first = REASONER.complete(ask(agent, item))

    parse(first, RECORDS[agent])
    assert REASONER.complete(ask(agent, item)) == first
