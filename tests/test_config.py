import pytest
from pydantic import ValidationError

from reaseq.config import RunConfig, load
from reaseq.errors import ConfigError
from reaseq.presets import PRESETS


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_complete_and_survives_json(preset: str) -> None:
    config = load(preset, seed=3)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    assert config.seed == 3


def test_an_override_wins_over_the_preset() -> None:
    assert load("tiny", overrides={"behavior.layers": 5}).behavior.layers == 5
    assert load("tiny").behavior.layers != 5


def test_whole_floats_are_taken_for_integers_because_kfp_sends_them_so() -> None:
    assert (
        load("tiny", overrides={"behavior.layers": 3.0}).digest == load("tiny", overrides={"behavior.layers": 3}).digest
    )


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"behavior.depth": 3}, "behavior.depth"),
        ({"ranking.batch": "many"}, "ranking.batch"),
        ({"behavior.fit_share": 1.5}, "behavior.fit_share"),
        ({"seed.x": 1}, "seed"),
        ({"ranking.epochs": 0}, "ranking.epochs"),
        ({"ranking.batch": 0}, "ranking.batch"),
        ({"ranking.hidden": [64, 0]}, "ranking.hidden"),
        ({"ranking.id_dropout": 2.0}, "ranking.id_dropout"),
        ({"ranking.lag_hours": -1}, "ranking.lag_hours"),
        ({"ranking.golden_requests": 0}, "ranking.golden_requests"),
        ({"behavior.d_model": 30, "behavior.heads": 4}, "behavior: .*d_model"),
        ({"behavior.lr": float("inf")}, "behavior.lr"),
        ({"behavior.consistency_percentile": 101}, "behavior.consistency_percentile"),
        ({"representation.codebook_size": 1}, "representation.codebook_size"),
        ({"evaluation.bootstrap": -1}, "evaluation.bootstrap"),
        ({"evaluation.ranked_users": -5}, "evaluation.ranked_users"),
        ({"evaluation.ks": []}, "evaluation.ks"),
        ({"evaluation.gate_click_ratio": [1.2, 0.8]}, "evaluation: .*gate_click_ratio"),
    ],
)
def test_a_bad_setting_is_named(overrides: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load("tiny", overrides=overrides)


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="tiny, small, base, large"):
        load("huge")


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError):
        load("tiny").seed = 1  # type: ignore[misc]


def test_a_part_changes_only_with_its_own_sections() -> None:
    plain, changed = load("tiny"), load("tiny", overrides={"ranking.batch": 7})
    assert plain.part("knowledge") == changed.part("knowledge")
    assert plain.part("ranking") != changed.part("ranking")
