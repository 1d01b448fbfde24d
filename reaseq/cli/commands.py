"""The commands' names, options and help. What they do is imported when they are called: Feast and KServe take seconds
to import, and `--help` and a mistyped option should not wait for them."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="World knowledge for recommenders, reasoned offline and served by look-up.",
)
show = typer.Typer(
    no_args_is_help=True, help="Look at an item's knowledge, at a user's inferred behaviours, or at all those of a run."
)
app.add_typer(show, name="show")

Runs = Annotated[Path, typer.Option("--runs", help="Folder of the runs.", envvar="REASEQ_RUNS")]
RunName = Annotated[str, typer.Option("--run", help="Which run: an id, or latest.")]
DatasetName = Annotated[
    str, typer.Option(help="synthetic, amazon-beauty, ml-100k, amazon-reviews, movielens or files.")
]
Source = Annotated[str, typer.Option(help="Folder with the raw files.")]
Preset = Annotated[str, typer.Option(help="tiny, small, base or large.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="section.name=value; wins over the preset. Repeatable.")
]
RUNS = Path("runs")


@app.command()
def run(
    dataset: DatasetName = "synthetic",
    source: Source = "",
    preset: Preset = "tiny",
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    settings: Settings = None,
    user: Annotated[str, typer.Option(help="User to rank for at the end; default: one of the test period.")] = "",
    runs: Runs = RUNS,
) -> None:
    """Run the whole path: data, knowledge, vectors, inferred behaviours, ranker, registry, Triton, one ranking."""
    from reaseq.cli.run import run_all

    run_all(runs.resolve(), dataset, source, preset, seed, settings or [], user)


@app.command()
def claims(
    dataset: DatasetName = "synthetic",
    source: Source = "",
    impressions: Annotated[
        str, typer.Option(help="File of impressions to use: user_id, item_id, timestamp, label, split.")
    ] = "",
    preset: Preset = "small",
    seed: Annotated[int, typer.Option(help="Of the assets: knowledge, vectors, inferred behaviours.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds each arm is trained under.")] = 5,
    only: Annotated[str, typer.Option(help="Some of: C1 … C10, controls, baselines. Default: all.")] = "",
    settings: Settings = None,
    workers: Annotated[int, typer.Option(help="Arms trained side by side; default: the preset's threads.")] = 0,
    assets: Annotated[
        Path | None,
        typer.Option(help="Folder with item_vectors, denoiser, decoder, inferred_behaviors made elsewhere, or some."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the Markdown page goes; default: in the runs folder.")] = None,
    runs: Runs = RUNS,
) -> None:
    """Test the ten claims on a dataset: arms, placebos, controls, intervals, verdicts. Resumes where it was stopped."""
    from reaseq.cli.claims import study

    study(runs.resolve(), dataset, source, impressions, preset, seed, seeds, only, settings or [], workers, assets, out)


@app.command()
def bench(
    what: Annotated[str, typer.Argument(help="beyond-log, consistency, denoising or infer.")],
    dataset: DatasetName = "synthetic",
    source: Source = "",
    preset: Preset = "small",
    seed: Annotated[int, typer.Option(help="Of the assets: knowledge, vectors, denoiser.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of users, of what is hidden from them, and of noise.")] = 5,
    users: Annotated[int, typer.Option(min=0, help="infer: how many to time; 0: all.")] = 0,
    settings: Settings = None,
    runs: Runs = RUNS,
) -> None:
    """Measure inferred behaviours: what they recover of what the log hides, whose they are, what reverse steps gain and
    cost, how many users a second. Makes the assets, or takes over those of `claims`."""
    from reaseq.cli.bench import measure

    measure(runs.resolve(), what, dataset, source, preset, seed, seeds, users, settings or [])


@app.command()
def refresh(
    run: RunName = "latest",
    snapshot: Annotated[
        str, typer.Option("--snapshot", help="ISO time, UTC; events before it are seen. Default: after the last event.")
    ] = "",
    events: Annotated[int | None, typer.Option("--events", help="New events that make a user due.")] = None,
    older_than: Annotated[
        float | None, typer.Option("--older-than", help="Age of an inference, in days, that makes its user due.")
    ] = None,
    interactions: Annotated[
        Path | None, typer.Option("--interactions", help="File of events since the run; may overlap with its log.")
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Spread the work by Ray Data.")] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Actors of --ray. Default: 2.")] = None,
    runs: Runs = RUNS,
) -> None:
    """Infer behaviours again, at a later snapshot, for the users who need it, and bring them into the feature store."""
    from reaseq.cli.refresh import refresh_run

    refresh_run(runs.resolve(), run, snapshot, events, older_than, interactions, ray, workers)


@app.command()
def serve(
    run: RunName = "latest",
    port: Annotated[int, typer.Option("--port", help="Of the transformer.")] = 8080,
    http_port: Annotated[int, typer.Option("--http-port", help="Of Triton: Open Inference Protocol.")] = 8000,
    grpc_port: Annotated[int, typer.Option("--grpc-port", help="Of Triton: the same over gRPC.")] = 8001,
    metrics_port: Annotated[int, typer.Option("--metrics-port", help="Of Triton: Prometheus.")] = 8002,
    runs: Runs = RUNS,
) -> None:
    """Serve a run on loopback until Ctrl-C: Triton and the KServe transformer in front of it. Port 0: a free one."""
    from reaseq.cli.serve import serve_run

    serve_run(runs.resolve(), run, port, http_port, grpc_port, metrics_port)


@app.command()
def rank(
    user: Annotated[str, typer.Option("--user", help="Whose ranking.")],
    candidates: Annotated[
        str, typer.Option("--candidates", help="FILE with one item id a line, or ID,ID,…; default: a test request.")
    ] = "",
    run: RunName = "latest",
    runs: Runs = RUNS,
) -> None:
    """Rank candidates for one user, with the running servers or with some started for the occasion."""
    from reaseq.cli.serve import rank_for

    rank_for(runs.resolve(), run, user, candidates)


@app.command()
def golden(
    request: Annotated[int, typer.Argument(help="Which of the model's golden requests, from 0.")] = 0,
    expected: Annotated[bool, typer.Option("--expected", help="The scores it must get, instead.")] = False,
    run: RunName = "latest",
    runs: Runs = RUNS,
) -> None:
    """Print a golden request as JSON for curl: POST it to Triton's /v2/models/reaseq_ranker/infer."""
    from reaseq.cli.serve import print_golden

    print_golden(runs.resolve(), run, request, expected)


