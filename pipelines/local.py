"""Run the compiled pipeline on this machine, with nothing to start: `kfp.local` over the very file that is submitted.

The orchestrator is a process of its own in a process group of its own. When whoever started it dies, however suddenly,
it takes its components with it; what they had finished is in the workspace, and the next start goes on from there.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.compile import COMPILED
from reaseq import progress
from reaseq.errors import ReaSeqError

OUTPUTS = {
    "dataset": ("ingest", "dataset"),
    "knowledge": ("knowledge-distillation", "knowledge"),
    "item_vectors": ("item-representation", "item_vectors"),
    "denoiser": ("behavior-modeling", "denoiser"),
    "inferred_behaviors": ("behavior-inference", "inferred_behaviors"),
    "ranker_id": ("ranker-training", "ranker"),
    "ranker_full": ("ranker-training-2", "ranker"),
    "evaluation": ("evaluation", "evaluated"),
    "gate": ("promotion-gate", "gate"),
    "model_repository": ("registration", "model_repository"),
    "feature_store": ("registration", "feature_store"),
}
"""Name of an output → the task and the output of that task which hold it."""


QUIET = {
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait starve each other as soon as anything else runs
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Environment of the components; what the caller has set wins."""


class PipelineError(ReaSeqError):
    """A component failed; the message is the component's own."""


def run_pipeline(
    run_dir: Path, arguments: Mapping[str, Any], on_event: Callable[[dict[str, Any]], None]
) -> dict[str, Path]:
    """Run the compiled pipeline and return its outputs by the names of `OUTPUTS`.

    Args:
        run_dir: folder of the run; gets `pipeline/` (KFP's outputs), `pipeline.log` and `progress.jsonl`.
        arguments: of the pipeline.
        on_event: called with each progress event as it happens.

    Raises:
        PipelineError: a component failed.
    """
    root = run_dir / "pipeline"
    shutil.rmtree(root, ignore_errors=True)  # links to finished artifacts, which the workspace keeps
    run_dir.mkdir(parents=True, exist_ok=True)
    events = run_dir / "progress.jsonl"
    events.write_text("")
    (run_dir / "arguments.json").write_text(json.dumps(dict(arguments), indent=2))
    environment = QUIET | os.environ | {progress.ENV: str(events.resolve()), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "pipelines.local", str(run_dir.resolve())]
    with (run_dir / "pipeline.log").open("w") as log:
        child = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            failure = _follow(child, events, on_event)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
    if child.returncode != 0:
        raise PipelineError(failure or _unexplained(run_dir / "pipeline.log"))
    return outputs(run_dir)


def outputs(run_dir: Path) -> dict[str, Path]:
    """Where a finished run's outputs are."""
    found = {}
    for name, (task, output) in OUTPUTS.items():
        matches = sorted((run_dir / "pipeline").glob(f"*/{task}/{output}"))
        if not matches:
            raise PipelineError(
                f"run {run_dir} has no output {name!r}: it did not finish. Start it again to resume it."
            )
        found[name] = matches[-1]
    return found


def _follow(child: subprocess.Popen, events: Path, on_event: Callable[[dict[str, Any]], None]) -> str:
    failure = ""
    with events.open() as file:
        ended = False
        while not ended:
            ended = child.poll() is not None
            for line in iter(file.readline, ""):
                if not line.endswith("\n"):  # half a line: its writer is still at it, or was killed
                    file.seek(file.tell() - len(line.encode()))
                    break
                event = json.loads(line)
                if event["event"] == "stage_failed":
                    failure = event["message"]
                on_event(event)
            if not ended:
                time.sleep(0.1)
    return failure


def _unexplained(log: Path) -> str:
    """The exception that a component did not mean to raise, found in the log."""
    lines = log.read_text(errors="replace").split("finished with status")[0].splitlines()
    raised = [line.strip() for line in lines if re.match(r"\s*[\w.]*(Error|Exception|Interrupt)\b", line)]
    reason = raised[-1] if raised else "nothing was printed; it may have been killed from outside or for memory"
    return (
        f"a component ended unexpectedly: {reason}. The whole log is {log}. "
        "What was finished is kept; start again to resume."
    )


def _orchestrate(run_dir: Path) -> None:
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    from kfp import components, local

    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(run_dir / "pipeline"),
        workspace_root=str(run_dir / "kfp-workspace"),  # KFP empties it at the end
    )
    pipeline = components.load_component_from_file(str(COMPILED))
    pipeline(**json.loads((run_dir / "arguments.json").read_text()))


def _die_with(parent: int) -> None:
    """End this process group as soon as its starter is gone; a killed parent can't do it itself."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    _orchestrate(Path(sys.argv[1]))
