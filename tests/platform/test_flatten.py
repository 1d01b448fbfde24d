import pytest

from reaseq.platform.errors import TrackingError
from reaseq.platform.flatten import figures, parameters


def test_parameters_are_dotted_and_every_leaf_is_there():
    tree = {"seed": 3, "ranking": {"hidden": [64, 32], "critic": True, "source": None}}
    assert parameters(tree) == {"seed": "3", "ranking.hidden": "[64, 32]", "ranking.critic": "true"}


def test_figures_take_finite_numbers_and_spell_what_mlflow_forbids():
    tree = {"hr@10": 0.5, ">20": {"auc": 1}, "name": "x", "flag": True, "none": None, "nan": float("nan")}
    assert figures(tree) == {"hr_at_10": 0.5, "over_20.auc": 1.0}


def test_a_short_list_is_figures_and_a_long_one_is_a_curve():
    assert figures({"interval": [0.1, 0.2], "curve": list(range(50))}) == {"interval.0": 0.1, "interval.1": 0.2}


def test_two_figures_of_one_name_are_refused():
    with pytest.raises(TrackingError, match=r"'a\+b' and 'a\*b'"):
        figures({"a+b": 1.0, "a*b": 2.0})
