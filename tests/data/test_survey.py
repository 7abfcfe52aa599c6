"""What is in logs: each planted trait is found, and a log without it does not show it."""

import numpy as np
import pandas as pd
import pytest
import torch

import kinematics
from discover import cli
from discover.data.delay import find_delay
from discover.data.logs import Log, shifted
from discover.data.motions import smooth
from discover.data.smoothing import savitzky_golay
from discover.data.smoothing_choice import choose_smoothing
from discover.data.survey import Survey, clock, held, saturation, survey
from discover.errors import DatasetError


def exciting(time, nv, seed):
    """Sums of five sines: q, v, a (N, nv), exact."""
    rng = np.random.default_rng(seed)
    q, v, a = (np.zeros((len(time), nv)) for _ in range(3))
    for k in range(1, 6):
        w = 0.6 * np.pi * k
        c, s = 0.5 * rng.standard_normal((2, nv)) / k
        cos, sin = np.cos(w * time)[:, None], np.sin(w * time)[:, None]
        q += s * sin + c * cos
        v += w * (s * cos - c * sin)
        a -= w * w * (s * sin + c * cos)
    return q, v, a


def log_of(robot, seed, *, rate=500.0, seconds=8.0, noise=3e-4, resolution=0.0, hold=1, late=0.0):
    """A log of the robot with encoder noise, steps, repeats and torques that come late."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(rate * seconds)) / rate
    q, _, a = exciting(time, robot.nv, seed)

    def forces(t):
        states = [torch.from_numpy(x) for x in exciting(t, robot.nv, seed)]
        friction = 0.3 * np.tanh(states[1].numpy() / 0.02)
        return kinematics.rnea(robot, *states).numpy() + friction

    tau = forces(time - late)
    tau = tau + 0.05 * tau.std(axis=0) * rng.standard_normal(tau.shape)
    seen = q + noise * rng.standard_normal(q.shape)
    if resolution:
        seen = np.round(seen / resolution) * resolution
    seen = seen[np.arange(len(time)) // hold * hold]
    log = Log(name=f"log {seed}", sha256="", time=time, q=seen, v=None, tau=tau)
    return log, a


@pytest.mark.parametrize(
    "trait",
    [
        {},
        {"noise": 2e-3},
        {"noise": 0.0, "resolution": 2 * np.pi / 4096},
        {"rate": 1000.0, "noise": 1e-4, "hold": 4},
        {"rate": 150.0, "noise": 1e-4},
    ],
)
def test_the_chosen_window_errs_little_more_than_the_best(trait):
    """White noise, coarse encoders and repeated samples: the true acceleration is known here."""
    robot = kinematics.load("double_pendulum")
    pairs = [log_of(robot, seed, **trait) for seed in range(2)]
    choice = choose_smoothing([log for log, _ in pairs], robot)
    longest = max(choice.risks)

    def error(window_s):
        total = 0.0
        for log, a in pairs:
            half = round(window_s / log.step / 2)
            edge = round(longest / log.step / 2)
            found = savitzky_golay(log.time, log.q, 2 * half + 1, choice.order).second
            inner = slice(edge - half, len(log.time) - edge - half)
            total += np.square(found[inner] - a[edge : len(log.time) - edge]).mean()
        return np.sqrt(total)

    errors = {window: error(window) for window in choice.risks}
    assert errors[choice.window_s] < 1.3 * min(errors.values())
    assert max(errors.values()) > 3 * min(errors.values())  # there was something to choose


def test_the_window_follows_the_noise():
    robot = kinematics.load("double_pendulum")
    chosen = [
        choose_smoothing([log_of(robot, 0, noise=noise)[0]]).window_s for noise in (1e-5, 1e-3)
    ]
    assert chosen[0] < chosen[1] / 1.5


def test_a_log_that_is_too_short_to_choose_from_is_one_line():
    robot = kinematics.load("double_pendulum")
    log, _ = log_of(robot, 0, seconds=0.03)
    with pytest.raises(DatasetError, match="expected at least 22 rows to choose"):
        choose_smoothing([log])


@pytest.mark.parametrize("late", [0.012, 0.15])
def test_a_delay_is_found_and_taken_out_also_beyond_half_a_window(late):
    robot = kinematics.load("double_pendulum")
    logs = [log_of(robot, seed, late=late)[0] for seed in range(3)]
    choice = choose_smoothing(logs)
    assert late < 0.05 or late > choice.window_s / 2
    found = find_delay([smooth(log, choice) for log in logs], robot)
    assert found.clear
    assert found.delay == pytest.approx(late, abs=2e-3)
    mended = [shifted(log, found.delay) for log in logs]
    assert abs(find_delay([smooth(log, choice) for log in mended], robot).delay) < 2e-3


def test_the_noise_of_each_channel_is_found():
    robot = kinematics.load("double_pendulum")
    log, _ = log_of(robot, 0, noise=5e-4)
    found, _ = survey([log])
    quiet = kinematics.rnea(robot, *(torch.from_numpy(x) for x in exciting(log.time, 2, 0))).numpy()
    for k, joint in enumerate(found.logs[0].joints):
        assert joint.noise_q == pytest.approx(5e-4, rel=0.1)
        exact = quiet[:, k] + 0.3 * np.tanh(exciting(log.time, 2, 0)[1][:, k] / 0.02)
        assert joint.noise_tau == pytest.approx(0.05 * exact.std(), rel=0.3)


def test_gaps_and_uneven_steps():
    time = np.cumsum(np.random.default_rng(0).uniform(0.0019, 0.0021, 1000))
    even = clock(np.arange(1000) * 0.002)
    assert (even.gaps, even.uneven) == (0, False)
    assert clock(time).uneven
    gap = clock(np.r_[np.arange(500) * 0.002, 1.5 + np.arange(500) * 0.002])
    assert gap.gaps == 1
    assert gap.longest_gap == pytest.approx(0.502)


def test_repeated_samples():
    signal = np.sin(np.linspace(0, 6, 900))
    rows = np.arange(10, 890)
    assert held(signal, rows) == (0.0, 1.0)
    share, kept = held(np.repeat(signal[::5], 5), rows)
    assert share == pytest.approx(0.8, abs=0.01)
    assert kept == 5


def test_saturation_is_flat_at_the_extreme():
    wave = 2 * np.sin(np.linspace(0, 20, 3000)) + 1e-6 * np.random.default_rng(0).random(3000)
    assert saturation(wave) == (0.0, 0.0)
    low, high = saturation(np.minimum(wave, 1.5))
    assert low == 0.0
    assert high == pytest.approx((wave >= 1.5).mean())
    assert saturation(np.repeat(wave[::10], 10)) == (0.0, 0.0)  # repeats, but no limit


def test_the_survey_is_stored_as_it_is(tmp_path):
    robot = kinematics.load("double_pendulum")
    found, _ = survey([log_of(robot, seed)[0] for seed in range(2)], robot)
    assert Survey.from_dict(found.to_dict()) == found


def write(path, log):
    table = pd.DataFrame({"time": log.time})
    for k in range(2):
        table[f"q{k + 1}"], table[f"tau{k + 1}"] = log.q[:, k], log.tau[:, k]
    table.to_csv(path, index=False)


def test_the_command_says_what_is_in_logs(tmp_path, capsys):
    robot = kinematics.load("double_pendulum")
    write(tmp_path / "one.csv", log_of(robot, 0, late=0.02)[0])
    out = tmp_path / "out"
    given = ["data", str(tmp_path / "one.csv"), "--robot", "double_pendulum", "--out", str(out)]
    assert cli.main(given) == 0
    said = capsys.readouterr().out
    assert "4,000" in said
    assert "500" in said
    assert " 20.0 ± " in said or " 19.9 ± " in said or " 20.1 ± " in said
    page = (out / "report.md").read_text()
    assert "columns told from their names" in page
    assert (out / "figures" / "coverage.png").stat().st_size > 5000
    assert (out / "figures" / "log_1.png").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nothing.csv"], "no such file or folder"),
        (["{log}", "--columns", "none.toml"], "columns none.toml: cannot be read"),
        (["{log}", "--robot", "panda"], "expected columns whose names tell positions"),
        (["{log}", "--robot", "double_pendulum", "--lock", "elbow"], "expected JOINT=VALUE"),
        (["{log}", "--lock", "elbow=1"], "expected --robot beside --lock"),
    ],
)
def test_what_the_command_cannot_do_is_one_line(tmp_path, capsys, options, words):
    write(tmp_path / "log.csv", log_of(kinematics.load("double_pendulum"), 0, seconds=1)[0])
    given = [option.format(log=tmp_path / "log.csv") for option in options]
    assert cli.main(["data", *given]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
