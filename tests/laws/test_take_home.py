"""A law taken home: compiled steps, exported steps, robot files, the interface of a network."""

import math
import shutil
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest
import sympy
import torch

import kinematics
from discover.errors import ModelError, RobotError, WorldlawError
from discover.laws import ConstantLaw, RigidBodyLaw, from_dict
from discover.laws.contract import Domain
from discover.laws.provenance import Provenance
from discover.laws.rigid_body.consistency import possible_bodies
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.interface import LawModel
from discover.laws.rigid_body.step_map import SCHEMES, StepMap
from kinematics import Actuation

PENDULUM = kinematics.load("double_pendulum").replace(damping=[0.2, 0.3])


def law(robot=PENDULUM, scheme="rk4", dt=0.02, substeps=1, frame="body", **more):
    step = StepMap(scheme=scheme, dt=dt, substeps=substeps, frame=frame)
    return RigidBodyLaw(robot=robot, size=1, step_map=step, **more)


def error(found, expected):
    return max(
        float((torch.as_tensor(x) - y).abs().max()) for x, y in zip(found, expected, strict=True)
    )


def with_term():
    v1 = sympy.Symbol("v1", real=True)
    return RigidBodyLaw.from_sympy(PENDULUM, [sympy.Matrix([v1**3, 0])])


# ---- steps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_compiled_step_is_the_eager_one(scheme):
    own = law(scheme=scheme, substeps=3)
    state = kinematics.random_state(PENDULUM, 7)
    assert error(own.step(*state), own.eager_step(*state, own.step_map)) < 1e-14
    assert own.compiled_steps[own.step_map, "float64"] is not None


@pytest.mark.parametrize("frame", ["body", "world"])
@pytest.mark.parametrize("scheme", ["semi_implicit_euler", "rk4"])
def test_joints_that_turn_freely_step_alike(scheme, frame):
    for kinds, root in ((("spherical", "revolute"), "fixed"), (("revolute",), "free")):
        robot = kinematics.random_tree(2, seed=1, kinds=kinds, root=root)
        own = law(robot, scheme, frame=frame, substeps=2)
        q, v, tau = kinematics.random_state(robot, 7)
        v[0] = 0.0  # where a turn has no axis
        found = own.step(q, v, tau)
        assert error(found, own.eager_step(q, v, tau, own.step_map)) < 1e-11
        assert all(bool(torch.isfinite(x).all()) for x in found)


def test_several_steps_another_dt_and_laws_without_a_step():
    own = law()
    q, v, tau = kinematics.random_state(PENDULUM, 5)
    once = own.step(q, v, tau)
    assert error(own.step(q, v, tau, steps=2), own.step(*once, tau)) < 1e-15
    free = RigidBodyLaw(robot=PENDULUM, size=1)
    path = kinematics.simulate(PENDULUM, q, v, tau, 0.05, 3)
    assert error(free.step(q, v, tau, dt=0.05, steps=3), (path.q[-1], path.v[-1])) < 1e-13
    assert error(own.step(q, v, tau, 0.05), free.step(q, v, tau, 0.05)) < 1e-15
    with pytest.raises(ModelError, match="expected dt for a law"):
        free.step(q, v, tau)


def test_controls_go_through_the_actuation():
    motors = Actuation.of([[2.0, -1.0]], names=("m",), low=-0.5, high=0.5)
    own = law(PENDULUM.replace(actuation=motors))
    q, v, _ = kinematics.random_state(PENDULUM, 9)
    u = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    tau = u.clamp(-0.5, 0.5) * torch.tensor([2.0, -1.0], dtype=torch.float64)
    assert error(own.step(q, v, u), law().step(q, v, tau)) < 1e-15
    with pytest.raises(ModelError, match=r"u: expected last axis 1 .*found shape \(9, 2\)"):
        own.step(q, v, tau)


