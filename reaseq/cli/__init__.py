"""`reaseq …`: the outermost layer. Commands parse, call and print; what they call lives in the packages below.

reaseq run      the whole path, from raw files to an answer from Triton
reaseq claims   the ten claims on a dataset: arms, placebos, intervals, verdicts
reaseq bench    inferred behaviours, measured: what they recover, whose they are, what they cost
reaseq refresh  infer behaviours again for the users who need it, into the run's feature store
reaseq serve    Triton and the KServe transformer for a run, on loopback
reaseq rank     rank candidates for one user
reaseq golden   a golden request of the model, as a body for Triton, and the scores it must get
reaseq show     an item's knowledge and neighbours; a user's timeline with the inferred behaviours; those of a whole run
reaseq ui       MLflow's pages, and where the newest report is
"""

import os
import sys

from reaseq.cli import console
from reaseq.cli.commands import app
from reaseq.errors import ReaSeqError

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "FEAST_USAGE": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""No telemetry and no model hub, unless the caller's environment says otherwise."""


def main() -> None:
    """Entry point: an error of ours is one paragraph and exit status 1; any other keeps its traceback."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        app()
    except ReaSeqError as error:
        console.print_error(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        console.print_error("interrupted. What was finished is kept; the same command goes on from there.")
        sys.exit(130)
