"""The reproduction page: what every study found, as Markdown and as HTML, written from results alone.

A page knows nothing that the results do not say, so that nobody can improve a figure on the way to the reader.
"""

import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from reaseq.config import Json, load, with_defaults
from reaseq.evaluation import figures, pages
from reaseq.evaluation.claims.judgements import ARMS
from reaseq.evaluation.claims.table import COLUMNS
from reaseq.evaluation.provenance import portable_config

WORDS = {
    "C1": "RER cures knowledge poverty",
    "C2": "multi-agent reasoning adds to raw text",
    "C3": "the knowledge is good",
    "C4": "GBR infers beyond-log behaviour",
    "C5": "inferences are semantically consistent",
    "C6": "iterative diffusion matters",
    "C7": "GBR lifts the ranker",
    "C8": "RER and GBR complement each other",
    "C9": "sparse users are not harmed",
    "C10": "ranking stays cheap",
    "controls": "what is nonsense gives no lift",
    "baselines": "the full model beats the baselines",
}
ORDER = tuple(WORDS)
_NONE = "–"


def markdown(results: Sequence[Json]) -> str:
    """The page as Markdown.

    Args:
        results: one per dataset, as `study.run_study` gives them.
    """
    return pages.template("reproduction.md.j2").render(**_view(results))


def html(results: Sequence[Json]) -> str:
    """The same as one HTML file with plots."""
    view = _view(results)
    for study in view["studies"]:
        study["plots"] = {
            evidence["claim"]: figures.changes(rows, "GAUC, difference with its 95 % interval")
            for evidence in study["evidence"]
            if (rows := _plotted(evidence["comparisons"]))
        }
    style = files("reaseq.evaluation").joinpath("templates/report.css").read_text()
    return pages.template("reproduction.html.j2").render(**view, style=style)


def _view(results: Sequence[Json]) -> dict[str, Any]:
    studies = [_study(result) for result in results]
    for study in studies:
        study["name"] = _name(study, [other for other in studies if other["dataset"] == study["dataset"]])
    verdicts = [
        (claim, WORDS[claim], [study["verdicts"].get(claim, _NONE) for study in studies])
        for claim in ORDER
        if any(claim in study["verdicts"] for study in studies)
    ]
    return {"studies": studies, "verdicts": verdicts}


def _name(study: Json, of_dataset: Sequence[Json]) -> str:
    """The dataset, and where several studies are of it, by what this one differs from the preset."""
    if len(of_dataset) == 1:
        return str(study["dataset"])
    preset = [study["preset"]] if len({other["preset"] for other in of_dataset}) > 1 else []
    seed = [f"seed {study['asset_seed']}"] if study["asset_seed"] else []
    settings = [f"{name.split('.')[-1]} {value}" for name, value in _settings(study)]
    return ", ".join([study["dataset"], *([*preset, *seed, *settings] or ["preset"])])


def _study(result: Json) -> Json:
    evidence = sorted(result["evidence"], key=lambda each: ORDER.index(each["claim"]))
    there = set(next(iter(result["arms"].values()), {}))
    columns = [name for name in COLUMNS if name in there]
    arms = {name: result["arms"][name] for name in (*(arm.name for arm in ARMS), "item_mean") if name in result["arms"]}
    return result | {
        "arms": arms,
        "evidence": [each | {"words": WORDS[each["claim"]], "tables": tables(each["figures"])} for each in evidence],
        "verdicts": {each["claim"]: each["verdict"] for each in evidence},
        "columns": columns,
        "command": _command(result),
        "given": {name: asset for name, asset in sorted(result["assets"].items()) if asset["elsewhere"]},
        "total_seconds": sum(result["seconds"]["assets"].values()) + result["seconds"]["arms"],
    }


def _command(result: Json) -> str:
    options = f"--dataset {result['dataset']}" + ("" if result["dataset"] == "synthetic" else " --source FOLDER")
    options += f" --preset {result['preset']}"
    if result["asset_seed"]:
        options += f" --seed {result['asset_seed']}"
    options += f" --seeds {len(result['seeds'])}"
    judged = {each["claim"] for each in result["evidence"]}
    if judged != set(ORDER):
        options += f" --only {','.join(claim for claim in ORDER if claim in judged)}"
    options += "".join(f" --set {name}={value}" for name, value in _settings(result))
    if any(asset["elsewhere"] for asset in result["assets"].values()):
        options += " --assets FOLDER"
    return f"reaseq claims {options}"


def _settings(result: Json) -> list[tuple[str, str]]:
    """What the study's configuration says otherwise than its preset; of what only one of them knows nothing is said."""
    preset = portable_config(load(result["preset"], seed=result["asset_seed"]))
    told, plain = _flat(with_defaults(result["config"])), _flat(with_defaults(preset))
    return [(name, _written(told[name])) for name in told if name in plain and told[name] != plain[name]]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """By dotted name; the dataset is left out, since the command has an option for it."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return {name: value for name, value in flat.items() if name != "data.dataset"}


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def tables(found: Mapping[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Figures as tables: (title, columns, rows); plain values gather in one table of their own."""
    plain = [[name, _shown(value)] for name, value in found.items() if not isinstance(value, Mapping)]
    tables = [("", ["figure", "value"], plain)] if plain else []
    for title, part in found.items():
        if not isinstance(part, Mapping):
            continue
        if all(isinstance(row, Mapping) for row in part.values()) and part:
            columns = list(dict.fromkeys(column for row in part.values() for column in row))
            rows = [[name, *(_shown(row.get(column)) for column in columns)] for name, row in part.items()]
            tables.append((title, ["", *columns], rows))
        else:
            tables.append((title, ["figure", "value"], [[name, _shown(value)] for name, value in part.items()]))
    return tables


def _shown(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4f}"
    if isinstance(value, list):
        return ", ".join(_shown(part) for part in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plotted(comparisons: Sequence[Json]) -> list[tuple[str, Json]]:
    """(label, change) of the comparisons that have an interval."""
    return [
        (_label(each), each)
        for each in comparisons
        if not math.isnan(each["effect"]) and not math.isnan(each["low"]) and each["what"].startswith("GAUC")
    ]


def _label(each: Json) -> str:
    if each["other"] == each["base"]:  # a gain against another gain
        return f"{each['other']}: {each['what'].removeprefix('GAUC ')}"
    where = each["what"].removeprefix("GAUC").removeprefix(", ")
    return f"{each['other']} − {each['base']}" + (f"  ({where})" if where else "")
