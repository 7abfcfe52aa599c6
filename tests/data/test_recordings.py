"""Recordings: planted signals come back, and what is wrong with a log is said in one line."""

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.signal import savgol_filter

import kinematics
from discover.data import recordings
from discover.data.logs import read_log
from discover.data.settings import Recording
from discover.data.smoothing import savitzky_golay
from discover.data.smoothing_choice import choose_smoothing
from discover.errors import DatasetError

COLUMNS = {"time": "t", "q": ["q1", "q2"], "v": ["v1", "v2"], "tau": ["f1", "f2"]}


def motion(t):
    """Two smooth joints with their exact derivatives, and joint forces."""
    q = np.stack([np.sin(2 * t) + 0.3 * np.cos(5 * t), 0.5 * np.cos(3 * t)], axis=1)
    v = np.stack([2 * np.cos(2 * t) - 1.5 * np.sin(5 * t), -1.5 * np.sin(3 * t)], axis=1)
    a = np.stack([-4 * np.sin(2 * t) - 7.5 * np.cos(5 * t), -4.5 * np.cos(3 * t)], axis=1)
    return q, v, a, np.stack([np.sin(t), np.cos(2 * t)], axis=1)


def write_log(path, seed, noise=0.0, n=2000):
    """A log with uneven steps of about 2 ms, written as the path's suffix says."""
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.uniform(0.001, 0.003, n)) + 100.0
    q, v, _, tau = (x + noise * rng.standard_normal(x.shape) for x in motion(t))
    table = pd.DataFrame({"t": t})
    for name, values in (("q", q), ("v", v), ("f", tau)):
        table[f"{name}1"], table[f"{name}2"] = values.T
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        with h5py.File(path, "w") as file:
            for column in table:
                file[column] = table[column].to_numpy()
            file["arm/q"] = q
    return t


def recording(place, **changes):
    entries = {
        "folder": str(place),
        "train": ["one.csv", "two.csv"],
        "test": ["three.csv"],
        "columns": COLUMNS,
        **changes,
    }
    return Recording.model_validate(entries, strict=False)


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(("one", "two", "three")):
        write_log(tmp_path / f"{name}.csv", seed)
    return tmp_path


def relative(found, expected):
    return np.sqrt(((found - expected) ** 2).mean(0) / (expected**2).mean(0)).max()


@pytest.mark.parametrize("source", ["q", "v"])
def test_accelerations_come_back_from_uneven_steps(source, folder, two_joints):
    data = recordings.read(recording(folder, smoothing={"acceleration": source}), two_joints)
    for k, seed in enumerate((0, 1, 2)):
        rows = data.select(data.trajectory == k)
        start = pd.read_csv(folder / f"{('one', 'two', 'three')[seed]}.csv")["t"].iloc[0]
        q, v, a, tau = motion(rows.t.numpy() + start)
        assert relative(rows.q.numpy(), q) < 1e-4
        assert relative(rows.v.numpy(), v) < 1e-3
        assert relative(rows.a.numpy(), a) < 5e-3
        assert relative(rows.tau.numpy(), tau) < 1e-4


def test_even_steps_agree_with_scipy():
    t = np.arange(400) * 0.01
    x = np.random.default_rng(0).standard_normal((400, 3))
    ours = savitzky_golay(t, x, 21, 4)
    for k, found in enumerate((ours.value, ours.first, ours.second)):
        theirs = savgol_filter(x, 21, 4, deriv=k, delta=0.01, axis=0)[10:-10]
        assert np.abs(found - theirs).max() < 1e-9 * np.abs(theirs).max()


def test_polynomials_pass_through_uneven_steps_unchanged():
    rng = np.random.default_rng(1)
    t = np.cumsum(rng.uniform(0.1, 1.0, 9000))
    t /= t[-1]
    x = (t**3 - t)[:, None]
    ours = savitzky_golay(t, x, 41, 3)
    middle = t[20:-20]
    assert np.abs(ours.value[:, 0] - (middle**3 - middle)).max() < 1e-12
    assert np.abs(ours.first[:, 0] - (3 * middle**2 - 1)).max() < 1e-9
    assert np.abs(ours.second[:, 0] - 6 * middle).max() < 1e-5