@show.command("item")
def show_item(item_id: str, run: RunName = "latest", runs: Runs = RUNS) -> None:
    """What the agents concluded about an item, and its nearest neighbours by item vector."""
    from reaseq.cli.show import show_item

    show_item(runs.resolve(), run, item_id)


@show.command("user")
def show_user(
    user_id: str,
    html: Annotated[Path | None, typer.Option("--html", help="File for the same as a page with a plot.")] = None,
    run: RunName = "latest",
    runs: Runs = RUNS,
) -> None:
    """A user's log with what was inferred to be missing from it, in one timeline."""
    from reaseq.cli.show import show_user

    show_user(runs.resolve(), run, user_id, html)


@show.command("behaviors")
def show_behaviors(
    html: Annotated[
        Path | None, typer.Option("--html", help="File for the page; default: behaviors.html in the run's folder.")
    ] = None,
    users: Annotated[
        int, typer.Option(min=0, help="Sample of users for the recall by steps and guidance; 0: leave it out.")
    ] = 200,
    steps: Annotated[str, typer.Option(help="Reverse steps R to compare.")] = "1,2,4,8",
    guidance: Annotated[str, typer.Option(help="Guidance w to compare.")] = "0,0.5,1,2",
    run: RunName = "latest",
    runs: Runs = RUNS,
) -> None:
    """All inferred behaviours of a run against what came of them: calibration, novelty, recall. Writes a page."""
    from reaseq.cli.settings import parse_numbers
    from reaseq.cli.show import show_behaviors

    rs = parse_numbers("--steps", steps, int, least=1)
    show_behaviors(runs.resolve(), run, html, users, rs, parse_numbers("--guidance", guidance, float, least=0))


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on loopback.")] = 5000, runs: Runs = RUNS) -> None:
    """Open MLflow's pages over the local runs, and say where the newest report is."""
    from reaseq.cli.show import open_ui

    open_ui(runs.resolve(), port)
