"""Recorded studies: networks held against the law of the same logs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

import discover
import kinematics
from discover.data.logs import Log
from discover.evaluation.held_against import Rows, explained, hold_against
from discover.laws import RigidBodyLaw
from discover.report.recorded import held_against as page
from discover.study import experiment

DESCRIBED = kinematics.load("double_pendulum")
MACHINE = DESCRIBED.replace(
    pi=DESCRIBED.pi * torch.tensor([[1.2], [0.8]]), damping=torch.tensor([0.4, 0.2])
)
HIDDEN = 1.5  # N·m, of a force that no law here has


def motion(seed, count=3000):
    """q, v, a (count, 2) of a random periodic motion, and its times."""
    generator = np.random.default_rng(seed)
    time = 0.004 * np.arange(count)
    w = 2 * np.pi * 0.2 * np.arange(1, 5)
    size = generator.normal(0, 0.8, (2, 4)) / np.arange(1, 5)
    angle = time[:, None, None] * w + generator.uniform(0, 6, (2, 4))
    q = (size * np.sin(angle)).sum(-1)
    return time, q, (size * w * np.cos(angle)).sum(-1), -(size * w**2 * np.sin(angle)).sum(-1)


def hidden(q):
    return HIDDEN * torch.sin(7 * q) * torch.tensor([1.0, 0.0], dtype=torch.float64)


def rows(noise=0.3, seed=0):
    """Held-out rows of a machine with the hidden force, and noisy measured joint forces."""
    time, *states = motion(seed)
    q, v, a = (torch.from_numpy(x) for x in states)
    tau = kinematics.rnea(MACHINE, q, v, a) + hidden(q)
    tau = tau + noise * torch.from_numpy(np.random.default_rng(seed + 1).normal(size=tau.shape))
    return Rows(
        q=q, v=v, a=a, tau=tau, log=np.zeros(len(q), dtype=np.int64),
        block=np.floor(time).astype(np.int64), names=("one",), noise=np.full(2, 1e-3), unseen=True,
    )  # fmt: skip


LAW = RigidBodyLaw(robot=MACHINE, size=20)


def compared(network, law=None, noise=0.3):
    laws = {"net": law} if law is not None else {}
    return hold_against(rows(noise), DESCRIBED, LAW, LAW, {"net": network}, laws)


def machine(q, v, tau):
    return kinematics.aba(MACHINE, q, v, tau - hidden(q))


class TestWhatOneKnows:
    def test_a_network_that_has_the_hidden_force_explains_the_laws_residual(self):
        found = compared(machine, noise=0.01).knowledge[0]
        assert found.of_law[0] > 0.95
        assert found.law_all > 10 * found.law_error

    def test_a_network_that_is_the_law_knows_nothing_beyond_it(self):
        found = compared(LAW).knowledge[0]
        assert found.law_all < 0.01
        assert found.network_all < 0.01

    def test_disbelief_in_noisy_torques_is_not_knowledge(self):
        """It answers with less of the noise, and knows no force that the law has not: the law's
        residual here is noise alone."""
        there = rows(noise=0.0)
        exact = kinematics.rnea(MACHINE, there.q, there.v, there.a)
        noise = torch.from_numpy(np.random.default_rng(5).normal(size=exact.shape))
        noisy = Rows(**{**vars(there), "tau": exact + 3.0 * noise})

        def half(q, v, tau):
            return kinematics.aba(MACHINE, q, v, exact + 0.5 * (tau - exact))

        found = hold_against(noisy, DESCRIBED, LAW, LAW, {"net": half}, {})
        known, network = found.knowledge[0], found.predictors[-1]
        assert network.off < found.predictors[3].off  # its accelerations are better, and yet
        assert known.law_all < 0.01

    def test_likeness_in_shape_is_not_knowledge(self):
        """The law's residual is a trace of the motion itself, and so is the error of a network that
        predicts half of every acceleration."""
        there = rows(noise=0.0)
        H = kinematics.crba(MACHINE, there.q)
        tau = kinematics.rnea(MACHINE, there.q, there.v, 1.004 * there.a)
        there = Rows(**{**vars(there), "tau": tau})
        found = hold_against(
            there, DESCRIBED, LAW, LAW,
            {"net": lambda q, v, tau: 0.5 * kinematics.aba(MACHINE, q, v, tau)}, {},
        )  # fmt: skip
        law, network = found.predictors[3], found.predictors[-1]
        off = (H @ (0.004 * there.a).unsqueeze(-1)).squeeze(-1).square().mean(0).sqrt()
        assert law.force[0] == pytest.approx(off.numpy(), rel=1e-6)
        assert network.off == pytest.approx(0.5, abs=0.01)
        assert found.knowledge[0].law_all < 0.02
        assert found.knowledge[0].network_all > 0.95

    def test_what_the_law_knows_of_a_network_that_lacks_friction(self):
        without = MACHINE.replace(damping=0 * MACHINE.damping)
        found = compared(lambda q, v, tau: kinematics.aba(without, q, v, tau), noise=0.01)
        assert found.knowledge[0].of_network[1] > 0.95
        assert found.knowledge[0].law_all < 0.05

    def test_answers_that_are_not_finite_are_not_known(self):
        found = compared(lambda q, v, tau: tau * np.nan)
        assert np.isnan(found.knowledge[0].law_all)
        text = page.in_words(json.loads(json.dumps(found.to_dict())))
        assert "cannot be told" in text


def test_one_factor_is_never_fitted_to_the_block_it_is_tested_on():
    """Noise explains nothing of noise, on average, and its stated error covers zero."""
    generator = np.random.default_rng(0)
    block = np.arange(2000) // 50
    sure = []
    for _ in range(200):
        _, share, error = explained(*generator.normal(size=(2, 2000, 2)), block)
        sure.append(share > 2 * error)
        assert share < 0.05
    assert np.mean(sure) < 0.05


def test_a_network_off_by_the_motion_is_called_so_and_others_are_not():
    def words(network):
        return page.sentences(json.loads(json.dumps(compared(network).to_dict())))

    assert any("no better than predicting none" in x for x in words(lambda q, v, tau: 0 * tau))
    assert not any("no better than predicting none" in x for x in words(machine))


def test_forces_of_a_predictor_are_those_of_its_inverse_dynamics():
    """For rigid bodies H (a - a_law) is the error in joint force, whichever way it is taken."""
    there = rows()
    found = hold_against(there, DESCRIBED, LAW, LAW, {"net": LAW}, {"net": LAW})
    by_name = {c.name: c for c in found.predictors}
    off = there.tau - kinematics.rnea(MACHINE, there.q, there.v, there.a)
    expected = off.square().mean(0).sqrt().numpy()
    for name in ("identified law", "net", "law of net"):
        assert by_name[name].force[0] == pytest.approx(expected, rel=1e-6)


def test_joint_forces_invert_a_law_with_terms(pendulum_law):
    from discover.evaluation.held_against import joint_forces

    there = rows()
    tau = joint_forces(pendulum_law, there)
    assert len(pendulum_law.extra) > 0
    assert pendulum_law(there.q, there.v, tau).numpy() == pytest.approx(there.a.numpy(), abs=1e-6)


@pytest.fixture(scope="module")
def pendulum_law():
    """Identified, with offsets, which no description states."""
    logs = []
    for seed in range(2):
        time, q, v, a = motion(seed + 10)
        tau = kinematics.rnea(MACHINE, *(torch.from_numpy(x) for x in (q, v, a))).numpy() + 0.2
        logs.append(Log(name=f"{seed}", sha256="", time=time, q=q, v=None, tau=tau))
    return discover.identify(logs, DESCRIBED, select=False, delay=0.0).law


RECIPE = """
[study]
name = "recorded"
title = "A recorded study"
seed = 1

