"""Everything is computed where the caller's arrays lie: no operation mixes two devices.

The meta device computes shapes only, so it stands in for a graphics card on any machine: a constant
that was made on the CPU by default is caught where it meets the caller's arrays.
"""

import pytest
import torch
from kinematic_samples import mimicking, on_device, sample_robots
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import kinematics

_TRANSFERS = ("_to_copy", "copy_", "lift_fresh", "detach", "empty", "zeros", "ones", "full")


class OneDevice(TorchDispatchMode):
    """Refuses operations whose tensors lie on several devices (transfers and scalars apart)."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.split("::")[1]
        if not name.startswith(_TRANSFERS):
            inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
            found = {x.device.type for x in inputs if x.ndim}
            if len(found) > 1:
                raise AssertionError(f"{name} mixes the devices {sorted(found)}")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("robot", sample_robots(), ids=lambda r: f"{r.name}-{r.nv}")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_no_operation_mixes_devices(robot, dtype):
    q, v, a = (x.to(device="meta", dtype=dtype) for x in kinematics.random_state(robot, 3))
    with OneDevice():
        found = on_device(robot, q, v, a)
    for name, value in found.items():
        assert value.device.type == "meta", name
        assert value.dtype == dtype, name


@pytest.mark.parametrize("integrator", ["semi_implicit_euler", "rk4", "implicit_midpoint"])
def test_rollouts_and_gradients_stay_where_they_start(integrator):
    robot = kinematics.random_tree(2, seed=2, kinds=("revolute", "spherical"))
    q, v, _ = (x.to(device="meta") for x in kinematics.random_state(robot, 2))
    v.requires_grad_()
    with OneDevice():
        path = kinematics.simulate(robot, q, v, lambda q, v, t: -v, 0.01, 1, integrator)
        assert {x.device.type for x in vars(path).values() if x is not None} == {"meta"}
        (slope,) = torch.autograd.grad(path.q[-1].sum(), v)
    assert slope.device.type == "meta"


@pytest.mark.parametrize("torque", ["none", "constant", "sequence", "elsewhere"])
def test_whatever_drives_a_rollout_is_brought_to_the_state(torque):
    robot = kinematics.random_tree(2, seed=2, kinds=("revolute", "prismatic"))
    q, _, a = (x.to(device="meta") for x in kinematics.random_state(robot, 2))
    controls = {"none": None, "constant": a, "sequence": a.expand(1, 2, 2), "elsewhere": [0.1, 0.2]}
    path = kinematics.simulate(
        robot, q, [0.0] * robot.nv, controls[torque], 0.01, 1, "semi_implicit_euler"
    )
    assert {x.device.type for x in vars(path).values() if x is not None} == {"meta"}


def test_mimic_joints_joint_terms_and_own_parameters():
    robot = kinematics.random_tree(4, seed=3, kinds=("revolute", "prismatic"))
    terms = {name: torch.rand(robot.nv).double() for name in ("armature", "damping", "friction")}
    stiffness = torch.rand(robot.nv).double()
    sprung = robot.replace(**terms, stiffness=stiffness, spring_reference=stiffness / 2)
    varied = sprung.replace(pi=robot.pi * torch.ones(3, 1, 1, dtype=torch.float64))
    for each in (sprung, varied, mimicking()):
        q, v, a = (x.to(device="meta") for x in kinematics.random_state(each, 3))
        with OneDevice():
            found = on_device(each, q, v, a)
        assert {value.device.type for value in found.values()} == {"meta"}


def test_the_guard_catches_a_constant_made_on_the_cpu():
    with OneDevice(), pytest.raises((AssertionError, RuntimeError)):
        torch.ones(3, device="meta").index_select(0, torch.arange(2))
