"""Law extensions: what a new kind needs to act, to be exported and to be stored; how laws show."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

import pytest
import sympy
import torch

import kinematics
from discover.blackbox import sampling
from discover.laws import ConstantLaw, RigidBodyLaw, extensions, from_dict
from discover.laws.contract import REPR_WIDTH
from discover.laws.extensions import EXTENSIONS, LawExtension
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.extensions.memory import MemoryLaw, memory_symbols
from discover.laws.extensions.surrogate_trigonometry import ANGLE, SurrogateTrigonometry
from discover.laws.extensions.terms import library, symbols
from discover.laws.rigid_body.step_map import StepMap

ROBOT = kinematics.load("double_pendulum")
STATES = sampling.sample(sampling.Region(q=1.0, v=2.0, tau=5.0), ROBOT, 20, seed=3)


@dataclass(frozen=True)
class WeakMotors(LawExtension):
    """All joint forces reach the bodies scaled by one gain: a kind that the library has not."""

    gain: float

    label = "weak motors"
    key = "weak_motors"
    several = False

    @property
    def rows_by_signal(self):
        return {"tau": tuple(sympy.Float(self.gain, 17) * x for x in symbols(2)["tau"])}

    symbol_count = 3
    number_count = 1

    @property
    def description(self):
        return f"tau scaled by {self.gain:.4g}"

    @property
    def equations(self):
        return [sympy.Eq(sympy.Symbol("gain"), self.gain)]

    def to_dict(self):
        return {"gain": self.gain}

    @classmethod
    def from_dict(cls, record):
        return cls(record["gain"])

    def inputs(self, q, v, tau):
        return {"tau": self.gain * tau}


def test_a_new_kind_of_extension_is_a_class_and_a_line(monkeypatch):
    monkeypatch.setattr(extensions, "EXTENSIONS", (*EXTENSIONS, WeakMotors))
    monkeypatch.setattr("discover.laws.rigid_body.law.EXTENSIONS", (*EXTENSIONS, WeakMotors))
    plain = RigidBodyLaw(robot=ROBOT, size=7)
    law = RigidBodyLaw(robot=ROBOT, extensions=(WeakMotors(0.8),), size=7)
    q, v, tau = STATES
    expected = kinematics.aba(ROBOT, q, v, 0.8 * tau)
    torch.testing.assert_close(law(q, v, tau), expected)
    compiled = law.compile()(q.numpy(), v.numpy(), tau.numpy())
    torch.testing.assert_close(torch.from_numpy(compiled), expected)
    assert law.family == "rigid body + weak motors"
    assert law.complexity.bits > plain.complexity.bits
    assert law.terms == [sympy.Eq(sympy.Symbol("gain"), 0.8)]
    assert "weak motors: tau scaled by 0.8" in str(law.program)
    assert "tau_input" in law.export("sympy")
    assert "gain" in law.export("latex")
    again = from_dict(json.loads(json.dumps(law.to_dict())))
    assert again.extensions == law.extensions
    assert "weak motors" in repr(again)


def test_an_extension_that_is_not_registered_is_not_dropped_silently():
    law = RigidBodyLaw(robot=ROBOT, extensions=(WeakMotors(0.8),), size=7)
    with pytest.raises(TypeError, match="add its class"):
        law.to_dict()


def test_steps_of_a_law_with_surrogate_trigonometry_use_it():
    trigonometry = SurrogateTrigonometry(ANGLE - ANGLE**3 / 6, 1 - ANGLE**2 / 2)
    step = StepMap(scheme="semi_implicit_euler", dt=0.01)
    law = RigidBodyLaw(robot=ROBOT, extensions=(trigonometry,), size=7, step_map=step)
    q, v, tau = STATES
    _, faster = law.step(q, v, tau)
    torch.testing.assert_close(faster, v + 0.01 * law(q, v, tau))


def every_kind():
    s, w = symbols(2), memory_symbols(2)
    drag = next(t for t in library(ROBOT) if t.name == "quadratic drag, joint 1")
    return {
        "terms": drag.with_coefficient(0.31),
        "static nonlinearities": StaticNonlinearity(
            place="tau", rows=(sympy.tanh(s["tau"][0]), s["tau"][1])
        ),
        "surrogate trigonometry": SurrogateTrigonometry(ANGLE - ANGLE**3 / 6, 1 - ANGLE**2 / 2),
        "memory": MemoryLaw(rows=(w["tau1"] - w["tau1_before"], sympy.Integer(0)), is_force=True),
    }


@pytest.mark.parametrize("kind", EXTENSIONS, ids=lambda kind: kind.label)
def test_every_kind_is_named_counted_described_and_stored(kind):
    extension = every_kind()[kind.label]
    law = RigidBodyLaw(robot=ROBOT, extensions=(extension,), size=7)
    assert law.family == f"rigid body + {kind.label}"
    assert extension.symbol_count > 0
    assert law.complexity.bits > RigidBodyLaw(robot=ROBOT, size=7).complexity.bits
    assert extension.equations == law.terms
    assert "\n" not in extension.description
    record = json.loads(json.dumps(law.to_dict()))
    assert from_dict(record).to_dict() == record
    assert bool(record[kind.key])


def test_kinds_are_named_in_a_fixed_order_however_they_are_given():
    mixed = tuple(reversed(every_kind().values()))
    law = RigidBodyLaw(robot=ROBOT, extensions=mixed, size=7)
    assert law.family == "rigid body + " + " + ".join(every_kind())
    forces, equations = law.terms[:-3], law.terms[-3:]
    assert not any(isinstance(t, sympy.Eq) for t in forces)
    assert all(isinstance(t, sympy.Eq) for t in equations)


def test_a_law_shows_itself_in_one_short_line():
    drag = every_kind()["terms"]
    plain = RigidBodyLaw(robot=ROBOT, size=7)
    assert repr(plain) == "RigidBodyLaw('double_pendulum', rigid body, 7 parameters)"
    law = RigidBodyLaw(robot=ROBOT, extensions=(drag,), size=8)
    assert repr(law) == (
        "RigidBodyLaw('double_pendulum', rigid body + terms, 8 parameters: "
        "tau1 = bodies + 0.31*v1*|v1|)"
    )
    powers = [sympy.Matrix([symbols(2)["v"][0] ** k, 0]) for k in range(3, 43)]
    more = tuple(dataclasses.replace(drag, shape=shape) for shape in powers)
    many = RigidBodyLaw(robot=ROBOT, extensions=more, size=47)
    assert len(repr(many)) <= REPR_WIDTH
    assert repr(many).endswith(" …)")
    assert "\n" not in repr(many)
    # One sign everywhere, that of `terms`; joint terms are shown, behind joints that have more.
    assert law.terms[0].evalf(3).as_coeff_Mul()[0] > 0
    sticky = RigidBodyLaw(robot=ROBOT.replace(friction=[0.4, 0.0], damping=[0.0, 0.2]), size=9)
    assert "tau1 = bodies + 0.4*tanh(100.0*v1); tau2 = bodies + 0.2*v2)" in repr(sticky)
    opposed = dataclasses.replace(drag, coefficient=-0.5)
    both = dataclasses.replace(sticky, extensions=(opposed,))
    assert "tau1 = bodies - 0.5*v1*|v1| + 0.4*tanh(100.0*v1); tau2" in repr(both)
    assert repr(ConstantLaw(values=(0.5, -2.0))) == "ConstantLaw(a = (0.5, -2))"
