"""Fit a denoiser in several processes: what torchrun, or a Kubeflow TrainJob's torch runtime, starts in each.

    torchrun --nproc-per-node 2 -m reaseq.behavior.worker --config config.json --dataset DIR --item-vectors DIR \\
        --workspace DIR --out DIR

`config.json` is a whole `RunConfig` (`model_dump_json`). Process 0 writes the artifact; the others need the inputs.
Without torchrun it fits alone.
"""

import sys
from collections.abc import Sequence

from reaseq.artifacts import Artifact, Workspace
from reaseq.behavior.stage import assist_fitting, fit_denoiser
from reaseq.config import RunConfig
from reaseq.parallel import Ranks
from reaseq.worker import arguments_of, run_together

INPUTS = ("dataset", "item_vectors")


def main(arguments: list[str] | None = None) -> int:
    chosen = arguments_of(__doc__, INPUTS).parse_args(arguments)

    def task(config: RunConfig, inputs: Sequence[Artifact], workspace: Workspace, ranks: Ranks) -> None:
        dataset, item_vectors = inputs
        if ranks.leads:
            fit_denoiser(config, dataset, item_vectors, chosen.out, workspace, ranks)
        else:
            assist_fitting(config, dataset, item_vectors, ranks)

    return run_together(chosen, INPUTS, task)


if __name__ == "__main__":
    sys.exit(main())
