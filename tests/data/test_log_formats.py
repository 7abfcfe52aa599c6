"""Logs as loggers and spreadsheets write them: separators, decimal commas, dates, matrices, delays.

Each is read as the same motion, or refused in one line.
"""

import datetime

import h5py
import numpy as np
import pandas as pd
import pytest

from discover.data.logs import read_log
from discover.data.settings import Recording
from discover.errors import DatasetError

N, STEP = 400, 0.0025
TIME = STEP * np.arange(N)
TABLE = pd.DataFrame(
    {
        "t": TIME,
        "q1": np.sin(3 * TIME),
        "q2": 0.4 * np.cos(5 * TIME),
        "f1": np.cos(2 * TIME) - 0.2,
        "f2": np.sin(7 * TIME),
    }
)


def settings(folder, name, **changes):
    columns = {"time": "t", "q": ["q1", "q2"], "tau": ["f1", "f2"], **changes.pop("columns", {})}
    entries = {"folder": str(folder), "train": [name], "columns": columns, **changes}
    return Recording.model_validate(entries, strict=False)


def assert_is_the_motion(log, tolerance=1e-9):
    assert np.abs(log.time - TIME).max() < 1e-8
    assert np.abs(log.q - TABLE[["q1", "q2"]]).to_numpy().max() < tolerance
    assert np.abs(log.tau - TABLE[["f1", "f2"]]).to_numpy().max() < tolerance


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "|"])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("index", [True, False])
def test_separators_and_decimal_commas(tmp_path, separator, decimal, index):
    if separator == "," == decimal or (separator == " " and index):
        pytest.skip("cannot be told apart, or has an empty name in its header")
    TABLE.to_csv(tmp_path / "log.csv", sep=separator, decimal=decimal, index=index)
    assert_is_the_motion(read_log("log.csv", settings(tmp_path, "log.csv")))


def test_a_separator_at_the_end_of_each_row(tmp_path):
    lines = TABLE.to_csv(index=False).splitlines()
    text = "\n".join([lines[0], *(f"{line}," for line in lines[1:])])
    (tmp_path / "log.csv").write_text(text)
    assert_is_the_motion(read_log("log.csv", settings(tmp_path, "log.csv")))


def test_decimal_commas_between_commas_are_refused(tmp_path):
    TABLE.to_csv(tmp_path / "log.csv", decimal=",", index=False)
    unquoted = (tmp_path / "log.csv").read_text().replace('"', "")
    (tmp_path / "log.csv").write_text(unquoted)
    with pytest.raises(DatasetError, match="more fields than its header"):
        read_log("log.csv", settings(tmp_path, "log.csv"))


def test_commas_that_may_stand_between_thousands_are_refused(tmp_path):
    table = TABLE.assign(t=np.arange(N), f1="1,250", f2="2,500", q1=1, q2=2)
    table.to_csv(tmp_path / "log.csv", sep=";", index=False)
    with pytest.raises(DatasetError, match=r"'1,250' may have thousands or decimals"):
        read_log("log.csv", settings(tmp_path, "log.csv"))


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "python", "zone", "duration"])
def test_dates_are_read_in_seconds_whatever_their_unit(tmp_path, unit):
    steps = pd.to_timedelta((5000 * np.arange(N)).astype("int64"), unit="us")
    start = pd.Timestamp("2026-11-30 23:59:59")
    time = {
        "python": lambda: [(start + x).to_pydatetime() for x in steps],
        "zone": lambda: (start + steps).tz_localize("Europe/Madrid"),
        "duration": lambda: steps,
    }.get(unit, lambda: (start + steps).astype(f"datetime64[{unit}]"))()
    TABLE.assign(t=time).to_parquet(tmp_path / "log.parquet")
    log = read_log("log.parquet", settings(tmp_path, "log.parquet", format="parquet"))
    assert log.time == pytest.approx(0.005 * np.arange(N), abs=1e-9)


@pytest.mark.parametrize("zone", [None, datetime.UTC])
def test_dates_in_text(tmp_path, zone):
    start = datetime.datetime(2026, 2, 28, 23, 59, 59, tzinfo=zone)
    time = [(start + datetime.timedelta(seconds=x)).isoformat() for x in TIME]
    TABLE.assign(t=time).to_csv(tmp_path / "log.csv", index=False)
    assert_is_the_motion(read_log("log.csv", settings(tmp_path, "log.csv")))


def test_dates_with_a_factor_or_among_the_angles_are_refused(tmp_path):
    dates = pd.Timestamp("2026-11-30") + pd.to_timedelta(TIME, unit="s")
    TABLE.assign(t=dates, f2=dates).to_parquet(tmp_path / "log.parquet")
    wrong = settings(tmp_path, "log.parquet", format="parquet", scale={"time": 1e-3})
    with pytest.raises(DatasetError, match="'f2' expects numbers, found dates"):
        read_log("log.parquet", wrong)
    TABLE.assign(t=dates).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(DatasetError, match=r"expected recording.scale.time = 1, found 0.001"):
        read_log("log.parquet", wrong)


