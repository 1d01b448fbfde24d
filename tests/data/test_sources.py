"""Each family of files, as tiny hand-written copies of what is found in the wild."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from reaseq import config
from reaseq.data.errors import MissingColumnError, SourceMissingError
from reaseq.data.source import Raw
from reaseq.data.sources import open_source
from reaseq.data.validation import validate
from tests.data.conftest import DAY, ITEMS, START, log


def read(dataset: str, folder: Path, **columns: str) -> Raw:
    source = open_source(
        config.load(
            "tiny", overrides={"data.dataset": dataset, "data.source": str(folder), "data.columns": dict(columns)}
        )
    )
    source.check()
    return source.read()


def rows(table, *names):
    return pl.DataFrame(table).select(names).rows()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_tables_read_the_same_in_every_format(tmp_path, ending, packed):
    frames = {"items": pl.read_csv(ITEMS.encode()), "interactions": pl.read_csv(log().encode())}
    for name, frame in frames.items():
        path = tmp_path / f"{name}.{ending}"
        if ending in ("csv", "tsv"):
            frame.write_csv(path, separator="," if ending == "csv" else "\t")
        else:
            {"jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[ending](path)
        if packed:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    clean = validate(read("files", tmp_path))
    assert not clean.bad
    assert clean.items.height == 8
    assert clean.items.row(1) == ("i1", "Product 1", ["Skin", "Face"], "Brand 1", 1.5, None, [])
    assert clean.interactions.height == 80
    assert clean.interactions["timestamp"].min() == (START + 1) * 1_000_000
    assert clean.interactions["row"].to_list() == list(range(1, 81))


def test_columns_can_be_mapped_for_all_tables_or_for_one(tmp_path):
    (tmp_path / "items.csv").write_text("sku,name\na,Soap\n")
    (tmp_path / "interactions.csv").write_text(f"who,sku,when\nu,a,{START}\n")
    raw = read("files", tmp_path, **{"item_id": "sku", "items.title": "name", "user_id": "who", "timestamp": "when"})
    assert rows(raw.items, "item_id", "title") == [("a", "Soap")]
    assert rows(raw.interactions, "user_id", "item_id", "timestamp") == [("u", "a", str(START))]


def test_quoted_fields_may_hold_delimiters_quotes_and_line_breaks(tmp_path):
    (tmp_path / "items.csv").write_text('\ufeffitem_id,title\r\na,"Soap, ""soft""\nand white"\r\nb,Cream\r\n')
    (tmp_path / "interactions.csv").write_text(f"user_id,item_id,timestamp\nu,a,{START}\n")
    clean = validate(read("files", tmp_path))
    assert clean.items["title"].to_list() == ['Soap, "soft" and white', "Cream"]


MOVIELENS = {
    "100k": {
        "u.data": f"1\t10\t5\t{START}\n2\t20\t3\t{START + 1}\n",
        "u.item": "10|Amélie (2001)|01-Jan-2001||http://x|" + "|".join("0001010000000000000") + "\n"
        "20|Solo|||http://y|" + "|".join("1000000000000000000") + "\n",
    },
    "1m": {
        "ratings.dat": f"1::10::5::{START}\n2::20::3::{START + 1}\n",
        "movies.dat": "10::Amélie (2001)::Animation|Comedy\n20::Solo::(no genres listed)\n",
    },
    "20m": {
        "ratings.csv": f"userId,movieId,rating,timestamp\n1,10,5.0,{START}\n2,20,3.0,{START + 1}\n",
        "movies.csv": 'movieId,title,genres\n10,"Amélie (2001)",Animation|Comedy\n20,Solo,(no genres listed)\n',
    },
    "recbole": {
        "ml.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        f"1\t10\t5\t{START}\n2\t20\t3\t{START + 1}.0\n",
        "ml.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "10\tAmélie\t2001\tAnimation Comedy\n20\tSolo\t\t\n",
    },
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("family", MOVIELENS)
def test_every_movielens_family_gives_the_same_tables(tmp_path, family, packed):
    for name, text in MOVIELENS[family].items():
        data = text.encode("iso-8859-1" if family in ("100k", "1m") else "utf-8")
        (tmp_path / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    clean = validate(read("movielens", tmp_path))
    assert not clean.bad
    assert clean.items.select("item_id", "title", "category", "attributes").rows() == [
        ("10", "Amélie", ["Animation", "Comedy"], ["2001", "Animation", "Comedy"]),
        ("20", "Solo", [], []),
    ]
    assert clean.interactions.select("user_id", "item_id", "timestamp", "rating", "action").rows() == [
        ("1", "10", START * 1_000_000, 5.0, "rating"),
        ("2", "20", (START + 1) * 1_000_000, 3.0, "rating"),
    ]


def test_a_folder_without_movielens_says_what_it_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(SourceMissingError, match=r"u\.data, ratings\.dat, ratings\.csv, \*\.inter.*notes\.txt"):
        read("movielens", tmp_path)


AMAZON = {
    2014: (
        [{"reviewerID": "A1", "asin": "B1", "overall": 5.0, "unixReviewTime": START, "reviewText": "secret"}],
        [
            "{'asin': 'B1', 'title': 'L&#39;Eau', 'price': 12.5, 'brand': 'X', "
            "'categories': [['Beauty', 'Fragrance']]}",
            json.dumps({"asin": "B2", "title": "Not in the log", "categories": [["Beauty"]]}),
        ],
    ),
    2023: (
        [{"user_id": "A1", "parent_asin": "B1", "rating": 5.0, "timestamp": START * 1000, "text": "secret"}],
        [
            json.dumps(
                {
                    "parent_asin": "B1",
                    "title": "L'Eau",
                    "main_category": "Beauty",
                    "categories": ["Fragrance"],
                    "store": "X",
                    "price": "$12.50",
                    "description": ["Fresh.", "Light."],
                    "features": ["50 ml"],
                }
            ),
            json.dumps({"parent_asin": "B2", "title": "Not in the log"}),
        ],
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("year", AMAZON)
def test_both_amazon_releases_are_told_apart_and_read(tmp_path, year, packed):
    reviews, metadata = AMAZON[year]
    files = {"Beauty.jsonl": "\n".join(map(json.dumps, reviews)), "meta_Beauty.jsonl": "\n".join(metadata)}
    for name, text in files.items():
        data = (text + "\n").encode()
        (tmp_path / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    raw = read("amazon-reviews", tmp_path)
    clean = validate(raw)
    assert not clean.bad
    assert raw.facts == {"release": year, "products_outside_log": 1}
    assert clean.items.select("item_id", "title", "category", "brand", "price").rows() == [
        ("B1", "L'Eau", ["Beauty", "Fragrance"], "X", 12.5)
    ]
    assert clean.interactions.select("user_id", "timestamp", "rating").rows() == [("A1", START * 1_000_000, 5.0)]
    assert "secret" not in str(raw)


def test_amazon_needs_exactly_one_file_of_each_kind(tmp_path):
    (tmp_path / "Beauty.jsonl").write_text("{}\n")
    with pytest.raises(SourceMissingError, match=r"meta_\*.*Beauty\.jsonl"):
        read("amazon-reviews", tmp_path)


def test_amazon_reviews_without_their_keys_name_the_missing_one(tmp_path):
    (tmp_path / "Beauty.jsonl").write_text('{"stars": 5}\n')
    (tmp_path / "meta_Beauty.jsonl").write_text('{"asin": "B1"}\n')
    with pytest.raises(MissingColumnError, match="'reviewerID'"):
        read("amazon-reviews", tmp_path)


def beauty(folder: Path) -> Path:
    attributes = [
        ["OPI", "Makeup", "Nails"],
        ["Unknown", "Skin Care"],
        ["Hair Care", "Sprays"],
        ["L&#39;Oreal", "Makeup"],
    ]
    items = [{"item": n, "asin": f"B{n}", "title": f"T{n}", "attributes": a} for n, a in enumerate(attributes, 1)]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, items)) + "\n")
    (folder / "interactions.csv").write_text(f"user,item,timestamp\n1,2,{START}\n1,1,{START}\n")
    return folder


def test_beauty_tells_brands_from_categories(tmp_path):
    clean = validate(read("amazon-beauty", beauty(tmp_path)))
    assert clean.items.select("item_id", "brand", "category", "attributes").rows() == [
        ("1", "OPI", ["Makeup", "Nails"], ["OPI", "Makeup", "Nails"]),
        ("2", None, ["Skin Care"], ["Skin Care"]),
        ("3", None, ["Hair Care", "Sprays"], ["Hair Care", "Sprays"]),
        ("4", "L'Oreal", ["Makeup"], ["L'Oreal", "Makeup"]),
    ]


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        (lambda s: str(s), "s"),
        (lambda s: f"{s}.0", "s"),
        (lambda s: str(s * 1000), "ms"),
        (lambda s: str(s * 1_000_000), "us"),
        (lambda s: str(s * 1_000_000_000), "ns"),
    ],
)
def test_the_unit_of_times_is_told_by_their_size(tmp_path, written, unit):
    (tmp_path / "items.csv").write_text("item_id,title\na,Soap\n")
    lines = [f"u,a,{written(START + n * DAY)}" for n in range(3)]
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    clean = validate(read("files", tmp_path))
    assert clean.timestamp_unit == unit
    assert clean.interactions["timestamp"].to_list() == [(START + n * DAY) * 1_000_000 for n in range(3)]


def test_iso_times_are_read_with_and_without_a_zone(tmp_path):
    (tmp_path / "items.csv").write_text("item_id,title\na,Soap\n")
    times = ["2020-09-13", "2020-09-13T12:26:40Z", "2020-09-13 12:26:40.5", "2020-09-13T14:26:40+02:00", "13/09/2020"]
    lines = [f"u{n},a,{time}" for n, time in enumerate(times)]
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    clean = validate(read("files", tmp_path))
    midnight = START - START % DAY
    assert clean.interactions["timestamp"].to_list() == [
        midnight * 1_000_000,
        START * 1_000_000,
        START * 1_000_000 + 500_000,
        START * 1_000_000,
    ]
    assert [(row.reason, row.value) for row in clean.bad] == [("bad_timestamp", "13/09/2020")]