def test_the_noise_estimate_is_that_of_the_noise(tmp_path, two_joints):
    sigma = 0.002
    for seed, name in enumerate(("one", "two", "three")):
        write_log(tmp_path / f"{name}.csv", seed, noise=sigma, n=4000)
    data = recordings.read(recording(tmp_path, smoothing={"acceleration": "v"}), two_joints)
    for group in ("q", "v", "tau"):
        assert data.metadata["raw_noise"][group] == pytest.approx([sigma] * 2, rel=0.1)
    starts = [pd.read_csv(tmp_path / f"{n}.csv")["t"].iloc[0] for n in ("one", "two", "three")]
    exact = motion(data.t.numpy() + np.array(starts)[data.trajectory.numpy()])
    for group, truth in zip(("q", "v", "a", "tau"), exact, strict=True):
        error = np.sqrt(((getattr(data, group).numpy() - truth) ** 2).mean(0))
        assert data.metadata["noise"][group] == pytest.approx(error, rel=0.25)


def test_every_format_gives_the_same(folder, two_joints):
    for suffix in (".parquet", ".h5"):
        for seed, name in enumerate(("one", "two", "three")):
            write_log(folder / f"{name}{suffix}", seed)

    def read(kind, suffix, **changes):
        names = {"train": [f"one{suffix}", f"two{suffix}"], "test": [f"three{suffix}"]}
        return recordings.read(recording(folder, format=kind, **names, **changes), two_joints)

    expected = read("csv", ".csv").a.numpy()
    columns = {**COLUMNS, "q": ["arm/q[0]", "arm/q[1]"]}
    for found in (
        read("parquet", ".parquet"),
        read("hdf5", ".h5"),
        read("hdf5", ".h5", columns=columns),
    ):
        assert np.abs(found.a.numpy() - expected).max() < 1e-8 * np.abs(expected).max()


def test_the_split_goes_by_trajectory_and_shares_no_sample(folder, two_joints):
    data = recordings.read(recording(folder, validation=0.2), two_joints)
    assert set(data.part("test").trajectory.tolist()) == {2}
    for k in (0, 1):
        train = data.part("train").select(data.part("train").trajectory == k)
        held = data.part("validation").select(data.part("validation").trajectory == k)
        times = pd.read_csv(folder / ("one.csv", "two.csv")[k])["t"].to_numpy()
        times = times - times[0]
        last = int(np.searchsorted(times, float(train.t.max())))
        first = int(np.searchsorted(times, float(held.t.min())))
        assert first - last > 40  # no recorded sample lies in a window of both
        assert len(held) == round(0.2 * (2000 - 40))
        assert float(train.t.min()) == pytest.approx(times[20])
    assert any("split by trajectory" in line for line in data.metadata["processing"])
    assert data.metadata["files"]["one.csv"]["recorded"] == 2000


def test_a_gap_in_a_log_is_left_out(folder, two_joints):
    table = pd.read_csv(folder / "one.csv").drop(index=range(900, 1100))
    table.to_csv(folder / "one.csv", index=False)
    data = recordings.read(recording(folder, validation=0.0), two_joints)
    rows = data.select(data.trajectory == 0)
    assert len(rows) == 1800 - 40 - 40
    exact = motion(rows.t.numpy() + table["t"].iloc[0])
    assert relative(rows.a.numpy(), exact[2]) < 5e-3