[robot]
source = "double_pendulum"

[recording]
folder = "{folder}"
train = ["a.csv", "b.csv"]
test = ["c.csv"]
columns.time = "t"
columns.q = ["q0", "q1"]
columns.tau = ["tau0", "tau1"]
smoothing.window = 15
every = 4

[train]
epochs = 1

[examine]
budget = "quick"

[report]
ledger = false

[[model]]
name = "table"
kind = "table"
"""


@pytest.mark.slow
def test_a_recorded_study_identifies_and_holds_its_networks_against_the_law(tmp_path):
    for seed, name in enumerate("abc"):
        time, q, v, a = motion(seed, 2000)
        tau = kinematics.rnea(MACHINE, *(torch.from_numpy(x) for x in (q, v, a))).numpy()
        tau += 0.05 * np.random.default_rng(seed).normal(size=tau.shape)
        columns = {"t": time, "q0": q[:, 0], "q1": q[:, 1], "tau0": tau[:, 0], "tau1": tau[:, 1]}
        pd.DataFrame(columns).to_csv(tmp_path / f"{name}.csv", index=False)
    recipe = tmp_path / "recorded.toml"
    recipe.write_text(RECIPE.format(folder=tmp_path))
    out, said = tmp_path / "out", []
    experiment.run(recipe, out, say=said.append, progress=False)
    found = discover.Identification.load(out / "law_of_the_logs")
    assert found.logs == ("a.csv", "b.csv")
    assert found.held_out == ("c.csv",)
    held = json.loads((out / "held_against.json").read_text())
    assert held["logs"] == ["c.csv"]
    names = [c["name"] for c in held["predictors"]]
    assert names[:5] == ["zero", "description", "least squares", "identified law", "table"]
    force = {c["name"]: np.mean(c["force"]) for c in held["predictors"]}
    assert force["identified law"] < 0.1 * force["zero"]
    assert force["identified law"] < force["description"] < force["zero"]
    report = (out / "report.md").read_text()
    assert "Held against the law of the same logs" in report
    assert "| c.csv | elbow |" in report
    assert (out / "law_of_the_logs" / "report.md").is_file()
    again = []
    experiment.run(recipe, out, say=again.append, progress=False, resume=True)
    assert any("of the logs, kept" in line for line in again)
    assert (out / "report.md").read_text().count("Held against") == 1


def test_rows_inside_the_box_of_the_training_rows_are_told_apart():
    """A network that is the machine where it was trained, and silent elsewhere."""
    there = rows(noise=0.01)
    within = (there.q[:, 0] > 0).numpy()

    def network(q, v, tau):
        return machine(q, v, tau) * (q[:, :1] > 0)

    apart = Rows(**{**vars(there), "within": within})
    found = hold_against(apart, DESCRIBED, LAW, LAW, {"net": network}, {})
    net = found.predictors[-1]
    assert found.within[0] == pytest.approx(within.mean())
    assert net.force_within.max() < 0.02 < net.force_outside.min()
    assert found.knowledge_within[0].of_law[0] > 0.95
    text = page.in_words(json.loads(json.dumps(found.to_dict())))
    assert "outside it the law leaves" in text
    assert f"{DESCRIBED.independent_names[0]}, inside" in text
