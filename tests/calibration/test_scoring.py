"""Fitting, counting and costs, on made-up records whose right answer is known."""

import tomllib

import numpy as np
import pytest

from discover.bench import verdict as costs
from discover.calibration import fitting, scoring
from discover.calibration.records import Record
from discover.calibration.running import _fraction
from discover.judgement import thresholds
from discover.judgement.evidence import Evidence
from discover.judgement.verdict import ANSWERS, Calibration, judge, strengths


def evidence(**values: float) -> list[Evidence]:
    return [
        Evidence(name=name, value=x, interval=(x, x), supports=()) for name, x in values.items()
    ]


def physics_like(error: float) -> list[Evidence]:
    return evidence(
        **{
            "refit error far out": error,
            "law error in the region": error,
            "extended law error far out": error,
            "best law error far out": error,
            "best law error in the region": error,
            "resolution": error,
            "residual growth": 1.0,
            "low-dimensional predictability": 0.0,
            "gain of extra terms": 1.0,
            "cost of possible parameters": 1.0,
        }
    )


def record(name: str, truth: str, found: list[Evidence], **more) -> Record:
    fields = {
        "robot": "r", "nv": 2, "kind": name, "strength": "", "noise": "clean", "edges": {},
        "departure": None, "answer": "", "confidence": 0.0, "reach": {}, "resolution": (0.0, 0.0),
        "queries": 10, "seconds": 1.0, "budget": "standard", "seed": 0, "instrument": "",
    }  # fmt: skip
    return Record(name=name, truth=truth, evidence=found, **(fields | more))


def test_wilson_interval_against_published_values():
    low, high = scoring.Share(count=8, total=10).interval
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=2e-4)  # Wilson (1927), z = 1.96
    assert scoring.Share(count=0, total=0).interval == (0.0, 1.0)


def test_strong_evidence_is_surer_than_weak_and_none_is_undetermined():
    strong, weak = judge(physics_like(1e-6)), judge(physics_like(0.03))
    assert strong.answer == weak.answer == "physics"
    assert strong.confidence > weak.confidence
    assert judge([]).answer == "undetermined"


def test_calibration_learns_that_strength_means_little():
    rng = np.random.default_rng(0)
    found = physics_like(1e-4)
    honest = [record(f"m{i}", "physics", found) for i in range(40)]
    mixed = [
        record(f"m{i}", "physics" if rng.random() < 0.6 else "undetermined", found)
        for i in range(40)
    ]
    sure = fitting.predict(fitting.fit(honest), honest)[0, ANSWERS.index("physics")]
    unsure = fitting.predict(fitting.fit(mixed), mixed)[0, ANSWERS.index("physics")]
    assert sure > 0.9
    assert unsure < 0.75


def test_many_of_a_kind_do_not_make_an_empty_case_win():
    strong = [record(f"p{i}", "physics", physics_like(1e-6)) for i in range(10)]
    crowd = [record(f"a{i}", "alternative law", []) for i in range(90)]
    calibration = fitting.fit(strong + crowd)
    assert judge([], calibration).answer == "undetermined"


def test_what_is_left_out_is_not_seen():
    rows = [record("odd", "lookup table", physics_like(1e-6))]
    rows += [record(f"m{i}", "physics", physics_like(1e-6)) for i in range(20)]
    p = fitting.left_out(rows, "kind")
    alone = fitting.predict(fitting.fit(rows[1:]), rows[:1])
    np.testing.assert_allclose(p[0], alone[0])


def test_adopting_a_calibration_changes_nothing_else_in_the_file(tmp_path):
    path = tmp_path / "thresholds.toml"
    path.write_text(thresholds.FILE.read_text())
    before = tomllib.loads(path.read_text())
    comments = [x.strip() for x in path.read_text().splitlines() if x.strip().startswith("#")]
    name = "physics: refit error far out"
    mine = Calibration(
        sharpness=1.25,
        offsets={"lookup table": 0.1, "physics": -0.2, "alternative law": 0.3},
        lapse=0.02,
        bounds={name: 0.123456},
    )
    for _ in range(2):  # a second time replaces the first
        fitting.adopt(mine, path, command="discover calibrate", models=7, code="abc")
    after = tomllib.loads(path.read_text())
    stored = after.pop("calibration")
    del before["calibration"]
    assert after == before
    assert [
        x.strip() for x in path.read_text().splitlines() if x.strip().startswith("#")
    ] == comments
    assert stored["sharpness"] == 1.25
    assert stored["offsets"] == mine.offsets
    assert stored["models"] == 7
    assert stored["bounds"] == {name: 0.1235}


def test_a_file_without_a_calibration_gets_one(tmp_path):
    path = tmp_path / "thresholds.toml"
    path.write_text("# why\n[numbers.room]\nx = { value = 1.0 }  # because\n")
    mine = Calibration(sharpness=1.0, offsets=dict.fromkeys(ANSWERS[:3], 0.0), lapse=0.02)
    fitting.adopt(mine, path, command="c", models=7, code="abc")
    assert path.read_text().startswith("# why\n[numbers.room]\nx = { value = 1.0 }  # because\n")
    assert tomllib.loads(path.read_text())["calibration"]["bounds"] == {}


