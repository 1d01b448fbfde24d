"""`reaseq claims`: the ten claims on one dataset, and the page of all datasets studied so far."""

import json
from pathlib import Path

from reaseq.artifacts import write_text
from reaseq.cli import console
from reaseq.cli.runs import workspace
from reaseq.cli.settings import configured, parse_settings
from reaseq.evaluation.claims import page
from reaseq.evaluation.claims.study import CLAIMS, results_path, run_study

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
    console.out.print(f"[bold]ReaSeq[/] claims {', '.join(claims)} on {dataset}, preset {preset}, {seeds} seeds\n")
    found = run_study(
        config,
        seeds=range(seeds),
        claims=claims,
        workspace=workspace(runs),
        workers=workers or config.threads,
        given=assets.resolve() if assets else None,
    )
    folder = runs / "claims"
    path = results_path(folder, config)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    results = [json.loads(each.read_text()) for each in sorted(folder.glob("*.json"))]
    markdown = out or folder / MARKDOWN
    write_text(markdown, page.markdown(results))
    write_text(folder / HTML, page.html(results))
    rows = [(each["claim"], each["verdict"], each["reason"]) for each in found["evidence"]]
    console.print_table(f"Claims on {dataset}", ["claim", "verdict", "why"], rows)
    console.out.print()
    for name, made in (("results", path), ("table", markdown), ("plots", folder / HTML)):
        console.out.print(f"{name:8} {made}", soft_wrap=True)
