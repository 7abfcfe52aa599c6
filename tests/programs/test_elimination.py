"""Elimination orders: all right, some cheaper."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from program_samples import draw, mixed_robot, worst

import kinematics
from kinematics.programs import ProgramError, compile_robot, evaluate, robot_program
from kinematics.programs.elimination.elimination import forward_dynamics
from kinematics.programs.elimination.mechanism import mechanism
from kinematics.programs.elimination.orders import (
    Order,
    articulated_order,
    composite_order,
    describe,
    limb_orders,
    places_of,
)
from kinematics.programs.elimination.regrouping import regrouped
from kinematics.programs.elimination.search import better_order
from kinematics.programs.elimination.steps import about, is_permutation, zxz
from kinematics.programs.fastest import choose


def tree(nb, seed, **options):
    return kinematics.random_tree(nb, seed=seed, **options)


@pytest.mark.parametrize("seed", range(6))
def test_any_order_is_forward_dynamics(seed):
    robot = mixed_robot(seed) if seed % 2 else tree(7, seed)
    made = mechanism(robot)
    rng = np.random.default_rng(seed)
    arrays = draw(robot, 4, seed)
    reference = kinematics.aba(robot, *arrays)
    for _ in range(4):
        places = [
            places_of(made, j)[rng.integers(len(places_of(made, j)))] for j in range(robot.nb)
        ]
        order = Order(
            places=tuple(places),
            reference={j: rng.choice(["xy", "yx", "rest"]) for j in range(robot.nb)},
            moments={j: rng.choice(["second moment", "Ixx", "Iyy"]) for j in range(robot.nb)},
        )
        program = forward_dynamics(made, order)
        assert worst(evaluate(program, *arrays), reference) < 1e-9


def test_classical_orders_and_their_names():
    robot = kinematics.load("panda")
    made = mechanism(robot)
    arrays = draw(robot, 5, angle=1e4)
    reference = kinematics.aba(robot, *arrays)
    for order in (articulated_order(made), composite_order(made)):
        assert worst(evaluate(forward_dynamics(made, order), *arrays), reference) < 1e-9
    assert "panda_joint7: eliminate panda_joint7 in its frame" in describe(
        made, articulated_order(made)
    )
    text = describe(made, composite_order(made))
    assert "panda_joint7: carry panda_joint7 to its parent" in text
    assert "panda_joint1: eliminate panda_joint7, panda_joint6" in text


def test_search_beats_both_classical_orders_on_the_panda():
    robot = kinematics.load("panda")
    program = robot_program(robot, "aba")
    assert program.arithmetic <= 1070
    found = better_order(mechanism(robot), budget=24_000)
    assert found.arithmetic < min(found.classical.values())
    again = better_order(mechanism(robot), budget=24_000)
    assert again.order == found.order  # a count, not a clock, ends the search
    arrays = draw(robot, 5)
    assert worst(evaluate(program, *arrays), kinematics.aba(robot, *arrays)) < 1e-10
    assert "eliminate" in compile_robot(robot, "aba").passes


def test_all_orders_are_tried_where_they_are_few():
    made = mechanism(tree(2, 0, kinds=("revolute",)))
    found = better_order(made, budget=200_000)
    assert found.exact == "all"
    assert "none is cheaper" in found.summary()
    rng = np.random.default_rng(0)
    for _ in range(60):  # nothing drawn at random from the same choices is cheaper
        order = Order(
            places=tuple(rng.choice(places_of(made, j)) for j in range(2)),
            reference={j: rng.choice(["xy", "yx", "rest"]) for j in range(2)},
            moments={j: rng.choice(["second moment", "Ixx", "Iyy"]) for j in range(2)},
        )
        order = replace(order, places=tuple((int(b), str(s)) for b, s in order.places))
        assert forward_dynamics(made, order).arithmetic >= found.arithmetic
    places = better_order(mechanism(tree(3, 0, branching=0, kinds=("revolute",))), budget=24_000)
    assert places.exact == "orders"
    assert places.tried >= 28
    assert better_order(mechanism(kinematics.load("panda")), budget=24_000).exact == ""


@pytest.mark.slow
def test_a_long_search_holds_no_more_memory_than_a_short_one():
    made = mechanism(tree(4, 1))
    most = []
    for budget in (10_000, 60_000):
        tracemalloc.start()
        better_order(made, budget=budget, anneal=True)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[1] < 3 * most[0]  # and not in proportion


@pytest.mark.slow
def test_annealing_never_returns_worse():
    made = mechanism(tree(5, 1))
    plain = better_order(made, budget=30_000)
    annealed = better_order(made, budget=120_000, anneal=True, seed=1)
    assert annealed.arithmetic <= plain.arithmetic
    assert forward_dynamics(made, annealed.order).arithmetic == annealed.arithmetic


def test_order_by_name():
    robot = kinematics.load("panda")
    arrays = draw(robot, 12)
    reference = kinematics.aba(robot, *arrays)
    counts = {}
    for order in ("aba", "crba", "traced", "auto"):
        program = compile_robot(robot, "aba", order=order)
        assert worst(program(*arrays), reference) < 1e-11
        counts[order] = program.arithmetic
    assert counts["auto"] < counts["crba"] < counts["aba"] < counts["traced"]


def test_limb_orders_are_well_formed():
    made = mechanism(tree(9, 4))
    for order in limb_orders(made):
        for joint, place in enumerate(order.places):
            assert place in places_of(made, joint)


def test_regrouped_inertia_is_the_same_robot():
    robot = tree(6, 2)
    made = mechanism(robot)
    for rule in ("second moment", "Ixx", "Iyy"):
        moved = regrouped(made, rule)
        for body, moments in zip(made.bodies, moved, strict=True):
            if body.kind in ("revolute", "continuous"):
                assert moments[3, 3] == 0.0
                assert moments[2, 3] == 0.0


def test_prepared_frames_keep_axes_and_empty_offsets():
    made = mechanism(kinematics.load("panda"))
    offsets = [int((b.offset != 0).sum()) for b in made.bodies]
    assert sum(offsets) == 5  # 0.0825, 0.316, -0.0825, 0.384, 0.088
    assert all(step.kind in ("joint", "permute", "shift") for b in made.bodies for step in b.steps)


def test_euler_angles_of_frames():
    rng = np.random.default_rng(0)
    for _ in range(20):
        basis, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        basis *= np.sign(np.linalg.det(basis))
        gamma, alpha, delta = zxz(basis)
        np.testing.assert_allclose(
            about(2, gamma) @ about(0, alpha) @ about(2, delta), basis, atol=1e-12
        )
    assert is_permutation(about(2, np.pi / 2))


@pytest.mark.parametrize("root", [None, "free"])
def test_against_pinocchio_at_large_angles(root):
    import pinocchio

    from discover.evaluation.simulators.pinocchio import coordinates, pinocchio_model

    robot = kinematics.load("panda", root=root) if root else kinematics.load("panda")
    model = pinocchio_model(robot)
    data = model.createData()
    q, v, tau = draw(robot, 64, angle=1e4)
    if root:
        q[:, :3] *= 1e-4
    columns = coordinates(robot, q, v, tau)
    convention = pinocchio.Convention.LOCAL
    reference = np.stack(
        [
            pinocchio.aba(model, data, *(c[:, k].copy() for c in columns[:3]), convention)
            for k in range(64)
        ],
        axis=1,
    )
    found = compile_robot(robot, "aba")(q, v, tau)
    assert worst(found, columns[3](reference)) < 1e-9


def test_timings_have_every_contender():
    from discover.bench.programs import compiled_timings, table

    rows = compiled_timings(kinematics.load("double_pendulum"), (1, 32), rounds=2)
    assert {r.contender for r in rows} >= {"compiled auto", "pinocchio abaInParallel"}
    assert all(r.median_ns > 0 and r.error < 1e-10 for r in rows)
    assert "double_pendulum" in table(rows)


def test_bodies_without_inertia_are_refused_in_one_line():
    robot = kinematics.load("double_pendulum", root="free")
    with pytest.raises(ProgramError, match="inertia"):
        kinematics.compile(robot.replace(pi=torch.zeros_like(robot.pi)), "aba", order="aba")
    with pytest.raises(ProgramError, match="none that root_joint, shoulder, elbow would move"):
        kinematics.compile(robot, "aba")


def test_the_fastest_order_is_measured_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLAW_CACHE", str(tmp_path))
    robot = kinematics.load("panda")
    program = compile_robot(robot, "aba", order="fastest")
    arrays = draw(robot, 20)
    assert worst(program(*arrays), kinematics.aba(robot, *arrays)) < 1e-11
    entries = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert len(entries) == 4  # three orders, and what was measured of them
    again = compile_robot(robot, "aba", order="fastest")
    assert again.from_cache
    assert again.operations == program.operations
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == entries
    assert compile_robot(robot, "rnea", order="fastest").operations["mul"] > 0


def test_the_faster_is_chosen_unless_it_cannot_be_told():
    operations = {"cheap": 100, "dear": 105}
    clear = {"cheap": [2.0, 2.1, 2.0, 2.2], "dear": [1.0, 1.1, 1.0, 1.2]}
    assert choose(clear, operations) == "dear"
    spread = {"cheap": [2.0, 1.0, 2.0, 1.0], "dear": [1.0, 2.0, 1.1, 2.0]}
    assert choose(spread, operations) == "cheap"
