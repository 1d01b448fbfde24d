"""MovieLens in all the forms it is passed around in (Harper and Konstan, 2015).

| family  | log                  | films                        | layout                                            |
|---------|----------------------|------------------------------|---------------------------------------------------|
| 100k    | u.data               | u.item                       | tab; `|` with a flag per genre, ISO-8859-1        |
| 1m, 10m | ratings.dat          | movies.dat                   | `::`, ISO-8859-1 or UTF-8, genres by `|`          |
| 20m on  | ratings.csv          | movies.csv                   | CSV with a header, genres by `|`                  |
| RecBole | *.inter              | *.item                       | tab, header `name:type`, genres by blanks         |

Any file may be gzipped. Times are in seconds. Years leave the title and become attributes, genres make the category
path in the order in which the source names them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from reaseq.data.errors import SourceMissingError
from reaseq.data.reading import Columns, Layout, check_columns, mapped, read_rows
from reaseq.data.source import Raw, find_file, find_optional, open_folder

ATOMIC = Layout(delimiter="\t", quoted=False, typed_header=True)
# fmt: off
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
"""The order of the flags in u.item."""

_NOT_A_GENRE = ("unknown", "(no genres listed)", "")
_OLD = ("utf-8", "iso-8859-1")  # the early files are Latin-1; later copies were converted
_RATING = ("user_id", "item_id", "rating", "timestamp")


@dataclass(frozen=True)
class Family:
    """One form of MovieLens: its two files, their layouts, and what our columns are called there."""

    log: str
    films: str
    log_layout: Layout
    film_layout: Layout
    log_names: Mapping[str, str]
    film_names: Mapping[str, str]
    genre_separator: str = "|"


_FLAGS = tuple(f"genre_{name}" for name in GENRES)
_PLAIN_LOG = {name: name for name in _RATING}
_DAT_FILMS = {"item_id": "item_id", "title": "title", "genres": "genres"}
_DAT = Layout(delimiter="::", quoted=False, encodings=_OLD)

FAMILIES = (
    Family(
        "u.data",
        "u.item",
        Layout(delimiter="\t", header=_RATING, quoted=False),
        Layout("|", ("item_id", "title", "release", "video", "url", *_FLAGS), quoted=False, encodings=_OLD),
        _PLAIN_LOG,
        {"item_id": "item_id", "title": "title", **{flag: flag for flag in _FLAGS}},
    ),
    Family(
        "ratings.dat",
        "movies.dat",
        Layout(_DAT.delimiter, _RATING, quoted=False),
        Layout(_DAT.delimiter, ("item_id", "title", "genres"), quoted=False, encodings=_OLD),
        _PLAIN_LOG,
        _DAT_FILMS,
    ),
    Family(
        "ratings.csv",
        "movies.csv",
        Layout(),
        Layout(),
        {"user_id": "userId", "item_id": "movieId", "rating": "rating", "timestamp": "timestamp"},
        {"item_id": "movieId", "title": "title", "genres": "genres"},
    ),
    Family(
        "*.inter",
        "*.item",
        ATOMIC,
        ATOMIC,
        _PLAIN_LOG,
        {"item_id": "item_id", "title": "movie_title", "genres": "class", "year": "release_year"},
        genre_separator=" ",
    ),
)


class MovieLens:
    """The dataset `movielens`: whichever family the folder holds."""

    name = "movielens"

    def __init__(self, source: str, columns: Mapping[str, str]):
        self._source, self._mapping = source, columns

    def files(self) -> dict[str, Path]:
        folder = open_folder(self._source, self.name)
        family = self._family(folder)
        log = find_file(folder, "interactions", _candidates(folder, family.log))
        films = find_file(folder, "items", _candidates(folder, family.films))
        return {"items": films, "interactions": log}

    def check(self) -> None:
        family, files = self._family(open_folder(self._source, self.name)), self.files()
        check_columns(files["items"], self._columns("items", family), family.film_layout)
        check_columns(files["interactions"], self._columns("interactions", family), family.log_layout)

    def read(self) -> Raw:
        family, files = self._family(open_folder(self._source, self.name)), self.files()
        films, bad_films = read_rows(files["items"], "items", self._columns("items", family), family.film_layout)
        log, bad_log = read_rows(
            files["interactions"], "interactions", self._columns("interactions", family), family.log_layout
        )
        if family.film_names.keys() >= set(_FLAGS):
            films = _genres_of_flags(films)
        return Raw(
            items=year_and_genres(films, family.genre_separator).to_arrow(),
            interactions=log.to_arrow(),
            bad=(*bad_films, *bad_log),
            action="rating",
            timestamp_unit="s",
            facts={"family": family.log},
        )

    def _family(self, folder: Path) -> Family:
        for family in FAMILIES:
            if find_optional(folder, _candidates(folder, family.log)):
                return family
        present = ", ".join(sorted(path.name for path in folder.iterdir())[:20]) or "nothing"
        names = ", ".join(family.log for family in FAMILIES)
        raise SourceMissingError(
            f"data.source: {folder} holds no MovieLens log; it is called {names}, plain or with .gz. "
            f"The folder holds: {present}."
        )

    def _columns(self, table: str, family: Family) -> Columns:
        own = family.film_names if table == "items" else family.log_names
        names = mapped(tuple(own), {**own, **self._mapping}, table)
        return Columns({k: v for k, v in names.items() if k != "year"}, {k: v for k, v in names.items() if k == "year"})


def year_and_genres(films: pl.DataFrame, separator: str) -> pl.DataFrame:
    """Move the year out of the title, and make category and attributes of `genres` (string) and `year` if there."""
    title = pl.col("title").cast(pl.String)
    year = title.str.extract(r"\((\d{4})\)\s*$")
    if "year" in films.columns:
        year = pl.coalesce(pl.col("year").cast(pl.String).str.extract(r"^\s*(\d{4})"), year)
    genres = pl.col("genres") if "genres" in films.columns else pl.lit("")
    parts = genres.cast(pl.String).fill_null("").str.split(separator).list.eval(pl.element().str.strip_chars())
    parts = parts.list.eval(pl.element().filter(~pl.element().is_in(list(_NOT_A_GENRE))))
    films = films.with_columns(year.alias("year"), parts.alias("category"), title.str.replace(r"\s*\(\d{4}\)\s*$", ""))
    attributes = pl.concat_list(pl.concat_list("year").list.drop_nulls(), "category").alias("attributes")
    return films.with_columns(attributes).drop([name for name in ("year", "genres") if name in films.columns])


def _genres_of_flags(films: pl.DataFrame) -> pl.DataFrame:
    named = [pl.when(pl.col(flag) == "1").then(pl.lit(flag.removeprefix("genre_"))) for flag in _FLAGS]
    return films.with_columns(pl.concat_str(named, separator="|", ignore_nulls=True).alias("genres")).drop(_FLAGS)


def _candidates(folder: Path, pattern: str) -> tuple[str, ...]:
    if not pattern.startswith("*"):
        return (pattern,)
    found = sorted(path.name.removesuffix(".gz") for p in (pattern, f"{pattern}.gz") for path in folder.glob(p))
    return tuple(found) or (pattern,)
