"""`discover.identify`: what was planted is found, what was not is not, and the result is whole."""

import warnings

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.data.logs import Log
from discover.data.motions import Motion
from discover.errors import DatasetError
from discover.identification import identify as page
from discover.identification.samples import gather
from discover.identification.unexplained import dependences
from tests.identification.conftest import periodic


def friction_by_load(robot, q, v, a):
    """A quarter of what the bodies ask of a joint, against its motion."""
    bare = robot.replace(damping=0 * robot.damping, friction=0 * robot.friction,
                         armature=0 * robot.armature)  # fmt: skip
    load = kinematics.rnea(bare, *(torch.tensor(x) for x in (q, v, a))).numpy()
    return 0.25 * np.abs(load) * np.tanh(v / 0.005)


@pytest.fixture(scope="module")
def found(pendulum, logs):
    return discover.identify(logs[:3], pendulum[0], test=logs[3:], seed=1)


def test_bodies_and_drives_lie_within_their_errors(found, pendulum):
    true = pendulum[1]
    base = kinematics.base_parameters(true)
    truth = base.matrix.numpy() @ true.pi.flatten().numpy()
    z = [(p.value - x) / p.error for p, x in zip(found.parameters, truth, strict=True)]
    for kind, values in (("viscous friction", true.damping), ("Coulomb friction", true.friction)):
        of_kind = [p for p in found.friction if p.kind == kind]
        z += [(p.value - float(values[found.joints.index(p.joints[0])])) / p.error for p in of_kind]
    assert len(z) == len(truth) + 4
    assert np.mean(np.abs(z) < 2.5) >= 0.8
    assert np.abs(z).max() < 6


def test_the_inertia_is_unbiased(found, pendulum):
    q = torch.rand(50, 2, dtype=torch.float64) * 2 - 1
    H = [
        kinematics.crba(r, q).diagonal(dim1=-2, dim2=-1).mean(0) for r in (found.robot, pendulum[1])
    ]
    assert (H[0] / H[1]).numpy() == pytest.approx(np.ones(2), abs=0.02)


def test_errors_are_down_to_the_noise_and_beside_the_yardsticks(found):
    errors = found.error()
    assert errors["zero"] == pytest.approx(1.0)
    assert errors["identified"] < 0.03 < errors["description"]
    assert errors["identified"] < 1.1 * errors["least squares"]
    assert {e.log for e in found.errors if e.held_out} == {"log 3"}


def test_the_law_is_the_inverse_of_the_identified_joint_forces(found):
    generator = np.random.default_rng(3)
    q, v, a = (torch.tensor(generator.normal(size=(20, 2))) for _ in range(3))
    tau = kinematics.rnea(found.law.robot, q, v, a)
    for term in found.law.extra:  # offsets: forces that no description states
        tau = tau + torch.tensor([float(x) for x in term.expression], dtype=torch.float64)
    assert found.law(q, v, tau).numpy() == pytest.approx(a.numpy(), abs=1e-8)


def test_it_is_saved_whole_and_read_back(found, tmp_path):
    found.save(tmp_path)
    again = discover.Identification.load(tmp_path)
    assert again.to_dict() == found.to_dict()
    names = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert {"report.md", "law.json", "robot.urdf", "robot.xml", "torques.png", "drives.png",
            "residuals.png", "identification.json"} <= names  # fmt: skip
    report = (tmp_path / "report.md").read_text()
    assert "held out" in report
    assert "Coulomb friction, joint 1" in report
    urdf = kinematics.load(tmp_path / "robot.urdf")
    q = torch.rand(4, 2, dtype=torch.float64)
    assert kinematics.crba(urdf, q).numpy() == pytest.approx(
        kinematics.crba(found.robot.replace(armature=0 * found.robot.armature), q).numpy(), rel=1e-6
    )


def test_bodies_can_exist(found):
    from discover.laws.rigid_body.consistency import pseudo_inertia

    assert bool((torch.linalg.eigvalsh(pseudo_inertia(found.law.robot.pi)) > -1e-9).all())


def test_one_log_is_enough(pendulum, logs):
    alone = discover.identify(logs[0], pendulum[0])
    assert alone.logs == alone.held_out == ("log 0",)
    assert alone.error()["identified"] < 0.04


def test_a_delay_is_found_and_taken_out(pendulum, record):
    late = [record(pendulum[1], np.random.default_rng(k), f"{k}", delay=0.02) for k in range(2)]
    found = discover.identify(late, pendulum[0])
    assert found.alignment.delay == pytest.approx(0.02, abs=0.003)


def test_torques_on_time_stay_so(found):
    assert abs(found.alignment.delay) < 0.002


@pytest.fixture(scope="module")
def loaded(pendulum, record):
    """A drive whose friction grows with its load, on both joints."""
    generator = np.random.default_rng(5)
    return [record(pendulum[1], generator, f"{k}", beside=friction_by_load) for k in range(4)]


