"""The ledger times what it says, takes turns, and its contenders answer the same question."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

import kinematics
from discover import contenders, ledger
from discover.region import Region
from discover.sampling import Batch, sample
from discover.stages import simulator

REGION = Region(q=1.0, v=1.0, tau=1.0)


def contender(name: str, pause: float, order: list[str]) -> ledger.Contender:
    def prepare(batch: Batch) -> Any:
        def call() -> None:
            order.append(name)
            time.sleep(pause * len(batch.q))

        return call

    return ledger.Contender(name=name, prepare=prepare, dtype="float64")


def test_times_are_per_state_and_contenders_take_turns() -> None:
    order: list[str] = []
    runners = [contender("slow", 0.004, order), contender("fast", 0.001, order)]
    timings = ledger.measure(runners, 1, REGION, batches=(1, 2), rounds=3, slice_s=0.001)  # type: ignore[arg-type]
    by_name = {(t.name, t.batch): t for t in timings}
    assert by_name["slow", 1].nanoseconds == pytest.approx(4e6, rel=0.5)
    assert by_name["slow", 2].nanoseconds == pytest.approx(4e6, rel=0.5)
    assert by_name["fast", 2].nanoseconds < by_name["slow", 2].nanoseconds
    last = order[-6:]
    assert last[::2] == ["slow"] * 3
    assert last[1::2] == ["fast"] * 3


def test_torch_gets_its_threads_back() -> None:
    before = torch.get_num_threads()
    with ledger.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", ["double_pendulum", "panda", "planar_branched"])
def test_the_oracles_are_the_same_robot(name: str) -> None:
    import mujoco
    import pinocchio as pin

    robot = kinematics.load(name)
    batch = sample(REGION, robot, 5, 0)
    true = simulator(robot)(*batch).numpy()
    model = contenders.pinocchio_model(robot)
    data = model.createData()
    theirs = [pin.aba(model, data, *(x[i].numpy() for x in batch)) for i in range(5)]
    assert np.allclose(theirs, true, rtol=1e-9, atol=1e-9)
    if not contenders._mujoco(robot):
        pytest.fail(f"MuJoCo refuses {name}")
    compiled = mujoco.MjModel.from_xml_string(contenders.mujoco_xml(robot))
    state = mujoco.MjData(compiled)
    for i in range(5):
        state.qpos[:], state.qvel[:], state.qfrc_applied[:] = (x[i].numpy() for x in batch)
        mujoco.mj_forward(compiled, state)
        assert np.allclose(state.qacc, true[i], rtol=1e-4, atol=1e-4)


def test_the_line_up_names_everybody_once() -> None:
    robot = kinematics.load("double_pendulum")
    names = [c.name for c in contenders.line_up(robot, simulator(robot), None)]
    assert len(names) == len(set(names))
    assert any(name.startswith("Pinocchio") for name in names)
    assert any(name.startswith("MuJoCo") for name in names)
    assert {"simulator, torch eager", "simulator, compiled", "model"} <= set(names)
