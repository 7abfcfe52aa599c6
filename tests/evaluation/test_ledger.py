"""The ledger times what it says, takes turns, and its contenders answer the same question."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import distribution
from typing import Any

import numpy as np
import pytest
import torch

import kinematics
from discover import models
from discover.blackbox.region import Region
from discover.blackbox.sampling import Batch, sample
from discover.evaluation import line_up, time_ledger
from discover.evaluation.contender import Contender, answer, from_torch
from discover.evaluation.simulators import pinocchio, registry
from discover.evaluation.simulators.reference import simulator
from discover.threads import one_thread

REGION = Region(q=1.0, v=1.0, tau=1.0)
SOLO = "solo_description/robots/solo12.urdf"


class Bench:
    """Contenders that take the time they say, by a clock that only they move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def contender(self, name: str, pause: float) -> Contender:
        def prepare(batch: Batch) -> Any:
            def call() -> None:
                self.order.append(name)
                self.now += pause * len(batch.q)

            return call

        return Contender(name=name, prepare=prepare, dtype="float64", clock=lambda: self.now)


def test_times_are_per_state_and_contenders_take_turns() -> None:
    bench = Bench()
    runners = [bench.contender("slow", 0.004), bench.contender("fast", 0.001)]
    timings = time_ledger.measure(runners, 1, REGION, batches=(1, 2), rounds=3, slice_s=0.001)  # type: ignore[arg-type]
    by_name = {(t.name, t.batch): t.nanoseconds for t in timings}
    assert by_name["slow", 1] == pytest.approx(4e6)
    assert by_name["slow", 2] == pytest.approx(4e6)
    assert by_name["fast", 2] == pytest.approx(1e6)
    assert bench.order[-6:] == ["slow", "fast"] * 3


def test_a_fast_call_is_repeated_until_it_fills_its_slice() -> None:
    bench = Bench()
    time_ledger.measure(
        [bench.contender("fast", 1e-4)], 1, REGION, batches=(1,), rounds=2, slice_s=0.01
    )  # type: ignore[arg-type]
    assert len(bench.order) == pytest.approx(2 + 2 * 100, abs=4)


def test_torch_gets_its_threads_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def free_quadruped() -> kinematics.Robot:
    robots = distribution("example-robot-data").locate_file(
        "cmeel.prefix/share/example-robot-data/robots"
    )
    return kinematics.load(f"{robots}/{SOLO}", root="free")


def with_rotors(robot: kinematics.Robot) -> kinematics.Robot:
    return robot.replace(armature=torch.linspace(0.1, 0.5, robot.nv, dtype=torch.float64))


