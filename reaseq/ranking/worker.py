"""Train a ranker in several processes: what torchrun, or a Kubeflow TrainJob's torch runtime, starts in each.

    torchrun --nproc-per-node 2 -m reaseq.ranking.worker --config config.json --dataset DIR --item-vectors DIR \\
        --inferred-behaviors DIR --workspace DIR --out DIR [--variant full]

`config.json` is a whole `RunConfig` (`model_dump_json`). Process 0 writes the artifact; the others need the inputs and
a workspace to unpack them in, which may be the same folder where they share a disk. Without torchrun it trains alone.
"""

import argparse
import sys
from pathlib import Path

from reaseq.artifacts import Workspace, open_artifact
from reaseq.config import RunConfig
from reaseq.errors import ReaSeqError
from reaseq.ranking.model import VARIANTS
from reaseq.ranking.parallel import joined
from reaseq.ranking.stage import assist_training, train_ranker

INPUTS = ("dataset", "item_vectors", "inferred_behaviors")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="JSON of a RunConfig")
    for name in INPUTS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, help=f"artifact of kind {name}")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variant", choices=list(VARIANTS), default="full")
    chosen = parser.parse_args(arguments)
    try:
        config = RunConfig.model_validate_json(chosen.config.read_text())
        dataset, vectors, inferred = (open_artifact(getattr(chosen, name), name) for name in INPUTS)
        workspace = Workspace(chosen.workspace)
        with joined(config.device) as ranks:
            if ranks.leads:
                train_ranker(config, dataset, vectors, inferred, chosen.out, workspace, chosen.variant, ranks)
            else:
                assist_training(config, dataset, vectors, inferred, workspace, ranks, chosen.variant)
            ranks.wait()
    except (ReaSeqError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