def test_gradients_flow_and_batches_broadcast():
    own = law(substeps=2)
    q, v, tau = kinematics.random_state(PENDULUM, 6)
    wide = own.step(q.reshape(2, 3, 2), v[0], tau[:3])
    assert wide[0].shape == wide[1].shape == (2, 3, 2)
    single = own.step(q[4], v[0], tau[1])
    assert error([x[1, 1] for x in wide], single) < 1e-15
    moved = q.clone().requires_grad_()
    after, _ = own.step(moved, v, tau)
    (slope,) = torch.autograd.grad(after.sum(), moved)
    ahead, _ = own.step(q + 1e-6, v, tau)
    assert float((slope.sum(-1) - (ahead - after).detach().sum(-1) / 1e-6).abs().max()) < 1e-4


def test_large_robots_step_by_their_compiled_accelerations(monkeypatch):
    own, whole = law(substeps=2), law(substeps=2)
    state = kinematics.random_state(PENDULUM, 5)
    expected = whole.step(*state, steps=2)
    monkeypatch.setattr("discover.laws.rigid_body.stepping.LARGEST", 10)
    assert error(own.step(*state, steps=2), expected) < 1e-14
    assert own.compiled_steps[own.step_map, "float64"].program is None


@pytest.mark.parametrize("bad", [{"dt": 0.0}, {"dt": "x"}, {"steps": 0}, {"steps": 1.5}])
def test_bad_steps_are_one_line(bad):
    state = kinematics.random_state(PENDULUM, 2)
    with pytest.raises(ModelError, match=r"^expected [^\n]*$"):
        law().step(*state, **bad)
    with pytest.raises(ModelError, match="one batch"):
        law().step(state[0], state[1][:1].expand(3, 2), state[2])


# ---- what laws take ---------------------------------------------------------------------------


@pytest.mark.parametrize("own", [law(), with_term(), ConstantLaw(values=(1.0, 2.0))], ids=repr)
def test_laws_take_whatever_holds_numbers(own):
    q, v, tau = kinematics.random_state(PENDULUM, 4)
    expected = own(q, v, tau)
    arrays = [x.numpy() for x in (q, v, tau)]
    answer = own(*arrays)
    assert type(answer) is np.ndarray
    assert answer.dtype == np.float64
    assert np.array_equal(answer, expected.numpy())
    assert torch.equal(own(*(x.tolist() for x in (q, v, tau))), expected)
    whole = own([0, 1], torch.tensor([1, 0]), [2, 3])
    assert torch.equal(whole, own(*torch.tensor([[0.0, 1], [1, 0], [2, 3]], dtype=torch.float64)))
    single = own(*(x.float() for x in (q, v, tau)))
    assert single.dtype == torch.float32
    assert own(q.float(), v, tau).dtype == torch.float64
    assert float((single - expected).abs().max()) < 1e-3
    with pytest.raises(RobotError, match="as a tensor or an array of numbers"):
        own("state", v, tau)


def test_steps_of_arrays_are_arrays():
    state = [x.numpy() for x in kinematics.random_state(PENDULUM, 4)]
    after = law().step(*state)
    assert all(type(x) is np.ndarray for x in after)
    single = law().step(*(x.astype(np.float32) for x in state))
    assert all(x.dtype == np.float32 for x in single)
    assert error(single, [torch.from_numpy(x) for x in after]) < 1e-5


# ---- exports ----------------------------------------------------------------------------------


def ran(text, target):
    """The names that an exported module defines; JAX's arrays are NumPy's here."""
    space = {}
    if target == "jax":
        stand_in = types.ModuleType("jax")
        stand_in.numpy = np
        kept = {name: sys.modules.get(name) for name in ("jax", "jax.numpy")}
        sys.modules |= {"jax": stand_in, "jax.numpy": np}
        try:
            exec(text, space)  # our own text
        finally:
            for name, module in kept.items():
                sys.modules.pop(name) if module is None else sys.modules.update({name: module})
        return space
    exec(text, space)
    return space


