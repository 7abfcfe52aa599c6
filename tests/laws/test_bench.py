"""`discover bench laws`: trials are kept one by one, and what is kept is not run again."""

import pytest

from discover import cli
from tests.bench.parts import tell
from tests.bench.trials import Part, run_part, share, trigonometry

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


def test_trials_are_kept_and_resumed(tmp_path):
    RUN.clear()
    with pytest.raises(RuntimeError, match="cut short"):
        run_part(PART, tmp_path, [0], 1, lambda line: None)
    assert RUN == ["0-0", "0-1", "0-2"]
    told = []
    records = run_part(PART, tmp_path, [0], 1, told.append)
    assert RUN == ["0-0", "0-1", "0-2", "0-2"]
    assert [r["square"] for r in records] == [0, 1, 4]
    assert told == ["squares: 2 of 3 trials are kept"]
    path = tell("laws", "Laws", tmp_path, {"squares": PART})
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


def test_groups_take_turns():
    groups = [[{"id": "a"}, {"id": "b"}], [{"id": "c"}]]
    assert [t["id"] for t in trigonometry(groups)] == ["a", "c", "b"]


@pytest.mark.parametrize(
    "arguments",
    [["laws", "--part", "unicorns"], ["dynamics", "--workers", "2"], ["laws", "--seeds", "one"]],
)
def test_wrong_options_are_one_line(arguments, capsys):
    assert cli.main(["bench", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
