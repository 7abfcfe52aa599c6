"""The table of what verdicts cost: medians by size against what is asked."""

from discover.bench import verdict
from discover.calibration.records import Record


def record(robot: str, nv: int, kind: str, seconds: float, queries: int) -> Record:
    return Record(
        name=f"{robot}: {kind}", robot=robot, nv=nv, kind=kind, truth="physics", strength="",
        noise="clean", edges={}, departure=None, answer="physics", confidence=0.9, evidence=[],
        reach={}, resolution=(0.0, 0.0), queries=queries, seconds=seconds, budget="standard",
        seed=0, instrument="", cpu=seconds / 2,
    )  # fmt: skip


def test_medians_are_of_robots_of_a_size():
    rows = [
        record("arm", 7, k, s, 150) for k, s in zip(verdict.KINDS, (1, 2, 30, 40, 50), strict=True)
    ]
    rows += [record("hinge", 1, "exact", 0.2, 146)]
    told = verdict.report(rows)
    assert "| 1 to 3 | 0.1 | 0.2 | 5 s |" in told
    assert "| 4 to 7 | 15.0 | 30.0 | 30 s |" in told
    assert "8 to 18" not in told
