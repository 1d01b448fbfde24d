"""Texts are encoded once in the life of a workspace, whoever asks, and a kill loses one chunk at most."""

import multiprocessing
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from reaseq.representation.encoders import Provenance
from reaseq.representation.encoding import CHUNK, EncodingCache, encode_texts
from reaseq.representation.errors import RepresentationError


class Counting:
    """Encodes a text as its length, counts what it is asked, and dies at a given text."""

    def __init__(self, fatal: str = "", recipe: str = "one") -> None:
        self.provenance = Provenance("counting", "1", 2, recipe)
        self.recipe = recipe
        self.asked: list[str] = []
        self.fatal = fatal

    def encode(self, texts) -> np.ndarray:
        if self.fatal and self.fatal in texts:
            raise KeyboardInterrupt
        self.asked += texts
        return np.array([[len(text), 1] for text in texts], np.float32)

    def save(self, folder: Path) -> None: ...


def encoded(encoder: Counting, texts: list[str], path: Path) -> np.ndarray:
    with EncodingCache(path / "encodings.sqlite") as cache:
        return encode_texts(encoder, texts, cache, "encoding")


def test_each_distinct_text_is_encoded_once(tmp_path: Path) -> None:
    encoder = Counting()

    vectors = encoded(encoder, ["bb", "a", "bb", "ccc", "a"], tmp_path)

    assert vectors.dtype == np.float32
    assert vectors[:, 0].tolist() == [2, 1, 2, 3, 1]
    assert sorted(encoder.asked) == ["a", "bb", "ccc"]


def test_a_later_stage_encodes_only_what_is_new(tmp_path: Path) -> None:
    later = Counting()
    encoded(Counting(), ["a", "bb"], tmp_path)

    vectors = encoded(later, ["ccc", "bb", "a\ud800"], tmp_path)

    assert later.asked == ["a\ud800", "ccc"]
    assert vectors[:, 0].tolist() == [3, 2, 2]


def test_another_recipe_finds_nothing(tmp_path: Path) -> None:
    other = Counting(recipe="two")
    encoded(Counting(), ["a"], tmp_path)

    encoded(other, ["a"], tmp_path)

    assert other.asked == ["a"]


def test_a_killed_encoding_goes_on_where_it_was(tmp_path: Path) -> None:
    texts = [f"text {n:05d}" for n in range(3 * CHUNK)]
    first, second = Counting(fatal=texts[2 * CHUNK + 1]), Counting()
    with pytest.raises(KeyboardInterrupt):
        encoded(first, texts, tmp_path)

    vectors = encoded(second, texts, tmp_path)

    assert len(first.asked) == 2 * CHUNK
    assert second.asked == texts[2 * CHUNK :]
    assert vectors.shape == (3 * CHUNK, 2)


def test_no_texts_give_no_rows(tmp_path: Path) -> None:
    assert encoded(Counting(), [], tmp_path).shape == (0, 2)


def encode_a_share(path: Path, start: int) -> None:
    encoded(Counting(), [f"text {n:05d}" for n in range(start, start + 4 * CHUNK)], path)


def test_processes_may_share_the_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=encode_a_share, args=(tmp_path, n * CHUNK)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 4
    late = Counting()
    encoded(late, [f"text {n:05d}" for n in range(7 * CHUNK)], tmp_path)
    assert late.asked == []


def test_a_file_that_is_no_such_cache_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "encodings.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(RepresentationError, match="move the file away"):
        EncodingCache(tmp_path / "encodings.sqlite")
    with sqlite3.connect(tmp_path / "newer.sqlite") as db:
        db.execute("PRAGMA user_version=9")
    with pytest.raises(RepresentationError, match="layout 9"):
        EncodingCache(tmp_path / "newer.sqlite")


def test_a_vector_of_another_width_is_an_error(tmp_path: Path) -> None:
    encoded(Counting(), ["a"], tmp_path)
    wide = Counting()
    wide.provenance = Provenance("counting", "1", 3, "one")

    with pytest.raises(RepresentationError, match="8 bytes instead of 12"):
        encoded(wide, ["a"], tmp_path)
