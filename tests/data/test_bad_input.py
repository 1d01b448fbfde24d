"""Bad input: named, counted, and quarantined or refused; never a traceback from the inside."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from reaseq.data import BadRowsError, DataError, MissingColumnError, SourceMissingError, SplitError, stage
from reaseq.data.text import DESCRIPTION_LENGTH, TITLE_LENGTH
from tests.data.conftest import ITEMS, START, log, quarantine


def test_a_clean_source_has_nothing_in_quarantine(ingested):
    dataset = ingested()
    assert quarantine(dataset) == []
    assert dataset.facts["quarantined"] == {}
    assert dataset.facts["counts"]["rows_read"] == {"items": 8, "interactions": 80}


@pytest.mark.parametrize("settings", [{"source": "/nowhere/at/all"}, {"source": ""}])
def test_a_missing_folder_is_named_with_the_remedy(configured, settings):
    with pytest.raises(SourceMissingError, match=r"data\.source.*Set data\.source"):
        stage.check_source(configured(**settings))


def test_a_missing_file_names_what_was_looked_for_and_what_is_there(configured, folder):
    (folder / "items.csv").rename(folder / "products.csv")
    with pytest.raises(SourceMissingError, match=r"no items file.*items\.csv.*products\.csv"):
        stage.check_source(configured())


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_missing_column_names_column_file_and_what_there_is(configured, folder, ending):
    frame = pl.read_csv(folder / "interactions.csv").rename({"timestamp": "when"})
    (folder / "interactions.csv").unlink()
    path = folder / f"interactions.{ending}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[ending](path)
    with pytest.raises(MissingColumnError) as caught:
        stage.check_source(configured())
    message = str(caught.value)
    assert all(part in message for part in (str(path), "'timestamp'", "user_id, item_id, when", "data.columns"))


def test_an_unknown_dataset_names_the_choices(configured):
    with pytest.raises(DataError, match="'taobao' is unknown; choose one of: synthetic"):
        stage.check_source(configured(dataset="taobao"))


def test_a_missing_source_writes_nothing(configured, tmp_path, workspace):
    with pytest.raises(SourceMissingError):
        stage.ingest(configured(source=str(tmp_path / "nowhere")), tmp_path / "out", workspace)
    assert not (tmp_path / "out").exists()
    assert not workspace.root.exists()


BAD_EVENTS = {
    f",i1,{START}": ("empty_id", ""),
    f"u1,,{START}": ("empty_id", ""),
    f"u1,i99,{START}": ("unknown_item", "i99"),
    "u1,i1,yesterday": ("bad_timestamp", "yesterday"),
    "u1,i1,": ("bad_timestamp", ""),
    "u1,i1,nan": ("bad_timestamp", "nan"),
    "u1,i1,99999999999999999999": ("bad_timestamp", "99999999999999999999"),
    "u1,i1,-5": ("negative_timestamp", "-5"),
    "u1,i1,12": ("absurd_timestamp", "12"),
    "u1,i1,9999999999": ("absurd_timestamp", "9999999999"),
    "u1,i1": ("wrong_field_count", "u1,i1"),
    f"u1,i1,{START},surplus": ("wrong_field_count", f"u1,i1,{START},surplus"),
    f"u\x01,i1,{START}": ("bad_id", "u\x01"),
    f"{'u' * 300},i1,{START}": ("bad_id", "u" * 200),
    f"u1,i2,{START + 86_401}": ("duplicate_event", "i2"),
}


@pytest.mark.parametrize(("line", "expected"), BAD_EVENTS.items(), ids=[reason for reason, _ in BAD_EVENTS.values()])
def test_a_bad_event_is_quarantined_with_row_reason_and_value(ingested, folder, line, expected):
    lines = log().splitlines()
    # In the middle, so that a wrong row number shows; a duplicate must come after what it repeats.
    (folder / "interactions.csv").write_text("\n".join([*lines[:41], line, *lines[41:]]) + "\n")
    dataset = ingested()
    (row,) = quarantine(dataset)
    assert (row["reason"], row["value"]) == expected
    assert (row["table"], row["file"], row["row"], row["kept"]) == ("interactions", "interactions.csv", 41, False)
    assert dataset.facts["counts"]["interactions"] == 80


@pytest.mark.parametrize("line", BAD_EVENTS)
def test_refusing_names_the_reason_and_the_row(ingested, folder, line):
    (folder / "interactions.csv").write_text(log() + line + "\n")
    with pytest.raises(BadRowsError, match=r"interactions: 1 of 81 rows.*row 81.*data\.bad_rows=refuse"):
        ingested(bad_rows="refuse")


def test_more_bad_rows_than_the_limit_are_refused(ingested, folder):
    (folder / "interactions.csv").write_text(log() + f"u1,i99,{START}\n" * 9)
    with pytest.raises(BadRowsError, match=r"9 of 89 rows are bad \(10\.11%\): unknown_item 9.*5\.00%"):
        ingested(bad_rows_limit=0.05)


def test_bad_ratings_are_quarantined(ingested, folder):
    lines = log(header="user_id,item_id,timestamp,rating").splitlines()
    rated = [lines[0], *(f"{line},{5 if n % 2 else 1}" for n, line in enumerate(lines[1:]))]
    rated[7], rated[8] = f"{lines[7]},five", f"{lines[8]},inf"
    (folder / "interactions.csv").write_text("\n".join(rated) + "\n")
    dataset = ingested()
    assert [(r["row"], r["reason"], r["value"]) for r in quarantine(dataset)] == [
        (7, "bad_rating", "five"),
        (8, "bad_rating", "inf"),
    ]
    assert dataset.facts["counts"]["behaviors"] == 39


def test_repeated_items_keep_the_first(ingested, folder):
    (folder / "items.csv").write_text(ITEMS + "i3,Another name,Hair,Brand 9,1\n")
    dataset = ingested()
    assert [(r["reason"], r["value"], r["row"]) for r in quarantine(dataset)] == [("duplicate_id", "i3", 9)]
    assert dataset.table("items.parquet").column("title").to_pylist()[3] == "Product 3"


def test_an_empty_title_keeps_item_and_events_under_brand_and_category(ingested, folder):
    (folder / "items.csv").write_text(ITEMS.replace("i1,Product 1,", "i1,  ,"))
    dataset = ingested()
    assert [(r["reason"], r["value"], r["kept"]) for r in quarantine(dataset)] == [("empty_title", "i1", True)]
    assert dataset.table("items.parquet").column("title").to_pylist()[1] == "Brand 1 Face, Skin"
    assert dataset.facts["counts"]["interactions"] == 80


@pytest.mark.parametrize("label", ["2", "-1", "0.5", "yes", "", "nan"])
def test_labels_other_than_0_and_1_are_quarantined(ingested, folder, label):
    shown = [f"u1,i{n % 8},{START + n * 86_400},{n % 2}" for n in range(12, 20)]
    (folder / "impressions.csv").write_text(
        "\n".join(["user_id,item_id,timestamp,label", *shown, f"u1,i1,{START},{label}"]) + "\n"
    )
    dataset = ingested()
    assert [(r["reason"], r["value"], r["table"]) for r in quarantine(dataset)] == [("bad_label", label, "impressions")]
    assert dataset.facts["counts"]["impressions"] == 8


def test_hostile_text_loses_what_cannot_be_seen_and_is_capped(ingested, folder):
    (folder / "items.csv").unlink()
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore")
    titles = {
        "i0": "Soap\x00 \u202eRed\u202c &amp; L&#39;Or\u200b",
        "i1": "x" * 10_000,
        "i2": f"Cream{hidden}\n\t<b>bold</b>",
        "i3": "\ud800half a pair",
    }
    rows = [
        {"item_id": f"i{n}", "title": titles.get(f"i{n}", f"Product {n}"), "description": "y" * 9_000} for n in range(8)
    ]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    dataset = ingested()
    table = dataset.table("items.parquet")
    assert table.column("title").to_pylist()[:4] == [
        "Soap Red & L'Or",
        "x" * TITLE_LENGTH,
        "Cream <b>bold</b>",
        "\ufffdhalf a pair",
    ]
    assert all(len(text) == DESCRIPTION_LENGTH for text in table.column("description").to_pylist())
    assert dataset.facts["repaired"]["title_cut"] == 1
    assert dataset.facts["repaired"]["invisible_characters"] == 2


def test_broken_json_lines_are_quarantined(ingested, folder):
    (folder / "items.csv").unlink()
    good = [json.dumps({"item_id": f"i{n}", "title": f"Product {n}"}) for n in range(8)]
    broken = ['{"item_id": "i8", "title"', "[1, 2]", "[" * 100_000, "{'__import__': open}"]
    (folder / "items.jsonl").write_text("\n".join([*good[:4], *broken, *good[4:]]) + "\n")
    assert [(r["row"], r["reason"]) for r in quarantine(ingested())] == [(n, "not_json") for n in (5, 6, 7, 8)]


def test_bytes_that_are_no_text_do_not_stop_ingestion(ingested, folder):
    raw = ITEMS.encode().replace(b"Product 2", b"Produ\xff\xfe 2")
    (folder / "items.csv").write_bytes(raw)
    (folder / "interactions.csv").write_bytes(log().encode() + f"u\xff,i1,{START}\n".encode("latin-1"))
    dataset = ingested()
    assert [(r["reason"], r["row"]) for r in quarantine(dataset)] == [("bad_id", 81)]
    assert dataset.table("items.parquet").column("title").to_pylist()[2] == "Produ\ufffd\ufffd 2"


@pytest.mark.parametrize("name", ["items.csv.gz", "items.parquet", "items.jsonl.gz"])
def test_a_damaged_file_is_named(configured, folder, tmp_path, workspace, name):
    (folder / "items.csv").unlink()
    (folder / name).write_bytes(gzip.compress(ITEMS.encode())[:40])
    with pytest.raises(DataError, match=rf"{name} can't be read.*damaged"):
        stage.ingest(configured(), tmp_path / "out", workspace)


def test_a_quotation_mark_that_is_never_closed_swallows_no_rows_in_silence(configured, folder, tmp_path, workspace):
    (folder / "items.csv").write_text(ITEMS.replace("Product 3", '"Product 3'))
    with pytest.raises(DataError, match=r"items\.csv: a quotation mark is opened and never closed"):
        stage.ingest(configured(), tmp_path / "out", workspace)


def test_rows_are_counted_as_rows_even_where_they_span_lines(ingested, folder):
    (folder / "items.csv").write_text(ITEMS.replace("Product 3", '"Product\n\n3"') + "\ni3,surplus\n")
    assert [(r["row"], r["reason"]) for r in quarantine(ingested())] == [(9, "wrong_field_count")]


def test_a_source_without_events_says_so(ingested, folder):
    (folder / "interactions.csv").write_text("user_id,item_id,timestamp\n")
    with pytest.raises(SplitError, match="0 events"):
        ingested()


def test_one_stray_number_among_dates_does_not_condemn_the_dates(ingested, folder):
    frame = pl.read_csv(folder / "interactions.csv").with_columns(pl.from_epoch("timestamp").dt.to_string("iso"))
    frame.write_csv(folder / "interactions.csv")
    with (folder / "interactions.csv").open("a") as file:
        file.write("u1,i1,-5\n")
    assert [(r["row"], r["reason"]) for r in quarantine(ingested())] == [(81, "bad_timestamp")]


def test_an_empty_file_names_its_missing_column(configured, folder):
    Path(folder / "items.csv").write_text("")
    with pytest.raises(MissingColumnError, match="the file has: none"):
        stage.check_source(configured())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"valid_start": "2020-09-20"}, "set both"),
        ({"valid_start": "2020-09-20", "test_start": "2020-09-19"}, "is not before"),
        ({"valid_start": "soon", "test_start": "later"}, r"data\.valid_start: 'soon' is no ISO date"),
        ({"valid_start": "2030-01-01", "test_start": "2031-01-01"}, "valid part holds no behaviour"),
    ],
)
def test_impossible_dates_are_refused(ingested, settings, message):
    with pytest.raises((SplitError, DataError), match=message):
        ingested(**settings)
