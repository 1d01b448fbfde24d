"""From raw sources to the dataset artifact, and reading it.

`sources/` and `synthetic/` yield raw tables; `validation` cleans them and says what was wrong; `split` and
`impressions` (with `negatives`) make of them what a ranker learns from; `stage.ingest` does it all. `dataset` reads the
result and is all that other packages need.
"""

from reaseq.data.dataset import Dataset, EventLog, Impressions
from reaseq.data.errors import BadRowsError, DataError, MissingColumnError, SourceMissingError, SplitError

__all__ = [
    "BadRowsError",
    "DataError",
    "Dataset",
    "EventLog",
    "Impressions",
    "MissingColumnError",
    "SourceMissingError",
    "SplitError",
]