@pytest.mark.parametrize("target", ["python", "torch", "jax"])
def test_exported_steps_step_alike(target):
    motors = Actuation.of([[2.0, 0.0]], names=("m",), low=-0.5)
    for own in (law(substeps=3), law(PENDULUM.replace(actuation=motors), "implicit_damping")):
        q, v, tau = kinematics.random_state(PENDULUM, 4)
        u = tau[:, : 2 if own.robot.actuation is None else 1]
        given = (q, v, u) if target == "torch" else [x.numpy() for x in (q, v, u)]
        step = ran(own.export(target, of="step"), target)["step"]
        assert error(step(*given), own.step(q, v, u)) < 1e-13
    acceleration = ran(law().export(target), target)["aba"]
    given = (q, v, tau) if target == "torch" else [x.numpy() for x in (q, v, tau)]
    assert error([acceleration(*given)], [law()(q, v, tau)]) < 1e-12


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_exported_c_steps_alike(tmp_path):
    own = law(substeps=3)
    q, v, tau = (x[0] for x in kinematics.random_state(PENDULUM, 1))
    numbers = [", ".join(map(repr, x.tolist())) for x in (q, v, tau)]
    program = own.export("c", of="step") + (
        "#include <stdio.h>\nint main(void) {\n"
        f"  double q[] = {{{numbers[0]}}}, v[] = {{{numbers[1]}}};\n"
        f"  const double tau[] = {{{numbers[2]}}};\n"
        "  step(q, v, tau);\n"
        '  printf("%.17g %.17g %.17g %.17g", q[0], q[1], v[0], v[1]);\n  return 0;\n}\n'
    )
    (tmp_path / "step.c").write_text(program)
    built = ["cc", "-std=c99", "-Wall", "-Werror", "-o", tmp_path / "step", tmp_path / "step.c"]
    subprocess.run([*built, "-lm"], check=True)
    printed = subprocess.run([tmp_path / "step"], check=True, capture_output=True, text=True)
    found = torch.tensor([float(x) for x in printed.stdout.split()], dtype=torch.float64)
    assert error([found], [torch.cat(own.step(q, v, tau))]) < 1e-14


def test_what_is_exported_says_what_it_is():
    origin = Provenance(
        model="my net",
        verdict="physics (confidence 0.97)",
        error=0.0123,
        region="q 1.0, v 2.0, tau 3.0",
        date="2026-11-30",
        version="0.1.0",
    )
    domain = Domain(reach={"q": 3.0, "v": 2.0}, tolerance=0.05, at_least=("q",))
    own = law(substeps=4, dt=0.008, provenance=origin, domain=domain)
    for target, mark in {"python": "# ", "c": "// ", "jax": "# ", "torch": "# "}.items():
        text = own.export(target, of="step")
        head = text.split("\n\n")[0].splitlines()
        assert all(line.startswith(mark) for line in head)
        for said in (
            "taken from my net", "2026-11-30", "physics", "0.012", "q 1.0, v 2.0", "[rad/s]",
            "dt = 0.008 s, rk4, 4 sub-steps", "q >= 3, v 2", "shoulder",
        ):  # fmt: skip
            assert said in "\n".join(head), (target, said)
    assert from_dict(own.to_dict()).provenance == origin
    with pytest.raises(ValueError, match="of='acceleration' or 'step'"):
        own.export("c", of="torque")
    with pytest.raises(ValueError, match="for a step"):
        own.export("latex", of="step")
    with pytest.raises(WorldlawError, match=r"expected a target of sympy, .* 'bogus'"):
        own.export("bogus")
    with pytest.raises(ModelError, match="taken from accelerations"):
        RigidBodyLaw(robot=PENDULUM, size=1).export("c", of="step")


# ---- files of the robot -----------------------------------------------------------------------


