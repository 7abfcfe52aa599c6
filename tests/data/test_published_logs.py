"""Logs as laboratories publish them: one file a quantity, an arm on a base that was not logged,
rows that a broken transmission left, names of columns beside a matrix, objects of MATLAB."""

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

import kinematics
from discover.cli import main
from discover.data.reading import read_logs, with_logged_joints
from discover.errors import DatasetError

LINK = (
    '<link name="{0}"><inertial><origin xyz="0.1 0 0.02"/><mass value="1.5"/>'
    '<inertia ixx="0.01" iyy="0.02" izz="0.02" ixy="0" ixz="0" iyz="0"/></inertial></link>'
)
JOINT = (
    '<joint name="{0}" type="{1}"><parent link="{2}"/><child link="{3}"/><axis xyz="{4}"/>'
    '<origin xyz="0.2 0 0.1"/><limit lower="{5}" upper="3" effort="9" velocity="9"/></joint>'
)
NAMES = ("lift_joint", "arm_1_joint", "arm_2_joint")
N = 1200
TIME = 0.01 * np.arange(N)
Q = np.stack([0.2 + 0.1 * np.sin(TIME), np.sin(2 * TIME), np.cos(3 * TIME)], axis=1)
TAU = np.stack([9.0 + np.sin(TIME), np.cos(2 * TIME), np.sin(4 * TIME)], axis=1)


@pytest.fixture
def urdf(tmp_path):
    """A lift with an arm of two joints, a head that was not logged, and a wheel."""
    links = "".join(LINK.format(x) for x in ("wheel", "lift", "head", "upper", "lower"))
    joints = [
        ("wheel_joint", "continuous", "base", "wheel", "0 1 0", "0"),
        ("lift_joint", "prismatic", "base", "lift", "0 0 1", "0"),
        ("head_joint", "revolute", "lift", "head", "0 0 1", "0.25"),
        ("arm_1_joint", "revolute", "lift", "upper", "0 1 0", "-3"),
        ("arm_2_joint", "revolute", "upper", "lower", "0 1 0", "-3"),
    ]
    path = tmp_path / "lifter.urdf"
    path.write_text(
        f'<robot name="lifter"><link name="base"/>{links}'
        + "".join(JOINT.format(*x) for x in joints)
        + "</robot>"
    )
    return path