def test_friction_by_load_is_found(pendulum, loaded):
    found = discover.identify(loaded, pendulum[0])
    by_load = [p for p in found.friction if p.kind == "friction by load"]
    assert [p.joints for p in by_load]
    for p in by_load:
        assert p.value == pytest.approx(0.25, abs=0.05)


def test_without_it_in_the_list_the_residual_says_load(pendulum, loaded, monkeypatch):
    whole = page.drive_terms
    monkeypatch.setattr(
        page, "drive_terms", lambda *given: [x for x in whole(*given) if not x.loaded]
    )
    found = discover.identify(loaded, pendulum[0])
    clear = [d for d in found.unexplained if d.clear]
    assert [d.quantity for d in clear][:1] == ["load"]
    assert any("depends on the load" in x for x in _remarks(found))


def test_of_few_seconds_the_residual_says_load_or_nothing(pendulum):
    """Four logs of six seconds, as of a servo, with and without friction by load in what is left:
    a function of the load helps, or leaves no more than none does."""
    generator = np.random.default_rng(4)
    motions = []
    for k in range(4):
        time = np.arange(0, 6, 0.02)
        q, v, a = periodic(generator, 2, time)
        motions.append(Motion(time=time, q=q, v=v, a=a, tau=0 * q, name=f"{k}"))
    samples = gather(motions, np.full(2, 0.01))
    load = kinematics.rnea(pendulum[0], samples.q, samples.v, samples.a).numpy()
    shape = np.abs(load) * np.sign(samples.v.numpy())
    noise = np.repeat(generator.normal(size=(len(samples) // 4, 2)), 4, axis=0)
    for residual, there in ((noise + shape / shape.std(axis=0), True), (noise, False)):
        found = dependences(samples, ("a", "b"), residual, load)
        of_load = [x for x in found if x.quantity == "load"]
        assert any(x.clear for x in of_load) == there
        assert min(x.share for x in of_load) > -0.1


def test_without_such_friction_nothing_is_said_of_load(found):
    assert not [d for d in found.unexplained if d.clear and d.quantity == "load"]
    assert not [p for p in found.friction if "load" in p.kind]


def _remarks(found):
    from discover.report.recorded.identification import remarks

    return remarks(found.to_dict())


def test_ripple_is_found_by_its_teeth(pendulum, record):
    generator = np.random.default_rng(7)
    logs = [
        record(
            pendulum[1], generator, f"{k}", beside=lambda r, q, v, a: 0.3 * np.sin(30 * q) * [1, 0]
        )
        for k in range(3)
    ]
    found = discover.identify(logs, pendulum[0])
    ripple = [p for p in found.friction if p.kind == "ripple"]
    assert {p.joints for p in ripple} == {found.joints[:1]}
    assert [p.name.split()[1] for p in ripple] == ["30", "30"]
    assert np.hypot(*(p.value for p in ripple)) == pytest.approx(0.3, rel=0.25)


@pytest.mark.slow
def test_torques_that_have_nothing_to_do_with_the_motion_give_no_law(pendulum, logs):
    generator = np.random.default_rng(9)
    noise = [
        Log(
            name=x.name,
            sha256="",
            time=x.time,
            q=x.q,
            v=None,
            tau=generator.normal(size=x.tau.shape),
        )
        for x in logs
    ]
    found = discover.identify(noise, pendulum[0])
    assert found.error()["identified"] > 0.9
    assert any("hardly a law" in x for x in _remarks(found))


def test_a_log_that_is_held_out_is_not_fitted_though_it_is_among_the_logs(pendulum, logs):
    from dataclasses import replace

    named = [replace(log, sha256=str(k)) for k, log in enumerate(logs)]
    found = discover.identify(named, pendulum[0], test=named[3:], select=False, delay=0.0)
    assert found.logs == ("log 0", "log 1", "log 2")
    assert found.held_out == ("log 3",)
    assert any("held out" in note and "log 3" in note for note in found.notes)
    with pytest.raises(DatasetError, match="not held out as well"):
        discover.identify(named[3:], pendulum[0], test=named[3:], delay=0.0)


@pytest.mark.slow
def test_a_joint_that_nothing_drives_keeps_its_mass(pendulum, record):
    """A passive elbow: bodies without mass would explain that its force is always zero."""
    described = pendulum[0]
    true = described.replace(
        pi=described.pi * torch.tensor([[1.2], [0.8]]), damping=torch.tensor([0.1, 0.02])
    )
    sampled = []
    for seed in range(3):
        generator = np.random.default_rng(seed)
        q, v = torch.tensor(generator.normal(0, 0.5, (1, 2))), torch.zeros(1, 2)
        states, forces = [], []
        for k in range(4000):
            push = torch.tensor([[3.0 * np.sin(2.1 * k * 0.004 + seed), 0.0]])
            states.append(q[0].numpy())
            forces.append(push[0].numpy())
            for _ in range(4):
                v = v + 0.001 * kinematics.aba(true, q, v, push)
                q = q + 0.001 * v
        sampled.append(
            Log(
                name=f"{seed}",
                sha256="",
                time=0.004 * np.arange(4000),
                q=np.array(states) + generator.normal(0, 1e-4, (4000, 2)),
                v=None,
                tau=np.array(forces) + generator.normal(0, 0.03, (4000, 2)) * [1.0, 0.0],
            )
        )
    found = discover.identify(sampled[:2], described, test=sampled[2:], delay=0.0)
    assert found.error()["identified"] < 1.1 * found.error()["least squares"]
    assert not any("gain" in x.kind and "elbow" in x.joints for x in found.friction)
    (lower,) = (x for x in found.parameters if x.name == "mz[lower]")
    assert lower.value == pytest.approx(-0.8, rel=0.05)


class TestUnits:
    @pytest.mark.slow
    def test_another_unit_is_warned_of_and_the_bodies_settle_it(self, pendulum, logs):
        amperes = [
            Log(name=x.name, sha256="", time=x.time, q=x.q, v=None, tau=x.tau / [0.02, 0.05])
            for x in logs
        ]
        with pytest.warns(UserWarning, match="another unit"):
            discover.identify(amperes, pendulum[0], delay=0.0, select=False)
        found = discover.identify(amperes, pendulum[0], torque_unit="unknown", delay=0.0)
        # the description is off by a fifth either way, and so is what it settles
        assert found.torque_scale.factor == pytest.approx([0.02, 0.05], rel=0.35)
        assert found.error()["identified"] < 0.05

    def test_a_refusal_says_the_three_ways_out(self, pendulum, logs):
        """The description's bodies weigh nothing to speak of: nothing settles the factor."""
        light = pendulum[0].replace(pi=1e-9 * pendulum[0].pi, gravity=0 * pendulum[0].gravity)
        noise = np.random.default_rng(0)
        amperes = [
            Log(name=x.name, sha256="", time=x.time, q=x.q, v=None,
                tau=noise.normal(size=x.tau.shape))
            for x in logs[:2]
        ]  # fmt: skip
        with pytest.raises(DatasetError) as refused:
            discover.identify(amperes, light, torque_unit="unknown", delay=0.0)
        said = str(refused.value)
        assert all(x in said for x in ("scale.tau", "--payload LABEL=LOG,KG", "--lock"))
        assert "\n" not in said

    def test_newton_metres_are_not_warned_of(self, pendulum, logs):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            discover.identify(logs[:2], pendulum[0], delay=0.0, select=False)


def test_plain_friction_gets_no_other_terms(found):
    kinds = {p.kind for p in found.friction}
    assert kinds <= {"viscous friction", "Coulomb friction", "offset", "rotor inertia"}


def test_degrees_are_told(pendulum, logs):
    degrees = [
        Log(name=x.name, sha256="", time=x.time, q=np.rad2deg(x.q), v=None, tau=x.tau) for x in logs
    ]
    limited = pendulum[0].replace(lower=torch.tensor([-3.0, -3.0]), upper=torch.tensor([3.0, 3.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = discover.identify(degrees, limited, delay=0.0, select=False)
    assert any("degrees" in note for note in found.notes)
    assert any("degrees" in x for x in _remarks(found))


class TestRefusals:
    def test_a_robot_that_stands_still(self, pendulum, logs):
        generator = np.random.default_rng(0)
        still = [
            Log(name=x.name, sha256="", time=x.time, q=1e-5 * generator.normal(size=x.q.shape),
                v=None, tau=x.tau)
            for x in logs
        ]  # fmt: skip
        with pytest.raises(DatasetError, match="no joint"):
            discover.identify(still, pendulum[0], delay=0.0)

    def test_torques_that_never_change(self, pendulum, logs):
        constant = [
            Log(name=x.name, sha256="", time=x.time, q=x.q, v=None, tau=np.ones_like(x.tau))
            for x in logs
        ]
        with pytest.raises(DatasetError, match="constant"):
            discover.identify(constant, pendulum[0], delay=0.0)

    def test_a_free_base(self, logs):
        robot = kinematics.random_tree(2, seed=0)
        free = kinematics.load(kinematics.to_urdf(robot), root="free")
        with pytest.raises(DatasetError, match="one coordinate each"):
            discover.identify(logs, free)

    def test_a_log_of_too_few_samples(self, pendulum, logs):
        x = logs[0]
        short = Log(name="short", sha256="", time=x.time[:9], q=x.q[:9], v=None, tau=x.tau[:9])
        with pytest.raises(DatasetError):
            discover.identify(short, pendulum[0])

    def test_a_log_of_another_robot(self, logs):
        with pytest.raises(DatasetError, match="3 joints"):
            discover.identify(logs, kinematics.load("planar_3r"))
