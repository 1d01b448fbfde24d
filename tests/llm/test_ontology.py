"""The bundled ontology is complete and says nothing twice."""

from pathlib import Path

import pytest

import reaseq.llm.offline
from reaseq.llm.offline.measures import measures
from reaseq.llm.offline.ontology import load_ontology
from reaseq.llm.offline.phrases import PhraseIndex, segments, stem

KNOWN = load_ontology()


def test_it_covers_a_few_hundred_kinds_of_product_in_every_domain() -> None:
    assert len(KNOWN.concepts) >= 300
    domains = {c.domain for c in KNOWN.concepts}
    assert domains >= {
        "skin care", "hair care", "makeup", "nails", "fragrance", "bath & body", "home & kitchen", "sports & outdoors",
        "baby & kids", "pet supplies", "garden & tools", "electronics", "grocery", "fashion", "film", "books",
    }  # fmt: skip


def test_every_concept_has_functions_needs_and_companions() -> None:
    for concept in KNOWN.concepts:
        assert concept.functions and concept.complements, concept.name
        assert concept.words or concept.genres, concept.name
        assert all(n.need and n.audience and n.occasion and n.place and n.pain_point for n in concept.needs), (
            concept.name
        )
        assert concept.season in ("", "spring", "summer", "autumn", "winter"), concept.name
    assert len({c.name for c in KNOWN.concepts}) == len(KNOWN.concepts)


def test_cues_name_domains_that_exist() -> None:
    domains = {c.domain for c in KNOWN.concepts}
    for cue in KNOWN.cues:
        assert cue.domains <= domains, cue.words
        assert cue.attribute or cue.function or cue.need or cue.audience or cue.season or cue.style, cue.words


def test_its_files_stay_readable() -> None:
    for file in Path(reaseq.llm.offline.__file__).parent.rglob("*.yaml"):
        assert len(file.read_text().splitlines()) <= 400, file


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("brushes", "brush"),
        ("lashes", "lash"),
        ("berries", "berry"),
        ("glass", "glass"),
        ("oils", "oil"),
        ("bus", "bus"),
    ],
)
def test_plural_and_singular_are_one_word(plural: str, singular: str) -> None:
    assert stem(plural) == stem(singular) == singular


def test_no_phrase_spans_punctuation() -> None:
    index = PhraseIndex([("nail polish", "a"), ("nail", "b")])

    assert [m.payload for m in index.find(segments("Nail Polishes"))] == [("a",)]
    assert [m.payload for m in index.find(segments("nail, polish"))] == [("b",)]


def test_measures_are_read_from_titles() -> None:
    assert measures("Sunblock SPF 30, 3.4 Fl. Oz (Pack of 2), Pink") == {
        "size": "3.4 oz", "count": "2", "SPF": "30", "colour": "pink"
    }  # fmt: skip
    assert measures("1875 Watt Dryer") == {"power": "1875 W"}
    assert measures("Lip Balm") == {}
