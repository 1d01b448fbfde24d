"""`reaseq bench`: inferred behaviours, measured on a dataset."""

import json
from pathlib import Path
from typing import Any

from reaseq.artifacts import write_text
from reaseq.cli import console
from reaseq.cli.runs import workspace
from reaseq.cli.settings import configured, parse_settings
from reaseq.config import RunConfig
from reaseq.errors import ReaSeqError
from reaseq.evaluation.claims import page
from reaseq.evaluation.claims.study import Made, run_study, study_name
from reaseq.evaluation.inference_speed import inference_speed
from reaseq.evaluation.provenance import versions

CLAIMS = {"beyond-log": "C4", "consistency": "C5", "denoising": "C6"}
SPEED = "infer"


class UnknownBenchError(ReaSeqError):
    """There is no such measurement."""


def measure(
    runs: Path,
    what: str,
    dataset: str,
    source: str,
    preset: str,
    seed: int,
    seeds: int,
    users: int,
    settings: list[str],
) -> None:
    """The command's work; see `reaseq.cli.commands.bench`."""
    if what not in (*CLAIMS, SPEED):
        raise UnknownBenchError(f"bench {what!r} is unknown; choose one of: {', '.join((*CLAIMS, SPEED))}.")
    config = configured(dataset, source, preset, seed, parse_settings(settings))
    console.out.print(f"[bold]ReaSeq[/] bench {what} on {dataset}, preset {preset}\n")
    stem = runs / "bench" / f"{study_name(config)}-{what}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    made = _speed(config, runs, users, stem) if what == SPEED else _claim(config, runs, what, seeds, stem)
    console.out.print()
    for name, path in made.items():
        console.out.print(f"{name:8} {path}", soft_wrap=True)


def _claim(config: RunConfig, runs: Path, what: str, seeds: int, stem: Path) -> dict[str, Path]:
    found = run_study(
        config, seeds=range(seeds), claims=[CLAIMS[what]], workspace=workspace(runs), workers=config.threads
    )
    (evidence,) = found["evidence"]
    rows = [(each["what"], each["other"], each["base"], *_values(each)) for each in evidence["comparisons"]]
    columns = ["measured", "arm", "against", "", "", "difference"]
    console.print_table(f"{evidence['claim']}: {evidence['verdict']}", columns, rows, text_columns=3)
    _print_figures(evidence["figures"])
    return {
        "results": _written(stem.with_suffix(".json"), json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False)),
        "table": _written(stem.with_suffix(".md"), page.markdown([found])),
        "plots": _written(stem.with_suffix(".html"), page.html([found])),
    }


def _speed(config: RunConfig, runs: Path, users: int, stem: Path) -> dict[str, Path]:
    made = Made(config, workspace(runs))
    found = inference_speed(config, made.dataset, made.rer, made.denoiser, users)
    _print_figures(found)
    told = {"dataset": config.data.dataset, "preset": config.preset, "versions": versions(), **found}
    return {"results": _written(stem.with_suffix(".json"), json.dumps(told, indent=1, ensure_ascii=False))}


def _print_figures(figures: dict[str, Any]) -> None:
    for title, columns, rows in page.tables(figures):
        console.out.print()
        console.print_table(title, columns, rows)


def _values(each: dict[str, Any]) -> tuple[str, str, str]:
    difference = f"{each['effect']:+.4f} [{each['low']:+.4f}, {each['high']:+.4f}]"
    return f"{each['other_value']:.4f}", f"{each['base_value']:.4f}", difference


def _written(path: Path, text: str) -> Path:
    write_text(path, text.rstrip("\n") + "\n")
    return path
