"""Robots and simulators behind observations that the tests of this folder share."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch

import kinematics
from discover.observations.environment import random_states

# a body that flies, with a ball joint, a hinge and a slide on it
FLYING = """<mujoco model="flyer"><option timestep="0.01"/><worldbody>
  <body name="hull" pos="0 0 1"><freejoint name="root"/><geom size=".1" mass="2"/>
    <body name="arm" pos=".1 .2 0"><joint name="swing" axis="0 1 0"/>
      <geom type="capsule" fromto="0 0 0 0 0 .4" size=".02" mass=".5"/>
      <body name="rod" pos="0 0 .4"><joint name="stretch" type="slide" axis="0 0 1"/>
        <geom size=".05" mass=".3"/></body></body>
    <body name="head" pos="0 -.2 .1" euler="30 0 20"><joint name="neck" type="ball"/>
      <geom type="box" size=".05 .1 .08" mass=".4"/></body>
  </body></worldbody></mujoco>"""

# a cart with two poles: a length and two angles
CART = """<mujoco model="cart"><option timestep="0.01"/><worldbody>
  <body name="cart"><joint name="slider" type="slide" axis="1 0 0"/><geom size=".1" mass="1"/>
    <body name="pole" pos="0 0 0"><joint name="first" axis="0 1 0"/>
      <geom type="capsule" fromto="0 0 0 0 0 .6" size=".04" mass=".4"/>
      <body name="pole2" pos="0 0 .6"><joint name="second" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 .5" size=".04" mass=".3"/></body></body>
  </body></worldbody></mujoco>"""


def flyer() -> kinematics.Robot:
    return kinematics.load(FLYING)


def cart() -> kinematics.Robot:
    return kinematics.load(CART)


def states(robot: kinematics.Robot, n: int = 40, speed: float = 2.0, seed: int = 0) -> Any:
    """(q, v) all over."""
    return random_states(robot, n, np.random.default_rng(seed), speed)


def step(robot: kinematics.Robot, dt: float = 0.01) -> Any:
    """A semi-implicit Euler step (q, v, u) -> (q_next, v_next), u the joint forces."""

    def stepped(q: Any, v: Any, u: Any) -> Any:
        v_next = v + dt * kinematics.aba(robot, q, v, u)
        return kinematics.integrate(robot, q, v_next, dt), v_next

    return stepped


def network(layout: Any, stepped: Any, target: str = "next") -> Any:
    """A perfect network over a layout: it reads the state, steps it and observes it again."""

    def net(observation: Any, action: Any) -> Any:
        given = observation.double()
        following = layout.observe(*stepped(*layout.state(given), action.double()))
        return (following - given if target == "difference" else following).to(observation)

    return net


def apart(robot: kinematics.Robot, a: Any, b: Any) -> float:
    """The largest difference between two states, whole turns of single joints left out."""
    q = kinematics.difference(robot, a[0], b[0])
    for joint in robot.independent_joints:
        if robot.kinds[joint] in ("revolute", "continuous"):
            at = robot.v_slices[joint]
            q[..., at] = torch.remainder(q[..., at] + torch.pi, 2 * torch.pi) - torch.pi
    return float(max(q.abs().max(), (a[1] - b[1]).abs().max()))


def dm_suite() -> Any:
    """dm_control's suite, which lists fields that the newest MuJoCo has no more: they are left out,
    so that tasks load with either."""
    import warnings

    import mujoco
    import pytest

    pytest.importorskip("dm_control")  # of the extra `rl`: too large for every test run
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no display here
        from dm_control import suite
        from dm_control.mujoco.wrapper.mjbindings import sizes
    model = mujoco.MjModel.from_xml_string(CART)
    for name, owner in (("mjmodel", model), ("mjdata", mujoco.MjData(model))):
        for field in list(sizes.array_sizes.get(name, ())):
            if not hasattr(owner, field):
                with contextlib.suppress(KeyError):
                    del sizes.array_sizes[name][field]
    return suite