def test_units_thinning_and_wrapped_angles(folder, two_joints):
    plain = recordings.read(recording(folder), two_joints)
    table = pd.read_csv(folder / "one.csv")
    table["t"] *= 1000
    table[["f1", "f2"]] /= 4.0
    turn = np.pi / 180
    for column, k in (("q1", 3), ("q2", 0)):
        degrees = (table[column] + k) / turn
        table[column] = (degrees + 180) % 360 - 180
    table.to_csv(folder / "one.csv", index=False)
    scale = {"time": 1e-3, "q": turn, "tau": [4.0, 4.0]}
    settings = {"train": ["one.csv"], "scale": scale}
    with pytest.raises(DatasetError, match=r"'q1' leaps by more than half a turn in row \d+"):
        recordings.read(recording(folder, **settings), two_joints)
    data = recordings.read(recording(folder, **settings, unwrap=True), two_joints)
    old, new = (d.select(d.trajectory == 0) for d in (plain, data))
    assert np.abs(new.a.numpy() - old.a.numpy()).max() < 1e-6
    assert np.abs(new.tau.numpy() - old.tau.numpy()).max() < 1e-9
    thin = recordings.read(recording(folder, **settings, unwrap=True, every=5), two_joints)
    assert len(thin.part("test")) == -(-len(data.part("test")) // 5)
    assert thin.dt == pytest.approx(5 * data.dt)


def edit(folder, row, column, value):
    table = pd.read_csv(folder / "two.csv").astype(object)
    table.loc[row, column] = value
    table.to_csv(folder / "two.csv", index=False)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: edit(f, 16, "f1", "broken"), ["two.csv", "'f1'", "'broken'", "row 17"]),
        (lambda f: edit(f, 16, "t", 0.0), ["two.csv", "'t'", "must increase", "row 17"]),
        (lambda f: (f / "two.csv").unlink(), ["two.csv", "no such file"]),
        (lambda f: (f / "two.csv").write_text(""), ["two.csv", "not readable as csv"]),
        (lambda f: (f / "two.csv").write_bytes(b"\xff\xfe\x00" * 99), ["two.csv"]),
        (lambda f: write_log(f / "two.csv", 0, n=30), ["two.csv", "41 rows", "found 30"]),
    ],
)
def test_a_damaged_log_is_one_line_with_file_column_and_row(damage, words, folder, two_joints):
    damage(folder)
    with pytest.raises(DatasetError) as error:
        recordings.read(recording(folder), two_joints)
    message = str(error.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"columns": {**COLUMNS, "q": ["q1", "qq2"]}}, "no column 'qq2'; did you mean 'q2'"),
        ({"columns": {**COLUMNS, "time": "seconds"}}, "no column 'seconds'"),
        ({"columns": {"time": "t", "q": ["q1"], "tau": ["f1"]}}, "expected 2 columns"),
        (
            {
                "columns": {k: COLUMNS[k] for k in ("time", "q", "tau")},
                "smoothing": {"acceleration": "v"},
            },
            "expects columns for v",
        ),
        ({"scale": {"q": [1.0, 2.0, 3.0]}}, "scale.q"),
        ({"folder": ""}, r"--set recording.folder=PATH"),
        ({"format": "hdf5"}, "not readable as hdf5"),
        ({"format": "parquet"}, "not readable as parquet"),
        ({"validation": 0.99}, "nothing is left to train on"),
    ],
)
def test_a_recipe_that_does_not_fit_the_log_is_one_line(changes, match, folder, two_joints):
    with pytest.raises(DatasetError, match=match) as error:
        recordings.read(recording(folder, **changes), two_joints)
    assert "\n" not in str(error.value)


def test_the_support_is_where_the_training_went(folder, two_joints):
    data = recordings.read(recording(folder), two_joints)
    region = recordings.support(data, 0.0)
    assert np.allclose(region.q.low.numpy(), data.part("train").q.min(0).values)
    assert np.allclose(region.tau.high.numpy(), data.part("train").tau.max(0).values)
    tighter = recordings.support(data, 0.05)
    assert bool((tighter.v.high < region.v.high).all())


def test_a_coordinate_that_never_moves_spans_no_region(folder, two_joints):
    for name in ("one", "two"):
        table = pd.read_csv(folder / f"{name}.csv")
        table["f2"] = 0.0
        table.to_csv(folder / f"{name}.csv", index=False)
    data = recordings.read(recording(folder), two_joints)
    with pytest.raises(DatasetError, match="tau of coordinate 1 never changes"):
        recordings.support(data)


def test_the_window_of_a_recipe_may_be_chosen_from_its_logs(tmp_path):
    for seed, name in enumerate(("one", "two", "three")):
        write_log(tmp_path / f"{name}.csv", seed, noise=1e-4)
    robot = kinematics.load("double_pendulum")
    entry = recording(tmp_path, smoothing={"window": "auto"})
    logs = [read_log(name, entry) for name in entry.train]
    window = choose_smoothing(logs, robot).of(logs[0]).window
    data = recordings.read(entry, robot)
    assert any("least estimated error" in line for line in data.metadata["processing"])
    assert data.metadata["files"]["one.csv"]["window"] == window
    fixed = recordings.read(recording(tmp_path, smoothing={"window": window}), robot)
    one, other = (d.select(d.trajectory == 0) for d in (data, fixed))
    assert np.array_equal(one.a.numpy(), other.a.numpy())
