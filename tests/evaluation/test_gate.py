"""The gate's rule as a table: each check failing alone holds the challenger and says why."""

import json
import re
from dataclasses import replace

import pytest

from reaseq.evaluation import gate, gate_page
from reaseq.evaluation.bootstrap import Effect
from reaseq.evaluation.gate import Bounds, Decision, Evidence, decide

NAN = float("nan")
BOUNDS = Bounds(ece=0.05, click_ratio=(0.8, 1.25))
EVEN = Effect(0.001, -0.01, 0.012, 200)
WORSE = Effect(-0.05, -0.08, -0.01, 200)
BUCKETS = {group: dict.fromkeys(("0", "1-5", "6-20", ">20"), EVEN) for group in gate.GROUPS}
SOUND = Evidence(
    seeds=[0, 1, 2],
    auc=[0.70, 0.71, 0.72],
    champion_auc=0.70,
    auc_effect=Effect(0.01, -0.001, 0.02, 200),
    buckets=BUCKETS,
    ece=0.03,
    click_ratio=1.05,
    parity_recorded=1e-7,
    parity_rerun=1e-7,
)


def worse_in(group: str, bucket: str) -> Evidence:
    return replace(SOUND, buckets=BUCKETS | {group: BUCKETS[group] | {bucket: WORSE}})


UNSOUND = {
    "two seeds": (replace(SOUND, seeds=[0, 1], auc=[0.7, 0.7]), "seeds", "2 training seeds, at least 3"),
    "one seed thrice": (replace(SOUND, seeds=[4, 4, 4]), "seeds", "1 training seed, at least 3"),
    "an unreadable champion": (
        replace(SOUND, champion_problem="a byte changed"),
        "champion.comparable",
        "a byte changed",
    ),
    "a lower AUC": (replace(SOUND, champion_auc=0.7121), "auc", r"AUC 0\.7100 against 0\.7121 \(−0\.00210"),
    "no AUC": (replace(SOUND, auc=[NAN] * 3), "auc", "lack a class"),
    "new items": (worse_in("item_events", "0"), "bucket.item_events.0", r"items with 0 training events −0\.0500 \["),
    "rare items": (worse_in("item_events", "1-5"), "bucket.item_events.1-5", "items with 1–5 training events"),
    "known items": (worse_in("item_events", "6-20"), "bucket.item_events.6-20", "items with 6–20"),
    "popular items": (worse_in("item_events", ">20"), "bucket.item_events.over-20", "items with >20"),
    "new users": (worse_in("history", "0"), "bucket.history.0", "histories of 0 events"),
    "sparse users": (worse_in("history", "1-5"), "bucket.history.1-5", "histories of 1–5"),
    "regular users": (worse_in("history", "6-20"), "bucket.history.6-20", "histories of 6–20"),
    "busy users": (worse_in("history", ">20"), "bucket.history.over-20", "histories of >20"),
    "poor calibration": (replace(SOUND, ece=0.051), "calibration.ece", r"0\.051, bound ≤ 0\.05"),
    "too many clicks": (replace(SOUND, click_ratio=1.26), "calibration.click_ratio", r"1\.260, bound 0\.8 to 1\.25"),
    "too few clicks": (replace(SOUND, click_ratio=0.79), "calibration.click_ratio", r"0\.790, bound 0\.8 to 1\.25"),
    "parity lost in export": (replace(SOUND, parity_recorded=2e-5), "parity.recorded", r"2\.0e-05, at most 1e-05"),
    "parity lost since": (replace(SOUND, parity_rerun=NAN), "parity.rerun", "ONNX parity now"),
}


def test_a_sound_challenger_is_promoted():
    decision = decide(SOUND, BOUNDS)

    assert decision.promote
    assert decision.word == "promote"
    assert {check.status for check in decision.checks} == {"pass"}
    assert decision.reason == f"all {len(decision.checks)} checks that apply are passed"


@pytest.mark.parametrize("case", UNSOUND)
def test_one_check_that_fails_holds_the_challenger_and_gives_the_reason(case: str):
    evidence, name, reason = UNSOUND[case]

    decision = decide(evidence, BOUNDS)

    assert decision.word == "hold"
    assert [check.name for check in decision.failed] == [name]
    assert re.search(reason, decision.reason)


def test_figures_on_their_bounds_pass():
    on_the_bound = replace(
        SOUND,
        auc=[0.5, 0.5, 0.5],
        champion_auc=0.502,
        ece=0.05,
        click_ratio=1.25,
        parity_rerun=1e-5,
        buckets=BUCKETS | {"history": {"0": Effect(-0.02, -0.04, 0.0, 50)}},
    )

    assert decide(on_the_bound, BOUNDS).promote


def test_a_bucket_of_few_users_measures_nothing_and_holds_nobody():
    few = worse_in("history", "0").buckets | {"history": BUCKETS["history"] | {"0": replace(WORSE, n=9)}}

    decision = decide(replace(SOUND, buckets=few), BOUNDS)

    (check,) = [check for check in decision.checks if check.name == "bucket.history.0"]
    assert check.status == "not applicable"
    assert "fewer than 10 users" in check.reason
    assert decision.promote


def test_a_gate_that_could_measure_no_bucket_does_not_promote():
    unmeasured = Effect(0.01, NAN, NAN, 200, "no bootstrap samples were asked for")

    decision = decide(replace(SOUND, buckets=BUCKETS | {"history": {">20": unmeasured}}), BOUNDS)

    assert [check.name for check in decision.failed] == ["buckets"]
    assert "no bucket of history could be measured" in decision.reason


def test_several_failures_are_counted_after_the_first():
    decision = decide(replace(SOUND, seeds=[0], ece=0.2, click_ratio=9.0), BOUNDS)

    assert decision.reason == "1 training seed, at least 3 are needed (and 2 more checks fail)"


def test_a_decision_survives_json_and_tells_mlflow_every_figure():
    decision = decide(worse_in("item_events", ">20"), BOUNDS)

    again = Decision.from_json(json.loads(json.dumps(decision.as_json())))

    assert again == decision
    tags = again.tags
    assert tags["reaseq.gate.decision"] == "hold"
    assert tags["reaseq.gate.rule_version"] == "1"
    assert tags["reaseq.gate.bucket.item_events.over-20"] == "fail -0.05 [-0.08, -0.01] (bound: interval not below 0)"
    assert tags["reaseq.gate.auc"].startswith("pass 0.01 ")
    assert all(re.fullmatch(r"[\w./ :-]+", name) for name in tags)
    assert all(len(text) < 5000 for text in tags.values())


@pytest.mark.parametrize("evidence", [SOUND, UNSOUND["new items"][0], replace(SOUND, auc=[NAN] * 3, ece=NAN)])
def test_both_pages_show_every_check(evidence: Evidence):
    told = decide(evidence, BOUNDS).as_json() | {
        "challenger": {"digest": "ab" * 32, "seeds": [0, 1, 2], "auc": [0.7, 0.71, None]},
        "champion": {"name": "shop|<script>alert(1)</script> version 3", "auc": None},
        "confusion": {"threshold": 0.5, "counts": [[1, 2], [3, 4]]},
        "notes": ["a note"],
    }

    html, markdown = gate_page.as_html(told), gate_page.as_markdown(told)

    assert "<script" not in html + markdown
    assert "Content-Security-Policy" in html
    assert markdown.startswith(f"# {told['decision'].capitalize()}\n")
    for check in told["checks"]:
        assert gate_page._plain(check["title"]) in markdown
    assert html.count("<tr>") == len(told["checks"]) + 1
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5}
