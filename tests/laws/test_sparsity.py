"""Laws compile to programs without the zeros that a fit leaves as rounding."""

import torch

import kinematics
from discover.bench.ledger_measurement import fitted_law
from discover.blackbox.region import Region
from discover.laws.rigid_body.sparsity import lean_bodies
from kinematics.programs import compile_robot

PENDULUM = kinematics.load("double_pendulum")


def test_a_law_of_exact_answers_costs_about_what_the_simulator_does():
    law = fitted_law(PENDULUM, Region(q=1.0, v=2.0, tau=5.0).resolve(2))
    whole = compile_robot(law.robot, "aba").arithmetic
    lean = law.compile()
    assert compile_robot(PENDULUM, "aba").arithmetic <= lean.arithmetic < whole
    q, v, a = kinematics.random_state(PENDULUM, 50, q=100.0, v=50.0)
    tau = kinematics.rnea(PENDULUM, q, v, a)
    found = torch.as_tensor(lean(q.numpy(), v.numpy(), tau.numpy()))
    assert float((found - a).abs().max()) < 1e-9 * float(tau.abs().max())


def test_what_contributes_stays():
    robot = kinematics.random_tree(4, seed=3, kinds=("revolute",))
    assert lean_bodies(robot) is robot  # all of it shows in the motion
    flat = PENDULUM.replace(pi=PENDULUM.pi + 1e-8)
    lean = lean_bodies(flat)
    states = kinematics.random_state(PENDULUM, 20)
    torch.testing.assert_close(
        kinematics.rnea(lean, *states), kinematics.rnea(flat, *states), rtol=1e-9, atol=1e-12
    )
