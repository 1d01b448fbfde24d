"""Views as named fields, and the texts made of them."""

from hypothesis import given
from hypothesis import strategies as st

from reaseq.knowledge.answers import Attribute, DemandAnswer, DemandEntry, ItemAnswer
from reaseq.knowledge.canonical import demand_text, item_text
from reaseq.knowledge.tokens import count_tokens, first_tokens
from reaseq.knowledge.views import Views

WORDS = st.text("abc de", max_size=12)
ITEM = st.builds(
    ItemAnswer, reasoning=WORDS, function=st.lists(WORDS, max_size=4), style=st.lists(WORDS, max_size=3),
    category=WORDS, key_attributes=st.lists(st.builds(Attribute, name=WORDS, value=WORDS), max_size=8),
    season=st.sampled_from(["all", "summer"]), price_tier=st.sampled_from(["unknown", "mid"]),
)  # fmt: skip
ENTRY = st.builds(
    DemandEntry, need=WORDS, audience=WORDS, occasion=WORDS, place=WORDS, pain_point=WORDS,
    complements=st.lists(WORDS, max_size=3),
)  # fmt: skip
DEMAND = st.builds(DemandAnswer, reasoning=WORDS, demands=st.lists(ENTRY, max_size=4))
VIEWS = st.builds(lambda item, demand: Views.of(item, demand, str.strip), ITEM, DEMAND)


@given(VIEWS)
def test_keeping_every_field_keeps_everything(views: Views) -> None:
    assert views.only(set(views.fields())) == views


@given(VIEWS, st.data())
def test_only_what_is_kept_remains_and_a_demand_needs_its_need(views: Views, data: st.DataObject) -> None:
    fields = views.fields()
    kept = set(data.draw(st.lists(st.sampled_from(sorted(fields)), unique=True))) if fields else set()

    rest = views.only(kept)

    assert set(rest.fields().values()) <= {fields[name] for name in kept}
    assert len(rest.demands) == sum(name.endswith(".need") for name in kept)


@given(VIEWS, VIEWS)
def test_joined_views_make_a_record_within_the_limits(one: Views, other: Views) -> None:
    item, demands = one.join(other).record()

    assert len(item.function) <= 4 and len(item.key_attributes) <= 8 and len(item.style) <= 3 and len(demands) <= 4
    assert one.join(one) == one


@given(VIEWS, st.integers(8, 96))
def test_canonical_texts_keep_to_their_tokens_and_cut_at_phrases(views: Views, limit: int) -> None:
    item, demands = views.record()
    for text, told in ((item_text(item, limit), item_text(item, 10**6)), (demand_text(demands, limit), "")):
        assert count_tokens(text) <= limit
        assert not told or limit < count_tokens(told) or text == told


def test_the_texts_put_what_matters_first() -> None:
    item, demands = Views(
        {"category": ["nails: nail polish"], "function": ["colours the nails"], "key_attributes": ["size: 0.5 oz"]},
        [{"need": "neat hands", "audience": "women", "occasion": "date", "place": "", "pain_point": "chips"}],
        [["top coat"]],
    ).record()

    assert item_text(item, 96) == "nails: nail polish. It colours the nails. Attributes: size 0.5 oz."
    assert demand_text(demands, 96) == "Need: neat hands (women). Against: chips. When: date. Goes with: top coat."
    assert demand_text(demands, 9) == "Need: neat hands (women)."


@given(st.text("ab .,x", max_size=200), st.integers(1, 50))
def test_first_tokens_is_a_prefix_within_the_limit(text: str, limit: int) -> None:
    first = first_tokens(text, limit)

    assert count_tokens(first) <= limit
    assert " ".join(text.split()).startswith(" ".join(first.split()))
