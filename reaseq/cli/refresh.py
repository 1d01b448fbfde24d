"""`reaseq refresh`: between two runs, infer behaviours again for the users who need it.

    runs/<id>/refreshes/<snapshot>/      inferred_behaviors.parquet (the refreshed users' rows)  users.parquet
    runs/<id>/refreshes/<snapshot>.json  what was done; written last, once the rows are in the feature store
    runs/<id>/refreshes/dataset/         the run's dataset with the events of the last --interactions

A refresh builds on the newest one before its snapshot that has reached the feature store; without any, on the run.
"""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from feature_repo.refresh import Written, write_refreshed
from feature_repo.sources import serving_time
from reaseq.artifacts import Artifact, open_artifact, write_text
from reaseq.behavior.due import USERS
from reaseq.behavior.refresh import RunShards, in_this_process, refresh_behaviors
from reaseq.cli import console
from reaseq.cli.runs import EXTENDED, Run, find_run, workspace
from reaseq.data import Dataset
from reaseq.data.newer import extend
from reaseq.data.timestamps import as_text, parse_date
from reaseq.errors import ConfigError

WORKERS = 2


def refresh_run(
    runs: Path,
    run: str,
    snapshot: str,
    events: int | None,
    older_than: float | None,
    interactions: Path | None,
    ray: bool,
    workers: int | None,
) -> None:
    """The command's work; see `reaseq.cli.commands.refresh`."""
    run_shards, rule = _runner(ray, workers), _rule(events, older_than)
    moment = parse_date(snapshot, "--snapshot") if snapshot else None
    this = find_run(runs, run)
    config = this.config.model_copy(update={"refresh": this.config.refresh.model_copy(update=rule)})
    store, shared = this.outputs["feature_store"], workspace(runs)
    dataset = this.artifact("dataset")
    if interactions is not None:
        dataset = extend(config, dataset, interactions, this.refreshes / EXTENDED, shared)
    if moment is None:
        moment = serving_time(Dataset.open(dataset))
    console.out.print(f"[bold]Refresh[/] of run {this.id} at {as_text(moment)} UTC; only events before it are seen")
    refreshed = refresh_behaviors(
        config,
        dataset,
        this.artifact("item_vectors"),
        this.artifact("denoiser"),
        _known_before(this, moment),
        _folder(this, moment),
        shared,
        snapshot=moment,
        run_shards=run_shards,
    )
    written = write_refreshed(store, refreshed)
    told = {"digest": refreshed.digest, **refreshed.facts, "feature_store": asdict(written)}
    write_text(_summary(this, moment), json.dumps(told, indent=2) + "\n")
    _print_end(refreshed, written, store)


def _runner(ray: bool, workers: int | None) -> RunShards:
    if not ray:
        if workers is not None:
            raise ConfigError("--workers counts the actors of Ray; add --ray, or leave it out to use this process.")
        return in_this_process
    from reaseq.platform.ray_shards import RayShards

    return RayShards(WORKERS if workers is None else workers)


def _rule(events: int | None, older_than: float | None) -> dict[str, float]:
    """What the command line says of who is due, by the names of `RefreshConfig`.

    Raises:
        ConfigError: a number is out of its range.
    """
    if events is not None and events < 1:
        raise ConfigError(f"--events {events}: a user is due after at least 1 new event.")
    if older_than is not None and older_than <= 0:
        raise ConfigError(f"--older-than {older_than}: give an age in days, more than 0.")
    said = {"events": events, "older_than_days": older_than}
    return {name: value for name, value in said.items() if value is not None}


def _folder(run: Run, snapshot: int) -> Path:
    """Names in the order of their snapshots."""
    return run.refreshes / f"{datetime.fromisoformat(as_text(snapshot)):%Y%m%dT%H%M%S%fZ}"


def _summary(run: Run, snapshot: int) -> Path:
    folder = _folder(run, snapshot)
    return folder.with_name(f"{folder.name}.json")


def _known_before(run: Run, snapshot: int) -> Artifact:
    """The newest earlier refresh whose rows are in the feature store; without any, what the run inferred."""
    here = _folder(run, snapshot)
    earlier = [folder for folder in run.finished_refreshes() if folder.name < here.name]
    return open_artifact(earlier[0], "inferred_behaviors") if earlier else run.artifact("inferred_behaviors")


def _print_end(refreshed: Artifact, written: Written, store: Path) -> None:
    outcomes = [(name.replace("_", " "), f"{count:,}") for name, count in refreshed.facts["outcomes"].items()]
    console.print_table("Users", ["outcome", "users"], outcomes)
    console.out.print()
    console.out.print(f"rows     {refreshed.file('inferred_behaviors.parquet')}", soft_wrap=True)
    console.out.print(f"users    {refreshed.file(USERS)}", soft_wrap=True)
    kept = f", {written.kept:,} kept that are as new or newer" if written.kept else ""
    console.out.print(f"Feast    {store}: {written.rows:,} rows written{kept}", soft_wrap=True)
