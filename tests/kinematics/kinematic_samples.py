"""Robots and comparisons that several tests use."""

import torch

import kinematics

MIXED = ("revolute", "continuous", "prismatic", "spherical")


def sample_robots() -> list[kinematics.Robot]:
    """Bundled robots and random trees of every joint kind, fixed and floating."""
    return [
        *(kinematics.load(name) for name in ("double_pendulum", "planar_branched", "panda")),
        kinematics.random_tree(6, branching=0.7, seed=1, kinds=("revolute",)),
        kinematics.random_tree(5, branching=0.4, seed=2, kinds=("prismatic", "continuous")),
        kinematics.random_tree(5, branching=0.6, seed=3, kinds=MIXED),
        kinematics.random_tree(4, branching=0.5, seed=4, kinds=MIXED, root="free"),
        kinematics.random_tree(4, branching=1.0, seed=5, kinds=("free", "revolute")),
    ]


def mimicking():
    """A robot with a joint that follows another."""
    robot = kinematics.random_tree(4, seed=3, kinds=("revolute",))
    short = {
        name: getattr(robot, name)[:3]
        for name in ("armature", "damping", "friction", "stiffness", "spring_reference",
                     "velocity_limit", "effort_limit", "lower", "upper")
    }  # fmt: skip
    first, second = robot.joint_names[:2]
    follows = kinematics.Mimic(joint=second, driver=first, multiplier=0.5, offset=0.1)
    return robot.replace(mimic=(follows,), **short)


def worst(found, expected) -> float:
    """Largest error over the largest entry."""
    found, expected = torch.as_tensor(found), torch.as_tensor(expected)
    scale = max(float(expected.abs().max()), 1e-12)
    return float((found - expected).abs().max()) / scale


def on_device(robot, q, v, a):
    """Every function of the library, by name, of states wherever they lie."""
    tau, f_ext = a, a.new_ones((*a.shape[:-1], robot.nb, 6))
    return {
        "rnea": kinematics.rnea(robot, q, v, a, f_ext),
        "crba": kinematics.crba(robot, q),
        "aba": kinematics.aba(robot, q, v, tau),
        "aba with wrenches": kinematics.aba(robot, q, v, tau, f_ext),
        "bias": kinematics.bias(robot, q, v),
        "regressor": kinematics.regressor(robot, q, v, a),
        "joint forces": kinematics.joint_forces(robot, q, v, a),
        "kinetic": kinematics.kinetic_energy(robot, q, v),
        "potential": kinematics.potential_energy(robot, q),
        "centre": kinematics.centre_of_mass(robot, q),
        "momentum": kinematics.momentum(robot, q, v),
        "integrate": kinematics.integrate(robot, q, v, 0.1),
        "difference": kinematics.difference(robot, q, kinematics.integrate(robot, q, v, 0.1)),
        "joint momentum": kinematics.joint_momentum(robot, q, v),
        "momentum rate": kinematics.momentum_rate(robot, q, v),
    }
