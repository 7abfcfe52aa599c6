"""The same motion, written in every format and dialect, is read as the same log."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from discover.data.reading import load_layout, read_logs
from discover.data.settings import LogLayout
from discover.errors import DatasetError

N, RATE = 300, 200.0
TIME = np.arange(N) / RATE
Q = np.stack([np.sin(3 * TIME), 0.4 * np.cos(5 * TIME)], axis=1)
V = np.stack([3 * np.cos(3 * TIME), -2 * np.sin(5 * TIME)], axis=1)
TAU = np.stack([np.cos(2 * TIME) - 0.2, np.sin(7 * TIME)], axis=1)
NAMES = {"q": ["q1", "q2"], "v": ["v1", "v2"], "tau": ["tau1", "tau2"]}
LAYOUT = {"columns": {"time": "t", **NAMES}}
TABLE = pd.DataFrame(
    {"t": TIME}
    | {f"{k}{j + 1}": x[:, j] for k, x in (("q", Q), ("v", V), ("tau", TAU)) for j in range(2)}
)


def assert_is_the_motion(log, tolerance=1e-12):
    assert np.abs(log.time - TIME).max() <= tolerance
    for found, expected in ((log.q, Q), (log.v, V), (log.tau, TAU)):
        assert np.abs(found - expected).max() <= tolerance


def one(path, layout=None, robot=None):
    (log,) = read_logs(path, robot, layout)
    return log


def as_csv(path, **how):
    TABLE.to_csv(path, index=False, float_format="%.17g", **how)
    return path


def arrays():
    return {"t": TIME, "arm": {"q": Q, "v": V, "tau": TAU}}


MATRICES = {
    "columns": {"time": "t"} | {k: [f"arm/{k}[0]", f"arm/{k}[1]"] for k in ("q", "v", "tau")}
}
FLAT = {"columns": {"time": "t"} | {k: [f"{k}[0]", f"{k}[1]"] for k in ("q", "v", "tau")}}


def write_json_records(path):
    rows = TABLE.to_dict(orient="records")
    path.write_text(json.dumps({"mass": 0.49, "motor": "x", "entries": rows}))


def write_json_columns(path):
    path.write_text(json.dumps({k: TABLE[k].tolist() for k in TABLE} | {"mass": 0.49}))


def write_json_lines(path):
    path.write_text("\n".join(json.dumps(row) for row in TABLE.to_dict(orient="records")))


def write_json_vectors(path):
    rows = [
        {"t": t, "q": q, "v": v, "tau": f}
        for t, q, v, f in zip(TIME.tolist(), Q.tolist(), V.tolist(), TAU.tolist(), strict=True)
    ]
    path.write_text(json.dumps(rows))


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file.attrs["mass"] = 0.49
        file["t"] = TIME
        for name, x in arrays()["arm"].items():
            file[f"arm/{name}"] = x.T


WRITERS = {
    "log.parquet": (TABLE.to_parquet, LAYOUT),
    "log.h5": (write_hdf5, MATRICES),
    "log.npz": (lambda p: np.savez(p, t=TIME, q=Q, v=V, tau=TAU), FLAT),
    "log.mat": (lambda p: savemat(p, arrays()), MATRICES),
    "records.json": (write_json_records, LAYOUT),
    "columns.json": (write_json_columns, LAYOUT),
    "lines.jsonl": (write_json_lines, LAYOUT),
    "vectors.json": (write_json_vectors, FLAT),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_log(tmp_path, name):
    write, layout = WRITERS[name]
    write(tmp_path / name)
    assert_is_the_motion(one(tmp_path / name, layout))


def test_matlab_files_of_version_7_3_are_read(tmp_path):
    """They are HDF5 behind 512 bytes of text, with matrices the other way round."""
    with h5py.File(tmp_path / "log.mat", "w", userblock_size=512) as file:
        file["t"] = TIME[None]
        for name, x in arrays()["arm"].items():
            file[f"arm/{name}"] = x.T
    assert_is_the_motion(one(tmp_path / "log.mat", MATRICES))


def test_scalars_beside_the_columns_are_kept(tmp_path):
    write_json_records(tmp_path / "log.json")
    assert one(tmp_path / "log.json", LAYOUT).scalars == {"mass": 0.49, "motor": "x"}
    write_hdf5(tmp_path / "log.h5")
    assert one(tmp_path / "log.h5", MATRICES).scalars["mass"] == 0.49


@settings(max_examples=25, deadline=None)
@given(
    separator=st.sampled_from([",", ";", "\t", " ", "|"]),
    decimal=st.sampled_from([".", ","]),
    header=st.sampled_from(["names", "none", "comment"]),
    blanks=st.integers(0, 2),
)
def test_text_in_any_dialect_without_being_told(
    tmp_path_factory, separator, decimal, header, blanks
):
    if separator == decimal:
        return
    path = tmp_path_factory.mktemp("dialect") / "log.txt"
    text = TABLE.to_csv(
        index=False, sep=separator, decimal=decimal, header=header == "names", float_format="%.17g"
    )
    if decimal == ",":  # pandas writes the point where a format is given
        first, rest = text.split("\n", 1) if header == "names" else ("", text)
        text = first + ("\n" if first else "") + rest.replace(".", ",")
    above = "# " + separator.join(TABLE.columns) + "\n" if header == "comment" else ""
    path.write_text("\n" * blanks + above + text)
    numbers = {"time": 0, "q": [1, 2], "v": [3, 4], "tau": [5, 6]}
    layout = {"columns": numbers} if header == "none" else LAYOUT
    assert_is_the_motion(one(path, layout))


def test_columns_by_number_under_a_header(tmp_path):
    path = as_csv(tmp_path / "log.csv")
    log = one(path, {"columns": {"time": 0, "q": [1, 2], "v": [3, 4], "tau": [5, 6]}})
    assert_is_the_motion(log)
    assert any("by their number" in note for note in log.notes)


def test_a_rate_in_place_of_a_clock(tmp_path):
    path = as_csv(tmp_path / "log.csv")
    assert_is_the_motion(one(path, {"rate": RATE, "columns": NAMES}))


def test_a_position_file_and_a_torque_file(tmp_path):
    TABLE[["q1", "q2", "v1", "v2"]].to_csv(tmp_path / "walk_pos.csv", index=False, header=False)
    TABLE[["tau1", "tau2"]].to_csv(tmp_path / "walk_curr.csv", index=False, sep=";")
    layout = {
        "rate": RATE,
        "files": {"pos": "{log}_pos.csv", "current": "{log}_curr.csv"},
        "columns": {
            "q": ["pos:0", "pos:1"],
            "v": ["pos:2", "pos:3"],
            "tau": ["current:tau1", "current:tau2"],
        },
    }
    assert_is_the_motion(one(tmp_path / "walk", layout))
    together = f"{tmp_path / 'walk_pos.csv'}+{tmp_path / 'walk_curr.csv'}"
    columns = {
        k: [x.replace("pos:", "walk_pos:").replace("current:", "walk_curr:") for x in names]
        for k, names in layout["columns"].items()
    }
    assert_is_the_motion(one(together, {"rate": RATE, "columns": columns}))


def test_two_clocks_are_brought_onto_one(tmp_path):
    """Torques at another rate, from another start; both clocks count from the same instant."""
    TABLE[["t", "q1", "q2", "v1", "v2"]].to_csv(tmp_path / "pos.csv", index=False)
    other = np.arange(0.11, TIME[-1] - 0.07, 1e-4)
    forces = np.stack([np.cos(2 * other) - 0.2, np.sin(7 * other)], axis=1)
    pd.DataFrame({"stamp": other, "a": forces[:, 0], "b": forces[:, 1]}).to_csv(
        tmp_path / "force.csv", index=False
    )
    layout = {
        "files": {"pos": "pos.csv", "force": "force.csv"},
        "columns": {
            "time": {"pos": "t", "force": "stamp"},
            "q": ["pos:q1", "pos:q2"],
            "tau": ["force:a", "force:b"],
        },
    }
    log = one(tmp_path, layout)
    first = int(np.searchsorted(TIME, 0.11))
    rows = slice(first, first + len(log.time))
    assert np.abs(log.q - Q[rows]).max() < 1e-12
    assert np.abs(log.tau - TAU[rows]).max() < 1e-6
    assert any("clock of its own" in note for note in log.notes)


@pytest.mark.parametrize("side", ["diagonal", "matrix"])
def test_motors_behind_gears_and_a_coupling(tmp_path, side):
    ratio = np.array([[32.0, 0], [0, -45]] if side == "diagonal" else [[32.0, 0], [30, -45]])
    zero = np.array([0.5, -1.2])
    motor = {"q": (Q - zero) @ ratio.T, "v": V @ ratio.T, "tau": TAU @ np.linalg.inv(ratio)}
    table = pd.DataFrame({"t": TIME} | {f"{k}{j + 1}": x[:, j] for k, x in motor.items()
                                        for j in range(2)})  # fmt: skip
    table.to_csv(tmp_path / "log.csv", index=False, float_format="%.17g")
    given = [32.0, -45.0] if side == "diagonal" else ratio.tolist()
    log = one(tmp_path / "log.csv", {**LAYOUT, "reduction": given, "zero": zero.tolist()})
    assert_is_the_motion(log, 1e-11)


def test_units_in_words(tmp_path):
    table = TABLE.assign(t=1e3 * TIME)
    table[["q1", "q2"]] *= 180 / np.pi
    table[["v1", "v2"]] *= 60 / (2 * np.pi)
    table[["tau1", "tau2"]] *= 1e3
    table.to_csv(tmp_path / "log.csv", index=False, float_format="%.17g")
    units = {"time": "ms", "q": "deg", "v": "rpm", "tau": "mN*m"}
    assert_is_the_motion(one(tmp_path / "log.csv", {**LAYOUT, "units": units}), 1e-11)


def test_joints_in_another_order(tmp_path, two_joints):
    columns = {"time": "t", "q": ["q2", "q1"], "v": ["v2", "v1"], "tau": ["tau2", "tau1"]}
    path = as_csv(tmp_path / "log.csv")
    layout = {"columns": columns, "joints": ["elbow", "shoulder"]}
    assert_is_the_motion(one(path, layout, two_joints))


def test_rows_with_the_time_before_are_one(tmp_path):
    doubled = TABLE.iloc[np.repeat(np.arange(N), np.where(np.arange(N) % 7 == 0, 2, 1))]
    doubled.to_csv(tmp_path / "log.csv", index=False, float_format="%.17g")
    log = one(tmp_path / "log.csv", LAYOUT)
    assert_is_the_motion(log)
    assert any("repeat the time before" in note for note in log.notes)
    with pytest.raises(DatasetError, match="must increase"):
        one(tmp_path / "log.csv", {**LAYOUT, "repeated": "refuse"})


def test_a_column_is_computed_from_others_and_from_scalars(tmp_path):
    rows = TABLE.assign(goal=Q[:, 0] + TAU[:, 0] / 4).to_dict(orient="records")
    (tmp_path / "log.json").write_text(json.dumps({"kp": 4.0, "entries": rows}))
    columns = {**LAYOUT["columns"], "tau": ["= kp * (goal - `q1`)", "tau2"]}
    assert_is_the_motion(one(tmp_path / "log.json", {"columns": columns}))


@pytest.mark.parametrize(
    "formula",
    ["= __import__('os')", "= q1.mean()", "= q1 if q2 else q1", "= q1 +", "= (lambda: 1)()"],
)
def test_a_formula_is_arithmetic_only(tmp_path, formula):
    path = as_csv(tmp_path / "log.csv")
    columns = {**LAYOUT["columns"], "tau": [formula, "tau2"]}
    with pytest.raises(DatasetError) as caught:
        one(path, {"columns": columns})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        {"q": ["q1", "q2"], "v": ["dq1", "dq2"], "tau": ["tau1", "tau2"]},
        {"q": ["pos_0", "pos_1"], "v": ["vel_0", "vel_1"], "tau": ["effort_0", "effort_1"]},
        {
            "q": ["shoulder_position", "elbow_position"],
            "v": ["shoulder_velocity", "elbow_velocity"],
            "tau": ["shoulder_effort", "elbow_effort"],
        },
        {
            "q": ["position/shoulder", "position/elbow"],
            "v": ["velocity/shoulder", "velocity/elbow"],
            "tau": ["effort/shoulder", "effort/elbow"],
        },
    ],
)
def test_columns_are_told_from_their_names_and_this_is_said(tmp_path, names, two_joints):
    renamed = {
        "t": "time",
        **{a: b for k in names for a, b in zip(NAMES[k], names[k], strict=True)},
    }
    table = TABLE.rename(columns=renamed)[["time", *reversed(list(renamed.values())[1:])]]
    table.to_csv(tmp_path / "log.csv", index=False, float_format="%.17g")
    log = one(tmp_path / "log.csv", None, two_joints)
    assert_is_the_motion(log)
    assert any("told from their names" in note for note in log.notes)


def test_a_folder_of_logs_and_a_pattern(tmp_path):
    for name in ("b.csv", "a.csv"):
        as_csv(tmp_path / name)
    (tmp_path / "LICENSE").write_text("none")
    assert [log.name for log in read_logs(tmp_path, None, LAYOUT)] == ["a.csv", "b.csv"]
    assert len(read_logs(str(tmp_path / "*.csv"), None, LAYOUT)) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"columns": {**LAYOUT["columns"], "q": ["q1", "q9"]}}, "no column 'q9'; it has t, q1, q2"),
        ({"columns": {**LAYOUT["columns"], "time": "clock"}}, "no column 'clock'"),
        ({"columns": NAMES}, "expected one of columns.time and rate, found neither"),
        ({"rate": 10.0}, "expected one of columns.time and rate, found both"),
        ({"reduction": [1.0, 2.0, 3.0]}, "expected 2 gears or a matrix of 2 x 2, found 3 x 3"),
        ({"reduction": [[1.0, 1.0], [1.0, 1.0]]}, "a matrix that has an inverse"),
        ({"zero": [1.0]}, "recording.zero: expected one number or 2, found 1"),
        ({"units": {"q": "degrees"}}, "recording.units.q: expected one of rad, deg"),
        ({"units": {"time": "hours"}}, "recording.units.time: expected one of s, ms"),
        ({"joints": ["a"]}, "recording.joints: expected 2 names"),
        ({"files": {"pos": "pos.csv"}}, "expected its file 'pos'"),
        ({"smooth": 3}, "unknown key"),
        ({"format": "parquet"}, "not readable as parquet"),
        ({"format": "json"}, "not readable as json"),
        ({"format": "mat"}, "not readable as mat"),
        ({"format": "npz"}, "not readable as npz"),
        ({"format": "hdf5"}, "not readable as hdf5"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, changes, words):
    path = as_csv(tmp_path / "log.csv")
    with pytest.raises(DatasetError, match=words) as caught:
        one(path, {**LAYOUT, **changes})
    assert "\n" not in str(caught.value)


def test_names_that_say_nothing_are_not_guessed(tmp_path):
    TABLE.rename(columns=lambda x: f"channel {ord(x[0])}{x[1:]}").to_csv(
        tmp_path / "log.csv", index=False
    )
    with pytest.raises(DatasetError, match="expected columns whose names tell positions"):
        one(tmp_path / "log.csv")


def test_joints_that_were_not_logged_are_named(tmp_path):
    import kinematics

    robot = kinematics.load("planar_3r")
    path = as_csv(tmp_path / "log.csv")
    absent = robot.independent_names[2]
    layout = {**LAYOUT, "joints": list(robot.independent_names[:2])}
    with pytest.raises(DatasetError, match=f"lock = {{{absent} = 0}}"):
        one(path, layout, robot)
    assert_is_the_motion(one(path, layout, kinematics.lock(robot, {absent: 0.3})))


def test_a_layout_is_read_from_toml(tmp_path):
    (tmp_path / "columns.toml").write_text(
        'rate = 200\n[columns]\nq = ["q1", "q2"]\nv = ["v1", "v2"]\ntau = ["tau1", "tau2"]\n'
    )
    assert isinstance(load_layout(tmp_path / "columns.toml"), LogLayout)
    assert_is_the_motion(one(as_csv(tmp_path / "log.csv"), tmp_path / "columns.toml"))
    (tmp_path / "columns.toml").write_text("columns = ")
    with pytest.raises(DatasetError, match="not TOML"):
        load_layout(tmp_path / "columns.toml")
