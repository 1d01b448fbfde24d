"""Item text is data, never instruction.

`clean` makes seller text safe to show to a model: markup, role tokens, invisible and control characters are taken out,
and sentences that speak to a model instead of a customer are cut and reported. `objection` looks at what came back: a
field that holds a link, a role token or an instruction is evidence that text was obeyed.

Cutting before asking is the stronger half: an instruction that no model reads can't change a record. The pattern list
is finite, so the other half stays: delimited JSON, strict schemas, the critic, and the arbiter that can only choose.
"""

import html
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from reaseq.knowledge.patterns import CONTINUES, INSTRUCTION, JSON, LINK, ROLE_SPEECH, ROLE_TOKEN, TAG, TERMINAL, UNIT

_EMPTY_BRACKETS = re.compile(r"\(\s*\)|\[\s*\]|\{\s*\}")
_DANGLING = re.compile(r"[\s,;:|–—\-({\[\"“]+$")
_DROPPED = frozenset(("Cc", "Cf", "Co", "Cs", "Cn"))
_MASK = 60  # characters of a cut that are reported


@dataclass(frozen=True)
class Cleaned:
    """Safe text, and what was cut from it because it spoke to a model."""

    text: str
    cuts: tuple[str, ...] = ()


def clean(text: str | None, longest: int = 2000) -> Cleaned:
    """Text of a seller as data: one line, at most `longest` characters, without instructions."""
    if not text:
        return Cleaned("")
    text = TERMINAL.sub(" ", text[: 4 * longest])
    if not text.isascii() or "&" in text:
        text = unicodedata.normalize("NFKC", html.unescape(html.unescape(text)))
    if not (text.isascii() and text.isprintable()):
        text = _visible(text)
    if "<" in text or "[" in text or "#" in text or "`" in text or ":" in text or "BEGIN" in text or "END" in text:
        text = ROLE_TOKEN.sub("\n", ROLE_SPEECH.sub("\n", text))
        text = TAG.sub(" ", text)
    if "{" in text or '"' in text or "'" in text:
        text = JSON.sub("\n", text)
    if "." in text or "@" in text or ":" in text:
        text = LINK.sub(" ", text)
    cuts: tuple[str, ...] = ()
    if INSTRUCTION.search(text):
        text, cuts = _cut(text)
    text = " ".join(_EMPTY_BRACKETS.sub(" ", text).split())
    if len(text) > longest:
        text = text[:longest].rsplit(" ", 1)[0]
    # An end mark says nothing, and a title must read the same whether or not something was cut behind it.
    return Cleaned(text.rstrip(" .;,:|"), cuts)


@lru_cache(maxsize=1 << 16)  # models repeat themselves
def objection(text: str) -> str:
    """Why a field that a model wrote can't be taken over; empty if it can."""
    if ROLE_TOKEN.search(text) or TAG.search(text):
        return "role token or markup"
    if INSTRUCTION.search(text):
        return "instruction"
    if LINK.search(text):
        return "link"
    if JSON.search(text) or any(unicodedata.category(c) in _DROPPED for c in text):
        return "control characters or code"
    return ""


def _visible(text: str) -> str:
    """Without control, format (bidi, zero-width, tag), private-use and unassigned characters; line ends stay."""
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if character == "\n" or category in ("Zl", "Zp"):
            kept.append("\n")
        elif character in "\t\r\v\f":
            kept.append(" ")
        elif category not in _DROPPED:
            kept.append(character)
    return "".join(kept)


def _cut(text: str) -> tuple[str, tuple[str, ...]]:
    """Take out what speaks to a model: from such words to the end of their sentence, and what continues it."""
    kept, cuts, speaking = [], [], False
    for number, unit in enumerate(UNIT.split(text)):
        if number % 2:  # a delimiter
            kept.append("\n" if "\n" in unit else unit)
            continue
        match = INSTRUCTION.search(unit)
        if match:
            kept.append(_DANGLING.sub("", unit[: match.start()]) if not speaking else "")
            cuts.append(unit[match.start() :].strip()[:_MASK])
            speaking = True
        elif speaking and CONTINUES.match(unit):
            cuts.append(unit.strip()[:_MASK])
        else:
            kept.append(unit)
    rest = _EMPTY_BRACKETS.sub(" ", "".join(kept))
    return _DANGLING.sub("", rest), tuple(cuts)
