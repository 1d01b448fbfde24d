"""From whatever a source writes as a time to microseconds since the epoch, UTC."""

from datetime import UTC, datetime, timedelta

import polars as pl

from reaseq.data.errors import DataError

EARLIEST = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
"""No log of an online service is older; what falls before it is an order of events, a default, or another unit."""
LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000

UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}

# Values of the years 1980 to 2100 lie between 3e8 and 4.2e9 in seconds, and a thousand times that in each next unit:
# the bounds below lie in the gaps, so that the median of a column tells its unit.
_BOUNDS = (("s", 1e11), ("ms", 1e14), ("us", 1e17))
_FORMATS = ("%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")


def to_microseconds(column: pl.Series, unit: str = "auto") -> tuple[pl.Series, str]:
    """Parse a column of times.

    Args:
        column: numbers, strings of numbers, ISO dates or times (UTC where no zone is given), or a date type.
        unit: of numbers: `s`, `ms`, `us`, `ns`; `auto` decides by the median.

    Returns:
        int64 microseconds, null where a value can't be parsed, and the unit (`iso` for dates).
    """
    name = column.name
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return column.cast(pl.Datetime("us")).cast(pl.Int64), "iso"
    text = column.cast(pl.String).str.strip_chars()
    whole = text.cast(pl.Int64, strict=False)
    real = text.cast(pl.Float64, strict=False)
    real = pl.select(pl.when(real.is_finite() & (real.abs() < 9e18)).then(real)).to_series()
    if 2 * real.count() >= text.replace("", None).count():  # most of what is there are numbers
        if unit == "auto":
            median = float(real.drop_nulls().abs().median() or 0.0)  # type: ignore[arg-type]
            unit = next((name for name, bound in _BOUNDS if median < bound), "ns")
        return _scaled(whole, real, unit).alias(name), unit
    clean = (
        text.str.replace("T", " ", literal=True).str.replace(r"Z$", "+0000").str.replace(r"([+-]\d\d):(\d\d)$", "$1$2")
    )
    frame = pl.DataFrame({"t": clean})
    parsed = [_parse(pl.col("t"), layout).cast(pl.Int64) for layout in _FORMATS]
    return frame.select(pl.coalesce(parsed).alias(name)).to_series(), "iso"


def parse_date(text: str, setting: str) -> int:
    """Microseconds of an ISO date or time of the configuration.

    Raises:
        DataError: it can't be parsed; names the setting.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{setting}: {text!r} is no ISO date; write it as 2014-03-07 or 2014-03-07T12:00:00.") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def as_text(microseconds: int) -> str:
    """A moment for a person to read, in UTC, such as `2014-03-07T12:00:00.000001`; `parse_date` takes it back."""
    return (datetime(1970, 1, 1) + timedelta(microseconds=microseconds)).isoformat()  # floats would round it


def _scaled(whole: pl.Series, real: pl.Series, unit: str) -> pl.Series:
    frame = pl.DataFrame({"whole": whole, "real": real})
    if unit == "ns":
        exact, rounded = pl.col("whole") // 1000, (pl.col("real") / 1000).cast(pl.Int64, strict=False)
    else:
        # What overflows 64 bits is no time of our era: it stays null and is refused as unparseable.
        scale = UNITS[unit]
        limit = (1 << 62) // scale
        exact = pl.when(pl.col("whole").abs() < limit).then(pl.col("whole")) * scale
        rounded = pl.when(pl.col("real").abs() < limit).then(
            (pl.col("real") * scale).round().cast(pl.Int64, strict=False)
        )
    return frame.select(pl.coalesce(exact, rounded)).to_series()


def _parse(column: pl.Expr, layout: str) -> pl.Expr:
    dtype = pl.Datetime("us", "UTC") if layout.endswith("%z") else pl.Datetime("us")
    return column.str.strptime(dtype, layout, strict=False)
