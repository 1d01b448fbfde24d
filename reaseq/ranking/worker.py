"""Train a ranker in several processes: what torchrun, or a Kubeflow TrainJob's torch runtime, starts in each.

    torchrun --nproc-per-node 2 -m reaseq.ranking.worker --config config.json --dataset DIR --item-vectors DIR \\
        --inferred-behaviors DIR --workspace DIR --out DIR [--variant full]

`config.json` is a whole `RunConfig` (`model_dump_json`). Process 0 writes the artifact; the others need the inputs and
a workspace to unpack them in, which may be the same folder where they share a disk. Without torchrun it trains alone.
"""

import sys
from collections.abc import Sequence

from reaseq.artifacts import Artifact, Workspace
from reaseq.config import RunConfig
from reaseq.parallel import Ranks
from reaseq.ranking.model import VARIANTS
from reaseq.ranking.stage import assist_training, train_ranker
from reaseq.worker import arguments_of, run_together

INPUTS = ("dataset", "item_vectors", "inferred_behaviors")


def main(arguments: list[str] | None = None) -> int:
    parser = arguments_of(__doc__, INPUTS)
    parser.add_argument("--variant", choices=list(VARIANTS), default="full")
    chosen = parser.parse_args(arguments)

    def task(config: RunConfig, inputs: Sequence[Artifact], workspace: Workspace, ranks: Ranks) -> None:
        dataset, vectors, inferred = inputs
        if ranks.leads:
            train_ranker(config, dataset, vectors, inferred, chosen.out, workspace, chosen.variant, ranks)
        else:
            assist_training(config, dataset, vectors, inferred, workspace, ranks, chosen.variant)

    return run_together(chosen, INPUTS, task)


if __name__ == "__main__":
    sys.exit(main())
