"""Raw files → a validated dataset with its temporal split and impressions."""

from typing import NamedTuple

from kfp.dsl import Dataset, Output, component

from components import IMAGE


@component(base_image=IMAGE, install_kfp_package=False)
def ingest(
    dataset_name: str, source: str, preset: str, seed: int, overrides: dict, workspace: str, dataset: Output[Dataset]
) -> NamedTuple("Outputs", [("config", str)]):  # type: ignore[valid-type]
    """Read a catalogue and a log, validate, quarantine what is bad, split by time, build impressions.

    Args:
        dataset_name: synthetic, amazon-beauty, ml-100k, amazon-reviews, movielens or files.
        source: Folder with the raw files; empty for synthetic.
        preset: tiny (seconds), small (2 cores, an hour), base (one GPU) or large.
        seed: Seed of every random draw in the run.
        overrides: Settings by dotted name that win over the preset, such as {"behavior.reverse_steps": 8}.
        workspace: Folder that survives a restart: caches, checkpoints, finished artifacts.
        dataset: items, interactions, impressions, quarantine.
    """
    from pathlib import Path

    from components.opening import describe, opened
    from reaseq.config import load
    from reaseq.data.stage import ingest as run

    names = {"data.dataset": dataset_name, "data.source": source}
    config = load(preset, seed=int(seed), overrides={**overrides, **names}).model_dump_json()
    with opened("ingest", config, workspace) as stage:
        describe(dataset, run(stage.config, Path(dataset.path), stage.workspace))
    return (config,)