SUBJECTS = {
    "double_pendulum": lambda: kinematics.load("double_pendulum"),
    "panda": lambda: kinematics.load("panda"),
    "planar_branched": lambda: kinematics.load("planar_branched"),
    "panda with rotors": lambda: with_rotors(kinematics.load("panda")),
    "solo12": free_quadruped,
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_engines_simulate_the_same_robot(name: str) -> None:
    """Drake and OpenSim take part where they are installed; they are no part of the extras."""
    robot = SUBJECTS[name]()
    batch = sample(REGION, robot, 9, 0)
    true = simulator(robot)(*batch).numpy()
    assert np.allclose(pinocchio.reference(robot)(batch), true, rtol=1e-9, atol=1e-9)
    found = [own for own in registry.installed(robot) if own.answers]
    assert {own.name.split()[0] for own in found} >= {"Pinocchio", "MuJoCo"}
    for own in found:
        said = answer(own, batch)
        assert said is not None
        assert np.abs(said - true).max() < 1e-6 * np.abs(true).max(), own.name


def with_terms(robot: kinematics.Robot) -> kinematics.Robot:
    """The robot with every joint term that a description can state, different at each velocity."""

    def spread(low: float, high: float) -> torch.Tensor:
        return torch.linspace(low, high, robot.nv, dtype=torch.float64)

    return robot.replace(
        damping=spread(0.5, 2.0),
        friction=spread(0.3, 0.1),
        stiffness=spread(4.0, 1.0),
        spring_reference=spread(0.2, -0.3),
    )


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_engines_have_the_joint_terms_of_the_robot(name: str) -> None:
    robot = with_terms(SUBJECTS[name]())
    batch = sample(REGION, robot, 9, 0)
    true = simulator(robot)(*batch).numpy()
    without = simulator(SUBJECTS[name]())(*batch).numpy()
    assert np.abs(true - without).max() > 1e-3 * np.abs(true).max()
    assert np.allclose(pinocchio.reference(robot)(batch), true, rtol=1e-9, atol=1e-8)
    found = [own for own in registry.installed(robot) if own.answers]
    assert {own.name.split()[0] for own in found} >= {"Pinocchio", "MuJoCo"}
    for own in found:
        said = answer(own, batch)
        assert said is not None
        assert np.abs(said - true).max() < 1e-6 * np.abs(true).max(), own.name
        assert "damping, friction and springs" in own.note


def test_rotors_of_a_free_base_are_left_to_who_can_express_them() -> None:
    robot = with_rotors(free_quadruped())
    batch = sample(REGION, robot, 9, 0)
    true = simulator(robot)(*batch).numpy()
    found = [own for own in registry.installed(robot) if own.answers]
    assert "MuJoCo" not in {own.name.split()[0] for own in found}
    for own in found:
        assert np.abs(answer(own, batch) - true).max() < 1e-6 * np.abs(true).max(), own.name


def test_a_simulator_is_a_file_and_a_line() -> None:
    for module in registry.SIMULATORS.values():
        adapter = import_module(f"discover.evaluation.simulators.{module}")
        assert callable(adapter.contenders), module


def test_every_way_to_run_a_network_gives_its_answers() -> None:
    robot = kinematics.load("double_pendulum")
    network = models.build("mlp", robot.nq, robot.nv, {"width": 8}, seed=1).float()
    with torch.no_grad():
        network.net.last.weight.add_(0.5)  # type: ignore[union-attr,operator]
    found = line_up.networks("mlp", network, robot)
    assert [own.name for own in found][:2] == ["mlp", "mlp, ONNX Runtime"]
    for size in (1, 5):
        batch = sample(REGION, robot, size, 0)
        said = [answer(own, batch) for own in found]
        assert np.abs(said[0]).max() > 1e-3
        for other in said[1:]:
            assert np.allclose(other, said[0], atol=1e-5)


def test_errors_are_told_in_the_region_and_outside() -> None:
    robot = kinematics.load("double_pendulum")
    exact = simulator(robot)

    def wrong(q: torch.Tensor, v: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
        outside = (tau.abs().amax(-1, keepdim=True) > 1).to(tau)
        return exact(q, v, tau) * (1.0 + 0.01 + outside)

    def steps(q: torch.Tensor, v: torch.Tensor, tau: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return q, v

    runners = [
        from_torch("wrong", wrong, kind="model", family="same"),
        from_torch("again", wrong, kind="model", family="same"),
        from_torch("steps", steps, kind="model"),
    ]
    reference = pinocchio.reference(robot)
    errors = time_ledger.errors(runners, reference, robot, REGION, samples=32)
    assert [own.name for own in errors] == ["wrong", "again"]
    inside, twice, thrice = errors[0].errors
    assert inside == pytest.approx(0.01, rel=1e-6)
    assert twice == pytest.approx(1.01, rel=1e-6)
    assert thrice == pytest.approx(1.01, rel=1e-6)
    assert errors[1].errors == errors[0].errors


def test_the_line_up_names_everybody_once() -> None:
    robot = kinematics.load("double_pendulum")
    names = [c.name for c in line_up.on_the_processor(robot, simulator(robot), None)]
    assert len(names) == len(set(names))
    assert any(name.startswith("Pinocchio") for name in names)
    assert any(name.startswith("MuJoCo") for name in names)
    assert {"simulator, torch eager", "simulator, compiled", "model"} <= set(names)


def test_a_model_that_exports_for_one_batch_only_is_left_out_of_onnx() -> None:
    robot = kinematics.load("double_pendulum")
    table = models.build("table", 2, 2, {})
    state = kinematics.random_state(robot, 50, seed=0)
    q, v, tau = state
    table.fit(models.Samples(q=q, v=v, tau=tau, target=kinematics.aba(robot, *state)))
    session = line_up.onnx_session(table, robot, torch.float64)
    if session is not None:
        for size in (1, 5):
            few = {n: x[:size].numpy() for n, x in zip(("q", "v", "tau"), state, strict=True)}
            assert session.run(None, few)[0].shape == (size, 2)


@pytest.mark.slow
def test_a_runtime_without_a_fused_kernel_runs_the_plain_operators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As versions before 1.31 are with SiLU in float64."""
    import onnxruntime

    every, basic = (
        getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{name}")
        for name in ("ALL", "BASIC")
    )
    started = onnxruntime.InferenceSession
    lacking: set[Any] = {every}

    def session(model: Any, options: Any, **more: Any) -> Any:
        if options.graph_optimization_level in lacking:
            raise Exception("NOT_IMPLEMENTED: no kernel for QuickGelu")
        return started(model, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    robot = kinematics.load("double_pendulum")
    model = models.build("mlp", 2, 2, {"width": 16, "depth": 1}).double()
    found = line_up.onnx_session(model, robot, torch.float64)
    q, v, tau = kinematics.random_state(robot, 5, seed=0)
    inputs = {"q": q.numpy(), "v": v.numpy(), "tau": tau.numpy()}
    torch.testing.assert_close(torch.from_numpy(found.run(None, inputs)[0]), model(q, v, tau))
    lacking.add(basic)
    assert line_up.onnx_session(model, robot, torch.float64) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_line_up_beside_a_card() -> None:
    robot = kinematics.load("double_pendulum")
    network = models.build("mlp", 2, 2, {"width": 16, "depth": 1}).double()
    batch = sample(REGION, robot, 20, 0)
    for line in (
        line_up.on_the_processor(robot, {"mlp": network}, None),
        line_up.on_the_card(robot, {"mlp": network}, plain=["mlp"], threads=2),
    ):
        found = {c.name: torch.as_tensor(c.prepare(batch)()).cpu().double() for c in line}
        assert any("CUDA" in name for name in found)
        for name, a in found.items():
            exact = network(*batch) if name.startswith("mlp") else kinematics.aba(robot, *batch)
            assert (a - exact).norm() < 1e-5 * exact.norm(), name
