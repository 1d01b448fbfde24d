"""Evidence as an artifact: a claims run that was killed takes over the experiments that it had finished."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from reaseq.artifacts import Artifact, Draft, Workspace, build, write_text
from reaseq.config import Json, digest
from reaseq.evaluation.claims.evidence import Comparison, Evidence

EVIDENCE = "evidence.json"


def kept(
    claim: str, config: Json, inputs: Mapping[str, Artifact], workspace: Workspace, experiment: Callable[[], Evidence]
) -> Evidence:
    """The evidence of one claim, from an earlier start or from the experiment now.

    Args:
        claim: C1 … C10.
        config: everything the experiment depends on besides its inputs.
        inputs: the artifacts it reads.
        workspace: where finished evidence is kept.
        experiment: called only if nothing can be taken over.
    """

    def write(draft: Draft) -> None:
        evidence = experiment()
        # Unsorted, unlike other JSON: the rows of a figure's table stand in the order of the experiment.
        write_text(draft.path / EVIDENCE, json.dumps(evidence.as_json(), indent=2) + "\n")
        draft.facts.update(claim=evidence.claim, verdict=evidence.verdict)

    short = digest([config, {name: artifact.digest for name, artifact in sorted(inputs.items())}])[:24]
    out = workspace.root / "evidence" / f"{claim.lower()}-{short}"
    made = build(
        out, kind="evidence", name=claim.lower(), config=config, inputs=inputs, write=write, workspace=workspace
    )
    return read_evidence(made.json(EVIDENCE))


def read_evidence(record: dict[str, Any]) -> Evidence:
    """What `Evidence.as_json` wrote."""
    comparisons = tuple(Comparison(**each) for each in record["comparisons"])
    return Evidence(**(record | {"comparisons": comparisons}))