def test_counts_of_planted_answers():
    def judged(truth: str, answer: str, confidence: float, **more) -> scoring.Judged:
        p = np.full(4, (1 - confidence) / 3)
        p[ANSWERS.index(answer)] = confidence
        return scoring.Judged(
            record=record(answer, truth, [], **more),
            answer=answer,
            confidence=confidence,
            probabilities=p,
        )

    rows = [
        judged("physics", "physics", 0.95),
        judged("physics", "undetermined", 0.6),
        judged("alternative law", "physics", 0.95),
        judged("undetermined", "undetermined", 0.7, edges={"q": 1.4}, reach={"q": 1.5}),
    ]
    met = {c.what: c for c in scoring.claims(rows)}
    assert scoring.share(scoring.decided(rows), lambda r: r.right).count == 2
    assert met["tables or laws called physics with confidence above 0.9"].figure == "1"
    assert met["planted reaches measured within 0.15 half-widths"].met
    assert [m.record.truth for m in scoring.misses(rows)] == ["alternative law", "physics"]
    assert scoring.brier(rows[:1]) == pytest.approx(0.05**2 + 3 * (0.05 / 3) ** 2)


def test_thinning_depends_on_names_alone():
    values = [_fraction(f"model {i}") for i in range(2000)]
    assert 0.45 < np.mean(values) < 0.55
    assert _fraction("model 3") == values[3]


def test_strengths_are_what_the_verdict_uses():
    found = physics_like(0.01)
    by_hand = Calibration.stored().probabilities(strengths(found), 0.01)
    assert judge(found).probabilities == by_hand


def test_bounds_are_fitted_and_move_no_further_than_their_meaning():
    from discover.judgement.thresholds import rules

    name = "physics: refit error far out"
    rule = next(r for r in rules() if r.name == name)

    def far(error: float) -> list[Evidence]:
        return evidence(**{e.name: e.value for e in physics_like(0.01)} | {rule.evidence: error})

    good = [record(f"p{i}", "physics", far(0.01 + 0.001 * i)) for i in range(40)]
    bad = [record(f"u{i}", "undetermined", far(0.06 + 0.001 * i)) for i in range(40)]
    fitted = fitting.fit(good + bad).bounds
    assert 0.2 * rule.bound < fitted[name] < 0.8 * rule.bound
    assert fitting.fit(good + bad).bounds["lookup table: kept label noise"] == pytest.approx(0.5)
    assert judge(far(0.09), fitting.fit(good + bad)).answer == "undetermined"


def test_a_law_below_the_resolution_called_physics_is_true_as_stated_and_a_miss_all_the_same():
    def called_physics(departure: float) -> scoring.Judged:
        return scoring.Judged(
            record=record(
                "law", "alternative law", [], departure=departure, resolution=(0.05, 0.1)
            ),
            answer="physics",
            confidence=0.6,
            probabilities=np.array([0.1, 0.6, 0.1, 0.2]),
        )

    small, large = called_physics(0.02), called_physics(0.08)
    assert (small.true_as_stated, large.true_as_stated) == (True, False)
    assert scoring.misses([small]) == [small]


def test_the_coarser_the_resolution_the_less_sure_is_physics():
    calibration = Calibration(
        sharpness=1.0, offsets=dict.fromkeys(ANSWERS[:3], 0.0), lapse=0.0, hiding=0.4
    )
    strong = {"lookup table": -9.0, "physics": 6.0, "alternative law": -9.0}
    fine, coarse = (calibration.probabilities(strong, x)["physics"] for x in (1e-9, 1e-2))
    assert fine > 0.99
    assert coarse == pytest.approx(fine * (1 - 0.4 * 0.5))


def test_physics_at_a_coarse_resolution_is_never_surer_than_nine_tenths():
    good = [record(f"p{i}", "physics", physics_like(1e-9)) for i in range(40)]
    fitted = fitting.fit(good)
    rows = fitting.predict(
        fitted, [record("fine", "physics", physics_like(1e-9)),
                 record("coarse", "physics", physics_like(0.011))]
    )  # fmt: skip
    assert rows[0, ANSWERS.index("physics")] > 0.9
    assert rows[1, ANSWERS.index("physics")] < 0.9


def test_medians_of_costs_are_of_robots_of_a_size():
    def measured(robot: str, nv: int, kind: str, seconds: float) -> Record:
        return record(
            f"{robot}: {kind}", "physics", [], robot=robot, nv=nv, kind=kind, answer="physics",
            confidence=0.9, seconds=seconds, cpu=seconds / 2,
        )  # fmt: skip

    times = (1, 2, 30, 40, 50)
    rows = [measured("arm", 7, k, s) for k, s in zip(costs.KINDS, times, strict=True)]
    report = costs.report([*rows, measured("hinge", 1, "exact", 0.2)])
    assert "| 1 to 3 | 0.1 | 0.2 | 5 s |" in report
    assert "| 4 to 7 | 15.0 | 30.0 | 30 s |" in report
    assert "8 to 18" not in report
