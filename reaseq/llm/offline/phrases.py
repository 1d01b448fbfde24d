"""Words and phrases of a text, and where known phrases occur in it.

Plural and singular are one word, accents and possessives are dropped, and punctuation ends a segment: in "Shampoo, Pack
of 2 (for dry hair)" no phrase spans a comma or a bracket.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")

_WORD_OR_END = re.compile(r"[a-z0-9]+(?:\.[0-9]+)?|[,;:()\[\]|/+.!?–—]")
_POSSESSIVE = re.compile(r"['’`]s?\b")
_LONGEST = 5  # words in a phrase


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """The singular of a lower-case word, by spelling alone."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    return word[:-1]


def segments(text: str) -> list[list[str]]:
    """The stemmed words of a text, one list per segment; empty segments are left out."""
    text = text.lower()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    text = _POSSESSIVE.sub("", text.replace("w/", " with ").replace("&", " and "))
    found: list[list[str]] = [[]]
    for token in _WORD_OR_END.findall(text):
        if token[0].isalnum():
            found[-1].append(stem(token))
        elif found[-1]:
            found.append([])
    return [words for words in found if words]


@lru_cache(maxsize=100_000)
def phrase(text: str) -> str:
    """The canonical form of one phrase: its stemmed words joined by blanks."""
    return " ".join(word for words in segments(text) for word in words)


@dataclass(frozen=True)
class Match(Generic[T]):
    """A known phrase in a text: words `start:end` of segment `segment`, and what it stands for."""

    segment: int
    start: int
    end: int
    payload: tuple[T, ...]

    @property
    def words(self) -> int:
        return self.end - self.start


class PhraseIndex(Generic[T]):
    """Finds known phrases, the longest first from left to right, without overlap."""

    def __init__(self, entries: Iterable[tuple[str, T]]):
        """entries: phrase as written, what it stands for."""
        self._payloads: dict[str, tuple[T, ...]] = {}
        self._longest: dict[str, int] = {}  # first word → words of the longest phrase that starts with it
        for text, payload in entries:
            key = phrase(text)
            if not key:
                continue
            words = key.split()
            known = self._payloads.get(key, ())
            if payload not in known:
                self._payloads[key] = (*known, payload)
            self._longest[words[0]] = max(self._longest.get(words[0], 0), min(len(words), _LONGEST))

    def __contains__(self, text: str) -> bool:
        return phrase(text) in self._payloads

    def find(self, text: list[list[str]]) -> list[Match[T]]:
        """Matches in the segments that `segments` gave, in reading order."""
        found = []
        for number, words in enumerate(text):
            position = 0
            while position < len(words):
                longest = self._longest.get(words[position], 0)
                for length in range(min(longest, len(words) - position), 0, -1):
                    payload = self._payloads.get(" ".join(words[position : position + length]))
                    if payload is not None:
                        found.append(Match(number, position, position + length, payload))
                        position += length
                        break
                else:
                    position += 1
        return found
