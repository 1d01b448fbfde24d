"""`reaseq claims`: the ten claims on one dataset, and the page of all datasets studied so far."""

import json
from pathlib import Path

from reaseq.artifacts import write_text
from reaseq.cli import console
from reaseq.cli.runs import workspace
from reaseq.cli.settings import configured, parse_settings
from reaseq.config import Json
from reaseq.evaluation.claims import page
from reaseq.evaluation.claims.study import CLAIMS, RESULTS_VERSION, run_study, study_name
from reaseq.evaluation.errors import EvaluationError

MARKDOWN, HTML = "reproduction.md", "reproduction.html"


def study(
    runs: Path,
    dataset: str,
    source: str,
    impressions: str,
    preset: str,
    seed: int,
    seeds: int,
    only: str,
    settings: list[str],
    workers: int,
    assets: Path | None,
    out: Path | None,
) -> None:
    """The command's work; see `reaseq.cli.commands.claims`."""
    config = configured(dataset, source, preset, seed, parse_settings(settings), impressions or None)
    known = {claim.lower(): claim for claim in CLAIMS}
    asked = [name.strip() for name in only.split(",") if name.strip()]
    claims = [known.get(name.lower(), name) for name in asked] or list(CLAIMS)
    folder = runs / "claims"
    path = folder / f"{study_name(config)}.json"
    read_results(folder, but=path)  # what the page can't show is told before the work, and not after it
    console.out.print(f"[bold]ReaSeq[/] claims {', '.join(claims)} on {dataset}, preset {preset}, {seeds} seeds\n")
    found = run_study(
        config,
        seeds=range(seeds),
        claims=claims,
        workspace=workspace(runs),
        workers=workers or config.threads,
        given=assets.resolve() if assets else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    results = read_results(folder)
    markdown = out or folder / MARKDOWN
    write_text(markdown, page.markdown(results))
    write_text(folder / HTML, page.html(results))
    rows = [(each["claim"], each["verdict"], each["reason"]) for each in found["evidence"]]
    console.print_table(f"Claims on {dataset}", ["claim", "verdict", "why"], rows)
    console.out.print()
    for name, made in (("results", path), ("table", markdown), ("plots", folder / HTML)):
        console.out.print(f"{name:8} {made}", soft_wrap=True)


def read_results(folder: Path, but: Path | None = None) -> list[Json]:
    """The results of every study in the folder, by name of the file; `but` is left out.

    Raises:
        EvaluationError: some are of another version.
    """
    results = {path: json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if path != but}
    for path, found in results.items():
        if found.get("version") != RESULTS_VERSION:
            raise EvaluationError(
                f"{path}: these results are of version {found.get('version')}, and the page shows version "
                f"{RESULTS_VERSION}. Run that study again, or move the file out of the folder."
            )
    return list(results.values())
