"""`discover bench laws`: trials are stored one by one and not run again."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from discover import cli
from discover.bench import registry
from tests.bench.trials import Part, alternate, run_part, share, write_report

RUN = []


def _trials(seeds):
    return [{"id": f"{s}-{k}", "k": k} for s in seeds for k in range(3)]


def _run(trial):
    RUN.append(trial["id"])
    if trial["k"] == 2 and len(RUN) < 4:
        raise RuntimeError("cut short")
    return {"square": trial["k"] ** 2}


PART = Part(
    name="squares",
    title="Squares",
    trials=_trials,
    run=_run,
    report=lambda records, folder: [share(records, "square")],
)


def test_trials_are_stored_and_resumed(tmp_path):
    RUN.clear()
    with pytest.raises(RuntimeError, match="cut short"):
        run_part(PART, tmp_path, [0], 1, lambda line: None)
    assert RUN == ["0-0", "0-1", "0-2"]
    lines = []
    records = run_part(PART, tmp_path, [0], 1, lines.append)
    assert RUN == ["0-0", "0-1", "0-2", "0-2"]
    assert [r["square"] for r in records] == [0, 1, 4]
    assert lines == ["squares: 2 of 3 trials are stored"]
    path = write_report("laws", "Laws", tmp_path, {"squares": PART})
    assert "## Squares\n\n2 of 3 (66.7 %)" in path.read_text()
    assert "trials were run" not in path.read_text()  # none is missing


@pytest.mark.slow
def test_processes_give_the_same_records(tmp_path):
    RUN.clear()
    part = Part(name="s", title="S", trials=_trials, run=_double, report=PART.report)
    some = run_part(part, tmp_path / "one", [1, 2], 1, print)
    many = run_part(part, tmp_path / "two", [1, 2], 2, print)
    assert [r["double"] for r in some] == [r["double"] for r in many]


def _double(trial):
    return {"double": 2 * trial["k"]}


def test_groups_alternate():
    groups = [[{"id": "a"}, {"id": "b"}], [{"id": "c"}]]
    assert [t["id"] for t in alternate(groups)] == ["a", "c", "b"]


@pytest.mark.parametrize(
    "arguments",
    [["laws", "--part", "unicorns"], ["dynamics", "--workers", "2"], ["laws", "--seeds", "one"]],
)
def test_wrong_options_are_one_line(arguments, capsys):
    assert cli.main(["bench", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_subject_of_a_checkout_has_its_bench():
    for module in registry.CHECKOUT.values():
        assert callable(import_module(module).main)


def test_a_bench_runs_from_a_checkout(tmp_path, monkeypatch):
    from tests.bench.laws import entries

    monkeypatch.setattr(entries, "COUNT", 1)
    monkeypatch.setattr(entries, "SMOOTH_COUNT", 1)
    monkeypatch.setattr(entries, "SAMPLES", 150)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench", "laws", "--part", "entries", "--out", "out"]) == 0
    assert "2 missed" not in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize("subject", list(registry.CHECKOUT))
def test_an_installed_package_says_that_a_checkout_is_needed(
    subject, tmp_path, monkeypatch, capsys
):
    installed = tmp_path / "site-packages" / "discover" / "bench" / "registry.py"
    monkeypatch.setattr(registry, "__file__", str(installed))
    assert cli.main(["bench", subject]) == 2
    error = capsys.readouterr().err
    assert "checkout" in error
    assert error.count("\n") == 1


def test_the_wheel_has_no_tests():
    project = Path(registry.__file__).parents[2] / "pyproject.toml"
    built = tomllib.loads(project.read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert built["only-include"] == ["discover", "kinematics", "datasets"]