@pytest.mark.parametrize("unit", [1e-3, 1e-6, 1e-9])
def test_a_clock_in_another_unit_is_noticed(tmp_path, unit):
    clock = np.round((1.7e9 + TIME) / unit).astype("int64")
    TABLE.assign(t=clock).to_parquet(tmp_path / "log.parquet")
    plain = settings(tmp_path, "log.parquet", format="parquet")
    with pytest.raises(DatasetError, match=r"steps of .* s, too long .* recording.scale.time"):
        read_log("log.parquet", plain)
    entry = settings(tmp_path, "log.parquet", format="parquet", scale={"time": unit})
    assert read_log("log.parquet", entry).time == pytest.approx(TIME, abs=max(unit, 1e-6))


def test_a_column_of_lists_is_refused(tmp_path):
    TABLE.assign(q1=[[0.0, 1.0]] * N).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(DatasetError, match="'q1' expects finite numbers, found array"):
        read_log("log.parquet", settings(tmp_path, "log.parquet", format="parquet"))


def matrices(path, *, by_rows):
    with h5py.File(path, "w") as file:
        q, f = TABLE[["q1", "q2"]].to_numpy(), TABLE[["f1", "f2"]].to_numpy()
        file["arm/q"], file["f"] = (q.T, f.T) if by_rows else (q, f)
        file["clock"] = TIME[None] if by_rows else TIME[:, None]


MATRICES = {"time": "clock", "q": ["arm/q[0]", "/arm/q[1]"], "tau": ["f[0]", "f[1]"]}


@pytest.mark.parametrize("by_rows", [True, False])
def test_matrices_whichever_way_they_lie(tmp_path, by_rows):
    matrices(tmp_path / "log.h5", by_rows=by_rows)
    recording = settings(tmp_path, "log.h5", format="hdf5", columns=MATRICES)
    assert_is_the_motion(read_log("log.h5", recording))


def test_fields_of_a_table(tmp_path):
    with h5py.File(tmp_path / "log.h5", "w") as file:
        file["run/table"] = TABLE.to_records(index=False)
    columns = {"time": "run/table/t", "q": ["run/table/q1", "run/table/q2"]}
    columns |= {"tau": ["run/table/f1", "run/table/f2"]}
    recording = settings(tmp_path, "log.h5", format="hdf5", columns=columns)
    assert_is_the_motion(read_log("log.h5", recording))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"q": ["arm/q", "arm/q[1]"]}, r"'arm/q' is a matrix of 400 x 2; .*arm/q\[0\] to"),
        ({"tau": ["f[1]", "f[2]"]}, r"'f' has 2 columns, found 'f\[2\]'"),
        ({"tau": ["f[0]", "g[1]"]}, r"no column 'g\[1\]'; it has clock, "),
        ({"time": "clocks"}, "no column 'clocks'; did you mean 'clock'"),
    ],
)
def test_what_is_not_in_a_matrix_is_one_line(tmp_path, changes, words):
    matrices(tmp_path / "log.h5", by_rows=False)
    recording = settings(tmp_path, "log.h5", format="hdf5", columns={**MATRICES, **changes})
    with pytest.raises(DatasetError, match=words) as caught:
        read_log("log.h5", recording)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("delay", [0.0051, 0.25, -0.25])
def test_a_delay_leaves_only_samples_whose_force_was_recorded(tmp_path, delay):
    """Also beyond half a window of the filter: no force is held at its last value."""
    late = {f: np.interp(TIME - delay, TIME, TABLE[f], left=99, right=99) for f in ("f1", "f2")}
    TABLE.assign(**late).to_csv(tmp_path / "log.csv", index=False)
    log = read_log("log.csv", settings(tmp_path, "log.csv", delay=delay))
    kept = np.round(log.time / STEP).astype(int)
    assert len(kept) == pytest.approx(N - abs(delay) / STEP, abs=2)
    assert np.abs(log.q - TABLE[["q1", "q2"]].to_numpy()[kept]).max() < 1e-12
    inside = slice(2, -2)  # the ends are interpolated with the 99 beside them
    assert np.abs(log.tau - TABLE[["f1", "f2"]].to_numpy()[kept])[inside].max() < 1e-3


def test_no_force_is_invented_in_a_gap(tmp_path):
    held = np.r_[0:150, 260:N]
    TABLE.iloc[held].to_csv(tmp_path / "log.csv", index=False)
    log = read_log("log.csv", settings(tmp_path, "log.csv", delay=0.1))
    late = log.time + 0.1
    assert not ((late > TIME[149] + 1e-9) & (late < TIME[260] - 1e-9)).any()


def test_a_delay_as_long_as_the_log_is_refused(tmp_path):
    TABLE.to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(DatasetError, match=r"delay = 0.95 s leaves 20 of 400 rows") as caught:
        read_log("log.csv", settings(tmp_path, "log.csv", delay=0.95))
    assert "\n" not in str(caught.value)
