"""Formulas fit a page; laws go to SymPy, on to torch, and back."""

import json
import re
import subprocess
import sys

import pytest
import sympy
import torch

import kinematics
from discover.laws import RigidBodyLaw, from_dict
from discover.laws.export.formulas import derive
from discover.laws.export.latex import WIDE, aligned, equation, width
from discover.laws.expressions import parse_expression, to_torch
from discover.laws.extensions.terms import Term, symbols
from kinematics.robot.tree import build

S = symbols(3)


def test_long_sums_are_broken_and_nothing_is_lost():
    value = sum(k * sympy.sin(S["q"][k % 3] * k) * S["v"][0] for k in range(1, 25))
    lines = equation("f", value)
    assert len(lines) > 2
    assert all(width(line) <= 1.3 * WIDE for line in lines)
    assert sum(line.count(r"\sin") for line in lines) == 24
    assert aligned("f", value).startswith(r"\begin{aligned}")
    assert aligned("f", S["q"][0]) == "f = q_{1}"


def test_a_long_sum_that_is_a_factor_is_broken_in_brackets():
    x = sympy.symbols("x1:22")
    sums = [sum(a * b for a, b in zip(x[k : k + 7], x, strict=False)) for k in (0, 7, 14)]
    value = 2.5 * sympy.exp(-x[0]) * sum(x[k] * s for k, s in enumerate(sums))
    lines = equation("f", value)
    assert len(lines) > 1
    assert all(width(line) <= WIDE for line in lines)
    assert "".join(lines).count(r"\bigl(") == "".join(lines).count(r"\bigr)") == 1
    assert sum(line.count("x_{") for line in lines) == sympy.latex(value).count("x_{")


def test_wide_matrices_become_entries():
    row = sum(k * sympy.cos(S["q"][k % 3] * k) for k in range(1, 9))
    lines = equation("H(q)", sympy.Matrix([[row, row, 1], [row, 2, 3], [1, 3, row]]))
    names = {re.match(r"H_\{(\d+)\}", line).group(1) for line in lines if line.startswith("H")}
    assert names == {"11", "12", "13", "22", "23", "33"}
    assert all(width(line) <= 1.3 * WIDE for line in lines)


def test_a_law_goes_to_sympy_to_torch_and_back():
    robot = kinematics.load("planar_3r")
    shape = (sympy.sin(2 * S["q"][0]) * sympy.Abs(S["v"][0]), 0, S["v"][1] ** 3)
    extra = Term(name="odd", shape=tuple(map(sympy.sympify, shape)), coefficient=0.7)
    law = RigidBodyLaw(robot=robot, extensions=(extra,), size=5)
    q, v, tau = torch.randn(3, 8, 3, dtype=torch.float64)
    names = [s for group in ("q", "v") for s in S[group]]
    left = [*law.mass_matrix, *(law.bias + extra.expression)]
    values = to_torch(left, names)(*q.unbind(-1), *v.unbind(-1))
    H = torch.stack(values[:9], -1).reshape(8, 3, 3)
    a = torch.linalg.solve(H, (tau - torch.stack(values[9:], -1)).unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(a, law(q, v, tau))
    again = from_dict(json.loads(json.dumps(law.to_dict())))
    torch.testing.assert_close(again(q, v, tau), a)
    words = {s.name: s for s in names}
    for mine, parsed in zip(law.terms, again.terms, strict=True):
        difference = parse_expression(sympy.sstr(mine, full_prec=True), words) - parsed
        assert abs(float(difference.subs(dict.fromkeys(names, 1.3)))) < 1e-14


SCRIPT = """
import sys, hashlib, json, torch
torch.set_num_threads(int(sys.argv[1]))
import kinematics, discover
robot = kinematics.load("double_pendulum")
drag = torch.tensor([0.3, 0.0], dtype=torch.float64)
model = lambda q, v, tau: kinematics.aba(robot, q, v, tau - drag * v * v.abs())
region = discover.Region(q=1.0, v=2.0, tau=5.0)
law = discover.examine(model, robot, region, budget="quick", seed=4).law
print(hashlib.sha256(json.dumps(law.to_dict(), sort_keys=True).encode()).hexdigest())
"""


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_on_one_or_two_threads():
    printed = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT, threads], capture_output=True, text=True, check=True
        ).stdout
        for threads in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert len(printed[0].strip()) == 64


@pytest.mark.parametrize(("kinds", "flat"), [(("prismatic",), True), (("revolute",), False)])
def test_formulas_of_larger_robots_are_flat_where_their_programs_are_short(kinds, flat):
    robot = kinematics.random_tree(4, seed=1, kinds=kinds)
    law = RigidBodyLaw(robot=robot, size=1)
    assert bool(law.intermediates) is not flat
    if flat:
        q = torch.zeros(4, dtype=torch.float64)
        at = dict.fromkeys(law.symbols["q"], 0.0)
        H = torch.tensor(sympy.matrix2numpy(law.mass_matrix.subs(at)).astype(float))
        torch.testing.assert_close(H, kinematics.crba(robot, q))


def four_pendulums():
    """Four hinges side by side on one base: many angles, few products."""
    one = kinematics.load("double_pendulum")
    return build(
        "four",
        kinds=["revolute"] * 4,
        parents=[-1] * 4,
        tree_rotation=one.tree_rotation[0].expand(4, 3, 3).numpy(),
        tree_offset=torch.zeros(4, 3).numpy(),
        axes=one.axes[0].expand(4, 3).numpy(),
        pi=one.pi[0].expand(4, 10).numpy(),
    )


@pytest.mark.parametrize("name", ["planar_branched", "spatial", "joint terms", "four"])
def test_flat_bias_by_lagranges_equations_is_the_recursions(name):
    if name == "spatial":
        robot = kinematics.random_tree(3, branching=0.0, seed=0, kinds=("revolute",))
    elif name == "joint terms":
        robot = kinematics.load("planar_3r")
        terms = ("armature", "damping", "friction", "stiffness", "spring_reference")
        robot = robot.replace(
            **{x: torch.arange(3, dtype=torch.float64) + k for k, x in enumerate(terms)}
        )
    else:
        robot = four_pendulums() if name == "four" else kinematics.load(name)
    held = derive(robot)
    assert not held.intermediates
    q, v = torch.randn(2, 4, robot.nv, dtype=torch.float64)
    names = [*held.symbols["q"], *held.symbols["v"]]
    rows = to_torch([*held.bias], names)(*q.unbind(-1), *v.unbind(-1))
    torch.testing.assert_close(torch.stack(rows, -1), kinematics.bias(robot, q, v))
