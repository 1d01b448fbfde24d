"""Text from the data on its way into a plot, and into a line of a page."""

import pytest

from reaseq.evaluation.drawing import Texts, svg
from reaseq.evaluation.pages import displayed
from tests.evaluation.hostile import HOSTILE, Page


def drawn(*titles: str) -> str:
    texts = Texts()

    def draw(axes) -> None:
        axes[0].set_yticks(range(len(titles)), [texts.stand_in(title, 200) for title in titles])

    return svg("titles", draw, size=(24, 3), texts=texts)


def test_text_in_a_plot_is_escaped_and_whole():
    titles = [HOSTILE, "@0000", "@0001nnn", '" id="x" href="#y" url(#z) #010203', "雪のクリーム"]

    page = Page(drawn(*titles))

    for title in titles:
        assert title in page.text
    assert not {"script", "img"} & set(page.tags)


@pytest.mark.filterwarnings("error")
def test_text_that_no_font_here_has_draws_without_a_warning():
    assert "雪のクリーム" in drawn("雪のクリーム")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb\x00c", "a[31mbc"),
        ("left\u202eright\u200b\ufeff", "leftright"),
        (" two \n\t words ", "two words"),
        ("नमस्\u200dते", "नमस्\u200dते"),
        ("x" * 11, "x" * 9 + "…"),
        ("x" * 10, "x" * 10),
        ("\x01" * 10_000 + "x", ""),
    ],
)
def test_a_line_for_a_person_holds_nothing_invisible_and_is_cut(text, shown):
    assert displayed(text, 10) == shown