@pytest.fixture
def files(tmp_path):
    """Positions and efforts in a file each, with clocks of one name."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for stem, word, values in (("pos", "position", Q), ("eff", "effort", TAU)):
        columns = {f"- {name}_{word}": values[:, k] for k, name in enumerate(NAMES)}
        pd.DataFrame({"t": TIME, **columns}).to_csv(folder / f"{stem}.csv", index=False)
    return f"{folder / 'pos.csv'}+{folder / 'eff.csv'}"


class TestAnArmOnABase:
    def test_is_read_by_the_names_in_its_files(self, files, urdf):
        robot, notes = with_logged_joints(files, kinematics.load(urdf))
        assert robot.independent_names == NAMES
        (log,) = read_logs(files, robot)
        assert log.q == pytest.approx(Q)
        assert log.tau == pytest.approx(TAU)
        assert "wheel_joint at 0" in notes[0]

    def test_a_joint_that_cannot_be_at_zero_is_held_at_its_limit(self, files, urdf):
        robot, notes = with_logged_joints(files, kinematics.load(urdf))
        assert "head_joint at 0.25" in notes[0]
        held = kinematics.load(urdf, lock={"wheel_joint": 0.0, "head_joint": 0.25})
        assert robot.pi.numpy() == pytest.approx(held.pi.numpy())

    def test_a_layout_that_names_joints_does_the_same(self, files, urdf):
        layout = {
            "joints": ["arm_1_joint", "lift_joint", "arm_2_joint"],
            "columns": {
                "time": "t",
                "q": [f"pos:- {NAMES[k]}_position" for k in (1, 0, 2)],
                "tau": [f"eff:- {NAMES[k]}_effort" for k in (1, 0, 2)],
            },
        }
        robot, _ = with_logged_joints(files, kinematics.load(urdf), layout)
        (log,) = read_logs(files, robot, layout)
        assert robot.independent_names == NAMES
        assert log.q == pytest.approx(Q)

    def test_a_robot_whose_joints_were_all_logged_stays_as_it_is(self, files, urdf):
        robot = kinematics.load(urdf, lock={"wheel_joint": 0.0, "head_joint": 0.3})
        assert with_logged_joints(files, robot) == (robot, ())

    def test_numbers_of_columns_say_nothing_of_which_joints(self, tmp_path, urdf):
        table = {"t": TIME, "q1": TIME, "q2": TIME, "tau1": TIME, "tau2": TIME}
        pd.DataFrame(table).to_csv(tmp_path / "log.csv", index=False)
        robot = kinematics.load(urdf)
        assert with_logged_joints(tmp_path / "log.csv", robot) == (robot, ())
        with pytest.raises(DatasetError, match="--columns"):
            read_logs(tmp_path / "log.csv", robot)

    def test_is_told_on_the_command_line(self, files, urdf, capsys):
        assert main(["data", files, "--robot", str(urdf)]) == 0
        printed = capsys.readouterr()
        assert "held, since the logs say nothing of them: wheel_joint at 0" in printed.out
        assert "UserWarning" not in printed.err


BARE = {"header": False, "columns": {"time": 0, "q": [1, 2, 3], "tau": [4, 5, 6]}}


class TestStrayRows:
    def write(self, path, strays):
        table = np.hstack([3047.69 + TIME[:, None], Q, TAU])
        for row, time in strays.items():
            table[row] = 0.0
            table[row, 0] = time
        np.savetxt(path, table, delimiter=",", fmt="%.10g")

    def test_a_few_are_left_out_and_told(self, tmp_path):
        strays = {1: -0.12, 2: 0.79, 3: 0.0, 4: 2.7e77, 5: 47.5, 700: 0.0}
        self.write(tmp_path / "log.csv", strays)
        (log,) = read_logs(tmp_path / "log.csv", None, BARE)
        kept = np.setdiff1d(np.arange(N), list(strays))
        assert log.time == pytest.approx(TIME[kept], abs=1e-6)
        assert log.q == pytest.approx(Q[kept], abs=1e-6)
        assert any("6 rows were left out" in x and "row 2" in x for x in log.notes)

    def test_more_are_refused_with_times_as_the_file_has_them(self, tmp_path):
        self.write(tmp_path / "log.csv", dict.fromkeys(range(3, N, 20), 12.5))
        with pytest.raises(DatasetError, match=r"found 12\.5 after 3047\.71 in row 4"):
            read_logs(tmp_path / "log.csv", None, BARE)

    def test_a_gap_is_no_stray(self, tmp_path):
        table = np.hstack([np.where(TIME < 0.05, TIME, TIME + 30)[:, None], Q, TAU])
        np.savetxt(tmp_path / "log.csv", table, delimiter=",", fmt="%.10g")
        (log,) = read_logs(tmp_path / "log.csv", None, BARE)
        assert len(log.time) == N


def test_files_without_names_are_refused_with_the_way_out(tmp_path):
    np.savetxt(tmp_path / "a.csv", np.hstack([TIME[:, None], Q, TAU]), delimiter=",")
    with pytest.raises(DatasetError, match=r"a\.csv.*--columns"):
        read_logs(tmp_path / "*.csv")


class TestMatlab:
    def test_names_beside_a_matrix_are_those_of_its_columns(self, tmp_path):
        names = np.array(["time", "q1", "q2", "q3", "tau1", "tau2", "tau3"], dtype=object)
        savemat(tmp_path / "log.mat", {"data": np.hstack([TIME[:, None], Q, TAU]), "names": names})
        (log,) = read_logs(tmp_path / "log.mat")
        assert log.q == pytest.approx(Q)
        assert log.tau == pytest.approx(TAU)

    def opaque(self, path, kind, name, arrays):
        with h5py.File(path, "w", userblock_size=512) as file:
            for key, value in arrays.items():
                file[key] = value
            item = file.create_dataset(name, data=np.arange(6, dtype=np.uint32))
            item.attrs["MATLAB_class"] = np.bytes_(kind)
            item.attrs["MATLAB_object_decode"] = np.int32(3)

    def test_an_object_beside_the_log_is_left_out_and_told(self, tmp_path):
        arrays = {"time": TIME[None], "q": Q.T, "tau": TAU.T}
        self.opaque(tmp_path / "log.mat", "string", "comment", arrays)
        layout = {"columns": {"time": "time", "q": [f"q[{k}]" for k in range(3)],
                              "tau": [f"tau[{k}]" for k in range(3)]}}  # fmt: skip
        (log,) = read_logs(tmp_path / "log.mat", None, layout)
        assert log.q == pytest.approx(Q)
        assert any("string 'comment'" in x and "left out" in x for x in log.notes)

    def test_one_that_holds_part_of_the_log_is_not(self, tmp_path):
        arrays = {"time": TIME[None], "tau": TAU.T}
        self.opaque(tmp_path / "log.mat", "timeseries", "q", arrays)
        layout = {"columns": {"time": "time", "q": ["q[0]"], "tau": ["tau[0]"]}}
        with pytest.raises(DatasetError, match=r"MATLAB timeseries 'q'.*struct\('Time'") as caught:
            read_logs(tmp_path / "log.mat", None, layout)
        assert "\n" not in str(caught.value)