def test_bodies_of_least_norm_are_written_as_possible_ones():
    for name in ("planar_branched",):
        robot = kinematics.load(name)
        basis = Family.of(robot).basis
        least = robot.replace(pi=(basis @ (basis.T @ robot.pi.flatten())).reshape(-1, 10))
        own = RigidBodyLaw(robot=least, size=1)
        q, v, tau = kinematics.random_state(robot, 10)
        expected = own(q, v, tau)
        for text in (own.to_urdf(), own.to_mjcf()):
            assert "possible bodies that move alike" in text
            again = kinematics.aba(kinematics.load(text), q, v, tau)
            assert float((again - expected).abs().max() / expected.abs().max()) < 1e-10
        assert possible_bodies(robot) is robot


def test_laws_of_no_bodies_are_refused_in_one_line():
    robot = kinematics.random_tree(3, seed=1, kinds=("revolute",))
    impossible = robot.replace(pi=-robot.pi)  # negative inertia shows in the answers
    assert possible_bodies(impossible) is None
    for write in (RigidBodyLaw.to_urdf, RigidBodyLaw.to_mjcf):
        with pytest.raises(RobotError, match=r"^expected a law of bodies that can exist[^\n]*$"):
            write(RigidBodyLaw(robot=impossible, size=1))


def test_terms_are_said_where_a_file_cannot_state_them():
    own = with_term()
    for write in (own.to_urdf, own.to_mjcf):
        with pytest.warns(UserWarning, match=r"of the law, not in this file: terms .*v1\*\*3"):
            text = write()
        assert "v1**3" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = law(dt=0.01, substeps=5).to_mjcf()
    assert 'timestep="0.002" integrator="RK4"' in text


# ---- behind a network's interface -------------------------------------------------------------


class Cosines:
    """Observation (cos q, sin q, v), action the joint forces."""

    def __init__(self):
        self.predicts = self.observation = self
        self.undetermined = self.velocities_missing = ()
        self.channels = [types.SimpleNamespace(low=-np.inf, high=np.inf)]
        self.read = 0

    def observe(self, q, v):
        return torch.cat([q.cos(), q.sin(), v], dim=-1)

    def states(self, observation):
        self.read += 1
        y = torch.as_tensor(observation).to(torch.float64)
        return torch.atan2(y[..., 2:4], y[..., :2]), y[..., 4:]

    def controls(self, action):
        return torch.as_tensor(action).to(torch.float64)


def test_the_law_behind_the_network_s_own_interface():
    own, observer = law(), Cosines()
    model = own.as_model(observer)
    q, v, tau = kinematics.random_state(PENDULUM, 5)
    observation = observer.observe(q, v)
    for k in range(4):
        observation = model(observation, tau)
        q, v = own.step(q, v, tau)
        assert error([observation], [observer.observe(q, v)]) < 1e-13
        assert observer.read == 1, k  # a roll-out knows its own state
    assert (
        error([model(observation.clone(), tau)], [observer.observe(*own.step(q, v, tau))]) < 1e-12
    )
    changed = observation.clone()
    changed[0, 4] += 1.0
    q, v = observer.states(changed)
    assert error([model(changed, tau)], [observer.observe(*own.step(q, v, tau))]) < 1e-12
    array = model(changed.float().numpy(), tau.numpy())
    assert type(array) is np.ndarray
    assert array.dtype == np.float32


def test_observations_that_hide_something_are_read_each_time():
    observer = Cosines()
    observer.channels = [types.SimpleNamespace(low=-10.0, high=10.0)]
    model = LawModel(law(), observer)
    q, v, tau = kinematics.random_state(PENDULUM, 5)
    observation = observer.observe(q, v)
    for _ in range(3):
        observation = model(observation, tau)
    assert observer.read == 3


def test_interfaces_that_are_none_are_one_line():
    with pytest.raises(ModelError, match=r"law\.as_model\(discover\.wrap"):
        law().as_model()
    with pytest.raises(ModelError, match="without states, controls, predicts"):
        law().as_model(math)


def test_controls_are_not_broadcast_over_joint_forces():
    law = RigidBodyLaw(robot=kinematics.load("double_pendulum"), size=7)
    q = torch.zeros(3, 2).double()
    with pytest.raises(ModelError, match=r"last axis 2, joint forces"):
        law(q, q, torch.ones(3, 1).double())
