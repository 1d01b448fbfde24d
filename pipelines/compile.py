"""Compile the pipeline to its checked-in form: `python -m pipelines.compile`.

The compiled file is what is submitted to Kubeflow and what runs locally; a test diffs it against the definition.
"""

import sys
from pathlib import Path

from kfp import compiler

from pipelines.definition import reaseq_pipeline

COMPILED = Path(__file__).parent / "compiled" / "reaseq.yaml"


def compile_pipeline(out: Path = COMPILED) -> Path:
    """Write the pipeline's intermediate representation (KFP IR YAML) and return its path."""
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(reaseq_pipeline, str(out))
    return out


if __name__ == "__main__":
    sys.stdout.write(f"{compile_pipeline()}\n")
