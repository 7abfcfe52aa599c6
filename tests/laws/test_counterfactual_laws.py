"""Counterfactual laws: sound lists, and a score that tells the law from what is like it."""

from collections import Counter

import numpy as np
import pytest
import sympy

from tests.bench.laws.counterfactual.__main__ import LISTS, NOISES, laws_of, report, trials
from tests.bench.laws.counterfactual.contract import CounterfactualLaw
from tests.bench.laws.counterfactual.scoring import error, limit, score, wilson

LAW = CounterfactualLaw("toys", 1, "a*b", "3*a*b**1.5+2", (("a", 1, 2), ("b", 1, 3)))
a, b = LAW.symbols


@pytest.mark.parametrize("name", LISTS)
def test_laws_have_values_and_every_variable_matters(name):
    for law in laws_of(name):
        assert law.expression.free_symbols == set(law.symbols), law.name
        _, y = law.experiments(200, 0.0, np.random.default_rng(0))
        assert np.isfinite(y).all(), law.name
        assert np.ptp(y) > 0.05 * np.abs(y).mean(), law.name
        assert len(law.wider(500, np.random.default_rng(0))) == 500, law.name
        assert error(law.expression, law, 0) < 1e-9


def test_the_first_list_is_as_long_as_it_says():
    laws = laws_of("first")
    assert len({law.name for law in laws}) == len(laws) >= 40
    assert len({law.domain for law in laws}) == 12
    assert Counter(law.depth for law in laws) == {1: 14, 2: 14, 3: 14}
    texts = {law.text for law in laws}
    assert not texts & {law.text for law in laws_of("second")}


def test_every_dozen_of_trials_has_each_noise_and_depth_as_often():
    laws = laws_of("first")
    made = [t for t in trials("first", 1, 24) if t["way"] == "search"]
    for start in (0, 12, 24):
        pairs = Counter((t["noise"], laws[t["law"]].depth) for t in made[start : start + 12])
        assert len(pairs) == 12
    whole = trials("first", 4, 24)
    assert len({t["id"] for t in whole}) == len(whole) == 4 * len(laws) + 24
    assert Counter(t["noise"] for t in whole if t["way"] == "search") == dict.fromkeys(
        NOISES, len(laws)
    )


def test_the_law_in_another_form_is_recovered():
    assert score(sympy.sqrt(b) * sympy.Float(3) * b * a + 2, LAW, 0).recovered
    nearly = score(sympy.Float(3.015) * a * b ** sympy.Float(1.499) + sympy.Float(2.01), LAW, 0)
    assert nearly.recovered
    assert not nearly.predicts(0.0)
    assert nearly.predicts(0.1)


@pytest.mark.parametrize(
    "formula",
    [
        sympy.Float(3.2) * a * b**1.5 + 2,  # a number that is 7 % off
        sympy.Float(3) * a * b ** sympy.Rational(4, 3) + 2,
        3 * a * b**1.5 + 2 + sympy.Float(1e-3) * a,  # a term too many
        sympy.Float(3) * a * b + 2,
    ],
)
def test_what_is_like_the_law_is_not_recovered(formula):
    scored = score(formula, LAW, 0)
    assert not scored.recovered
    assert not scored.predicts(0.0)


def test_no_formula_scores_nothing():
    assert score(None, LAW, 0).error == np.inf
    assert limit(1e-2) == 5e-3


def test_wilson_holds_known_values():
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == pytest.approx(1.0)


def test_noise_is_of_the_readings_spread():
    rng = np.random.default_rng(3)
    x, y = LAW.experiments(4000, 0.01, rng)
    assert (y - LAW(x)).std() / LAW(x).std() == pytest.approx(0.01, rel=0.1)


def test_the_report_tells_both_ways_and_the_misses():
    record = {"depth": 1, "domain": "toys", "truth": "a", "anywhere": True, "seconds": 1.0,
              "noise": 0.0, "law": 0, "formula": "a", "error": 0.1}  # fmt: skip
    good = {**record, "way": "search", "recovered": True, "predicts": True}
    bad = {**record, "way": "operon", "recovered": False, "predicts": False}
    lines = report([good, bad], "first")
    assert any(x.startswith("| all | 1 | 1 (100 %; 21 %–100 %) | 0 (0 %; 0 %–79 %)") for x in lines)
