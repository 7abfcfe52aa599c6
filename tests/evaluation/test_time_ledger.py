"""The bench of the time ledger: measured, stored, told again from what is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from discover.artifacts import read_json, write_json
from discover.bench import ledger, ledger_report
from discover.bench.ledger_measurement import Effort
from discover.bench.ledger_robots import SUBJECTS
from discover.report.pareto import Point, front, points

QUICK = Effort(
    samples=400, epochs=5, rounds=2, processes=1, batches=(1, 64), torch_compile=False, law=False
)
PENDULUM = replace(SUBJECTS[0], networks=("mlp 2×32",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ledger")
    ledger.main(out, lambda _: None, subjects=[PENDULUM], effort=QUICK)
    return out


@pytest.mark.slow
def test_every_contender_is_timed_and_held_against_the_truth(folder: Path) -> None:
    held = read_json(folder / "double_pendulum.json")
    timed = {(t["name"], t["batch"]) for t in held["timings"]}
    names = {name for name, _ in timed}
    assert timed == {(name, batch) for name in names for batch in (1, 64)}
    for word in ("torch eager", "compiled", "one state", "mlp 2×32", "ONNX", "Pinocchio", "MuJoCo"):
        assert any(word in name for name in names), word
    errors = {a["name"]: a["errors"] for a in held["accuracy"]}
    assert max(errors["simulator, compiled"]) < 1e-12
    assert min(errors["mlp 2×32"]) > 1e-4  # a network of five epochs is not exact
    assert {"anew", "cached"} == set(held["compile"])


@pytest.mark.slow
def test_the_report_answers_first_and_shows_the_figure(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    first = text.split("\n\n")[1]
    assert first.startswith("**No")
    assert "Double pendulum" in first
    assert f"({ledger_report.FIGURE})" in text
    assert (folder / ledger_report.FIGURE).stat().st_size > 10_000
    assert "eliminate elbow" in text


def test_the_answer_follows_the_numbers(folder: Path, tmp_path: Path) -> None:
    held = read_json(folder / "double_pendulum.json")
    for timing in held["timings"]:
        if timing["name"] == "mlp 2×32":
            timing["nanoseconds"] = 0.5  # faster than anything
    write_json(tmp_path / "double_pendulum.json", held)
    said: list[str] = []
    ledger.main(tmp_path, said.append, subjects=[PENDULUM], effort=QUICK)
    first = (tmp_path / "report.md").read_text().split("\n\n")[1]
    assert first.startswith("**Only if a large error will do.")
    assert "0.500 ns" in "".join(said)


def test_cheaper_is_held_against_faster_only_where_it_is_cheaper(folder: Path) -> None:
    held = read_json(folder / "double_pendulum.json")
    for row in held["programs"]:
        row["median_ns"] = 5.0 if row["contender"].startswith("compiled aba") else 9.0
    counts = held["orders"]["operations"]
    assert counts["found"] == counts["aba"] < counts["crba"]
    assert "not faster" not in "".join(ledger_report.orders(held))
    counts["found"] -= 1
    assert "**Cheaper is not faster here**" in "".join(ledger_report.orders(held))


def test_the_front_joins_those_that_nothing_beats() -> None:
    def point(family: str, time: float, inside: float) -> Point:
        return Point(family=family, kind="model", time=time, inside=inside, outside=1.0)

    found = [point("a", 1, 0.1), point("b", 2, 0.2), point("c", 3, 0.01), point("d", 4, 1e-16)]
    assert [p.family for p in front(found)] == ["a", "c", "d"]


def test_a_family_is_drawn_where_it_runs_fastest() -> None:
    held = {
        "timings": [
            {"name": name, "batch": batch, "nanoseconds": ns}
            for name, ns in (("slow", 9.0), ("fast", 3.0))
            for batch in (1, 64)
        ],
        "accuracy": [
            {"name": name, "kind": "model", "family": "net", "errors": [0.1, 0.2]}
            for name in ("slow", "fast")
        ]
        + [{"name": "mad", "kind": "model", "family": "mad", "errors": [None, None]}],
    }
    (only,) = points(held, 64)
    assert only.time == pytest.approx(3e-9)
    assert (only.inside, only.outside) == (0.1, 0.2)


def test_the_card_has_a_section_of_its_own(folder: Path, tmp_path: Path) -> None:
    """From numbers made up: no card is needed to tell what one measured."""

    def timing(name: str, ns: float, batch: int, threads: int = 1) -> dict[str, object]:
        more = {"dtype": "float64", "threads": threads, "note": "", "low": ns, "high": ns}
        return {"name": name, "batch": batch, "nanoseconds": ns, **more}

    rows = {"simulator, compiled": 2.0, "simulator, compiled, float32": 1.0, "net": 8.0}
    rows["simulator, compiled, processor, one thread"] = 20.0
    held = read_json(folder / "double_pendulum.json")
    card = {key: held[key] for key in ("title", "robot", "region", "date", "reference")}
    card |= {
        "machine": {**held["machine"], "card": "Some Card"},
        "versions": {**held["versions"], "CUDA": "13.0"},
        "timings": [timing(name, ns, batch) for name, ns in rows.items() for batch in (1, 4096)],
        "accuracy": [
            {
                "name": name,
                "kind": "model" if name == "net" else "simulator",
                "family": name,
                "radii": [1.0, 2.0, 3.0],
                "errors": [0.1 if name == "net" else 1e-15] * 3,
            }
            for name in rows
        ],
        "training": held["training"],
        "build_seconds": 1.0,
    }
    write_json(tmp_path / "double_pendulum_cuda.json", card)
    write_json(tmp_path / "double_pendulum.json", held)
    text = ledger.report(tmp_path).read_text()
    second = text.split("\n\n")[2]
    assert second.startswith("**On a graphics card** (Some Card)")
    assert "4.00 times slower than the program in float64 and 8.00 times slower" in second
    assert "10.0 times the speed of the same program on one thread" in text
    assert (tmp_path / "error_against_time_cuda.png").stat().st_size > 10_000
