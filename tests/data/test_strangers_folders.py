"""Folders as a laboratory leaves them: files that are no logs, rows without numbers, units in the
names of columns, signals of Simulink."""

import warnings

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import savemat

import kinematics
from discover.cli import main
from discover.data.reading import read_logs
from discover.errors import DatasetError

N, RATE = 400, 200.0
TIME = np.arange(N) / RATE
Q = np.stack([np.sin(3 * TIME), 0.4 * np.cos(5 * TIME)], axis=1)
TAU = np.stack([np.cos(2 * TIME) - 0.2, np.sin(7 * TIME)], axis=1)
TABLE = pd.DataFrame(
    {"t": TIME, "q1": Q[:, 0], "q2": Q[:, 1], "tau1": TAU[:, 0], "tau2": TAU[:, 1]}
)
LAYOUT = {"columns": {"time": "t", "q": ["q1", "q2"], "tau": ["tau1", "tau2"]}}


def write(path, table=TABLE, **how):
    table.to_csv(path, index=False, float_format="%.17g", **how)


class TestFilesThatAreNoLogs:
    @pytest.fixture
    def folder(self, tmp_path):
        write(tmp_path / "a.csv")
        write(tmp_path / "b.csv")
        (tmp_path / "readme.txt").write_text("Logs of our arm.\n\nTaken on Monday, by hand.\n")
        (tmp_path / "notes.log").write_text("10:31 started\n10:45 stopped\n")
        (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
        (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4")
        (tmp_path / "robot.xml").write_text("<robot/>")
        (tmp_path / "settings.json").write_text('{"gain": 3.0, "name": "arm"}')
        write(tmp_path / "gains.csv", pd.DataFrame({"kp": [1.0, 2.0], "kd": [0.1, 0.2]}))
        return tmp_path

    @pytest.mark.parametrize("layout", [None, LAYOUT])
    @pytest.mark.parametrize("pattern", ["", "*"])
    def test_are_left_out_and_told(self, folder, layout, pattern):
        logs = read_logs(folder / pattern if pattern else folder, None, layout)
        assert [log.name for log in logs] == ["a.csv", "b.csv"]
        (told,) = [x for x in logs[0].notes if "left out" in x]
        for name in ("readme.txt", "notes.log", "settings.json", "gains.csv"):
            assert name in told

    def test_one_that_is_named_is_refused(self, folder):
        with pytest.raises(DatasetError, match=r"readme\.txt"):
            read_logs(folder / "readme.txt", None, LAYOUT)

    def test_a_log_that_lacks_a_column_is_not_passed_over(self, folder):
        write(folder / "c.csv", TABLE.drop(columns="tau2"))
        with pytest.raises(DatasetError, match="no column 'tau2'"):
            read_logs(folder, None, LAYOUT)

    def test_a_log_that_breaks_off_in_the_middle_is_not_passed_over(self, folder):
        text = (folder / "b.csv").read_text().splitlines()
        text[300] += ",1,2,3"
        (folder / "b.csv").write_text("\n".join(text))
        with pytest.raises(DatasetError, match=r"b\.csv: not readable as csv"):
            read_logs(folder, None, LAYOUT)

    def test_a_folder_without_a_log_is_refused(self, tmp_path):
        (tmp_path / "readme.txt").write_text("Nothing yet.\n")
        with pytest.raises(DatasetError, match=r"only files that are none: readme\.txt"):
            read_logs(tmp_path, None, LAYOUT)


class TestRowsWithoutNumbers:
    @pytest.mark.parametrize("hole", [np.nan, np.inf, None])
    def test_are_gaps_that_are_told(self, tmp_path, hole):
        table = TABLE.astype(object)
        table.loc[50, "tau1"] = hole
        table.loc[51:60, "q2"] = hole
        write(tmp_path / "log.csv", table)
        (log,) = read_logs(tmp_path / "log.csv", None, LAYOUT)
        kept = np.r_[0:50, 61:N]
        assert log.time == pytest.approx(TIME[kept])
        assert log.q == pytest.approx(Q[kept])
        assert log.tau == pytest.approx(TAU[kept])
        assert any("11 rows were left out (of 400)" in note and "row 52 of q2" in note
                   for note in log.notes)  # fmt: skip

    def test_the_first_row_too(self, tmp_path):
        table = TABLE.copy()
        table.loc[0, ["t", "q1"]] = np.nan
        write(tmp_path / "log.csv", table)
        (log,) = read_logs(tmp_path / "log.csv", None, LAYOUT)
        assert log.time == pytest.approx(TIME[1:] - TIME[1])

    def test_of_a_file_with_a_clock_of_its_own(self, tmp_path):
        """Nothing is interpolated into the gap of the other file."""
        torques = TABLE[["t", "tau1", "tau2"]].copy()
        torques["t"] += 0.001
        torques.loc[100:150, "tau2"] = np.nan
        write(tmp_path / "q.csv", TABLE[["t", "q1", "q2"]])
        write(tmp_path / "f.csv", torques)
        layout = {"columns": {"time": "t", "q": ["q:q1", "q:q2"], "tau": ["f:tau1", "f:tau2"]}}
        layout["columns"]["time"] = {"q": "t", "f": "t"}
        (log,) = read_logs(f"{tmp_path}/q.csv+{tmp_path}/f.csv", None, layout)
        gap = (log.time + TIME[1] > TIME[99] + 0.0011) & (log.time + TIME[1] < TIME[151] + 0.0009)
        assert not gap.any()
        assert len(log.time) == pytest.approx(N - 52, abs=2)

    def test_a_column_of_few_numbers_is_refused(self, tmp_path):
        table = TABLE.copy()
        table.loc[::2, "q1"] = np.nan
        table.loc[1, "q1"] = np.nan
        write(tmp_path / "log.csv", table)
        with pytest.raises(DatasetError, match="'q1' expects finite numbers, found none in row 1 "):
            read_logs(tmp_path / "log.csv", None, LAYOUT)

    def test_words_are_no_gaps(self, tmp_path):
        write(tmp_path / "log.csv", TABLE.astype(object).replace({"q1": {Q[7, 0]: "ERR"}}))
        with pytest.raises(DatasetError, match="found 'ERR' in row 8"):
            read_logs(tmp_path / "log.csv", None, LAYOUT)


class TestUnitsInNames:
    @pytest.fixture
    def yaw_and_lift(self):
        urdf = """<robot name="crane"><link name="base"/><link name="a"/><link name="b"/>
        <joint name="yaw_joint" type="continuous"><parent link="base"/><child link="a"/>
        <axis xyz="0 0 1"/></joint><joint name="lift" type="prismatic"><parent link="a"/>
        <child link="b"/><axis xyz="0 0 1"/><limit lower="-1" upper="1" effort="1" velocity="1"/>
        </joint></robot>"""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return kinematics.load(urdf)

    @pytest.mark.parametrize(
        ("names", "factor"),
        [
            (["yaw_pos [deg]", "lift_pos [mm]", "yaw_torque [Nm]", "lift_torque [N]"],
             [180 / np.pi, 1e3, 1, 1]),
            (["yaw position (°)", "lift position (m)", "yaw effort (N·m)", "lift effort (kN)"],
             [180 / np.pi, 1, 1, 1e-3]),
            (["pos/yaw_joint [rad]", "pos/lift", "trq/yaw_joint [mN.m]", "trq/lift"],
             [1, 1, 1e3, 1]),
        ],
    )  # fmt: skip
    def test_are_read_and_told(self, tmp_path, yaw_and_lift, names, factor):
        table = pd.DataFrame(np.hstack([Q, TAU]) * factor, columns=names)
        table.insert(0, "time [ms]", 1e3 * TIME)
        write(tmp_path / "log.csv", table)
        (log,) = read_logs(tmp_path / "log.csv", yaw_and_lift)
        assert log.time == pytest.approx(TIME)
        assert log.q == pytest.approx(Q)
        assert log.tau == pytest.approx(TAU)
        assert any("told from their names" in x and "time [ms]" in x for x in log.notes)

    @pytest.mark.parametrize(
        "names",
        [
            ["q1 (rad)", "q2 (rad)", "tau_1[Nm]", "tau_2[Nm]"],
            ["q1_deg", "q2_deg", "tau1_Nm", "tau2_Nm"],
            ["q[0]", "q[1]", "tau[0]", "tau[1]"],
            ["yaw_pos", "pitch_pos", "yaw_torque", "pitch_torque"],
        ],
    )
    def test_without_a_robot(self, tmp_path, names):
        factor = [180 / np.pi] * 2 + [1, 1] if "deg" in names[0] else 1
        table = pd.DataFrame(np.hstack([Q, TAU]) * factor, columns=names)
        table.insert(0, "t", TIME)
        write(tmp_path / "log.csv", table)
        (log,) = read_logs(tmp_path / "log.csv")
        assert log.q == pytest.approx(Q)
        assert log.tau == pytest.approx(TAU)

    def test_what_was_commanded_is_not_taken_for_a_joint(self, tmp_path):
        names = ["cmd_pos", "des_pos", "cmd_torque", "des_torque"]
        write(tmp_path / "log.csv", pd.DataFrame(np.hstack([Q, TAU]), columns=names))
        with pytest.raises(DatasetError, match="expected columns whose names tell"):
            read_logs(tmp_path / "log.csv")


class TestSignalsOfSimulink:
    def tree(self, late=0.0):
        return {
            "q": {"Time": TIME, "Data": Q},
            "tau": {"Time": TIME + late, "Data": TAU},
            "note": "a run",
        }

    def test_structs_with_time_and_data(self, tmp_path):
        savemat(tmp_path / "log.mat", {"out": self.tree()})
        layout = {"columns": {"time": "out/time", "q": ["out/q[0]", "out/q[1]"],
                              "tau": ["out/tau[0]", "out/tau[1]"]}}  # fmt: skip
        (log,) = read_logs(tmp_path / "log.mat", None, layout)
        assert log.q == pytest.approx(Q)
        assert log.tau == pytest.approx(TAU)

    def test_at_the_top_they_are_told_from_their_names(self, tmp_path):
        savemat(tmp_path / "log.mat", self.tree(late=0.0005))
        (log,) = read_logs(tmp_path / "log.mat")
        assert log.q == pytest.approx(Q)
        assert log.tau[1:] == pytest.approx(TAU[1:], abs=0.01)
        assert any("tau were interpolated onto the times of q" in x for x in log.notes)

    def test_in_files_of_version_7_3(self, tmp_path):
        with h5py.File(tmp_path / "log.mat", "w", userblock_size=512) as file:
            for name, x in (("q", Q), ("tau", TAU)):
                file[f"{name}/Time"], file[f"{name}/Data"] = TIME[None], x.T
        (log,) = read_logs(tmp_path / "log.mat")
        assert log.q == pytest.approx(Q)
        assert log.tau == pytest.approx(TAU)

    def test_an_object_is_refused_with_the_way_out(self, tmp_path):
        with h5py.File(tmp_path / "log.mat", "w", userblock_size=512) as file:
            item = file.create_dataset("q", data=np.arange(6, dtype=np.uint32))
            item.attrs["MATLAB_class"] = np.bytes_("timeseries")
            item.attrs["MATLAB_object_decode"] = np.int32(3)
        with pytest.raises(DatasetError, match=r"MATLAB timeseries 'q'.*struct\('Time'") as caught:
            read_logs(tmp_path / "log.mat", None, LAYOUT)
        assert "\n" not in str(caught.value)


def test_numpy_does_not_speak_to_the_user(tmp_path, capsys):
    """A joint that rests and a constant torque: known edges of means and ratios."""
    robot = kinematics.load("double_pendulum")
    time = np.arange(0, 8, 0.005)
    q = np.stack([np.sin(3 * time), np.zeros_like(time)], axis=1)
    v = np.stack([3 * np.cos(3 * time), np.zeros_like(time)], axis=1)
    a = np.stack([-9 * np.sin(3 * time), np.zeros_like(time)], axis=1)
    tau = kinematics.rnea(robot, *(torch.from_numpy(x) for x in (q, v, a))).numpy()
    tau[:, 1] = 0.0
    write(
        tmp_path / "log.csv",
        pd.DataFrame(np.column_stack([time, q, tau]), columns=["t", "q1", "q2", "tau1", "tau2"]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert main(["data", str(tmp_path), "--robot", "double_pendulum"]) == 0
        assert main(["identify", str(tmp_path), "--robot", "double_pendulum", "--out",
                     str(tmp_path / "out")]) == 0  # fmt: skip
    assert "joint" in capsys.readouterr().out
