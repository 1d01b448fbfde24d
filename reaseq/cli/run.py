"""`reaseq run`: the main job, end to end, and a summary of what it made."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.local import run_pipeline
from reaseq.cli import console
from reaseq.cli.answering import Answer, example_request, print_answer, rank_once
from reaseq.cli.runs import ARTIFACTS, Run, start_run, workspace
from reaseq.cli.settings import configured, parse_settings
from reaseq.config import RunConfig
from reaseq.evaluation.summary import gate_line, headline, write_summary


def run_all(runs: Path, dataset: str, source: str, preset: str, seed: int, settings: list[str], user: str = "") -> None:
    """The command's work; see `reaseq.cli.commands.run`."""
    overrides = parse_settings(settings)
    config = configured(dataset, source, preset, seed, overrides)
    with start_run(runs, config) as (this, resumed):
        started = datetime.now(UTC)
        console.out.print(f"[bold]ReaSeq[/] run {this.id}" + (" (taken up again)" if resumed else ""))
        console.out.print(f"  {dataset}, preset {preset}, seed {seed}, configuration {config.digest[:12]}\n")
        _run_pipeline(runs, this, config, overrides)
        answer = _serve_once(this, config, user)
        _finish(runs, this, config, answer, started)
        _print_end(this, answer)


def _run_pipeline(runs: Path, this: Run, config: RunConfig, overrides: dict[str, Any]) -> None:
    arguments = {
        "dataset": config.data.dataset,
        "source": config.data.source,
        "preset": config.preset,
        "seed": config.seed,
        "overrides": overrides,
        "workspace": str(workspace(runs).root),
        "run_id": this.id,
    }
    with console.ProgressView() as view:
        run_pipeline(this.path, arguments, view.on_event)


def _serve_once(this: Run, config: RunConfig, user: str) -> Answer:
    request = example_request(this, user)
    with console.out.status("Triton"):
        return rank_once(this, request)


def _finish(runs: Path, this: Run, config: RunConfig, answer: Answer, started: datetime) -> None:
    shutil.copyfile(this.artifact("evaluation").file("report.html"), this.report_path)
    shutil.copyfile(this.artifact("gate").file("gate.html"), this.gate_path)
    extra = {
        "run_id": this.id,
        "wall_seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
        "answer": answer.as_json(),
    }
    write_summary(this.path, config, {name: this.artifact(name) for name in ARTIFACTS}, extra)
    this.finish(runs)


def _print_end(this: Run, answer: Answer) -> None:
    console.out.print()
    console.print_table("Test period", ["metric", "ID-only", "full model"], headline(this.summary))
    console.out.print()
    console.out.print("Promotion gate", style="bold")
    console.out.print(gate_line(this.summary), markup=False, soft_wrap=True)
    console.out.print()
    print_answer(answer)
    console.out.print()
    console.out.print(f"summary  {this.summary_path}", soft_wrap=True)
    console.out.print(f"report   {this.report_path}", soft_wrap=True)
    console.out.print(f"gate     {this.gate_path}", soft_wrap=True)
