"""Simulated data: exact labels, splits, noise, steps, rollouts; other joints than revolute."""

import math

import pytest
import torch

import kinematics
from discover.blackbox.region import Region
from discover.blackbox.sampling import DESIGNS, distance, rollouts, sample, shell
from discover.data.dataset import load
from discover.data.settings import Data
from discover.data.simulated import generate
from discover.errors import RegionError
from discover.study import recipes
from discover.study.stages import sample_dataset

REGION = Region(q=1.0, v=2.0, tau=5.0)


@pytest.fixture(scope="module")
def pendulum():
    return kinematics.load("double_pendulum")


@pytest.fixture(scope="module")
def floating():
    """A tree whose root flies, so that nq > nv."""
    text = """<robot name="floating"><link name="body"><inertial><mass value="2"/>
      <inertia ixx="0.1" iyy="0.2" izz="0.25" ixy="0" ixz="0" iyz="0"/></inertial></link>
      <link name="arm"><inertial><origin xyz="0.1 0 0.2"/><mass value="1"/>
      <inertia ixx="0.02" iyy="0.03" izz="0.04" ixy="0" ixz="0" iyz="0"/></inertial></link>
      <joint name="hinge" type="continuous"><parent link="body"/><child link="arm"/>
      <origin xyz="0 0 0.3"/><axis xyz="0 1 0"/></joint></robot>"""
    return kinematics.load(text, root="free")


@pytest.mark.parametrize("design", DESIGNS)
def test_labels_are_the_simulators(design, pendulum):
    data = generate(Data(samples=500, design=design), REGION, pendulum, seed=0)
    assert len(data) == 500
    assert torch.allclose(data.a, kinematics.aba(pendulum, data.q, data.v, data.tau), rtol=1e-12)
    assert [len(data.part(s)) > 20 for s in ("train", "validation", "test")] == [True] * 3
    again = generate(Data(samples=500, design=design), REGION, pendulum, seed=0)
    assert again.hash == data.hash
    assert generate(Data(samples=500, design=design), REGION, pendulum, seed=1).hash != data.hash
    assert data.metadata["region"] == REGION.to_dict()
    assert data.metadata["coordinates"]["q"] == list(pendulum.joint_names)


def test_noise_is_on_the_labels_that_are_learned_from(pendulum):
    exact = generate(Data(samples=4000), REGION, pendulum, seed=0)
    noisy = generate(Data(samples=4000, noise=0.05), REGION, pendulum, seed=0)
    assert torch.equal(noisy.q, exact.q)
    assert torch.equal(noisy.split, exact.split)
    assert torch.equal(noisy.part("test").a, exact.part("test").a)
    for split in ("train", "validation"):
        error = noisy.part(split).a - exact.part(split).a
        share = error.std(0) / exact.a.square().mean(0).sqrt()
        assert share.tolist() == pytest.approx([0.05, 0.05], rel=0.15)


def test_next_states_are_one_step_on(pendulum):
    settings = Data(samples=200, outputs="next_state", dt=0.02)
    data = generate(settings, REGION, pendulum, seed=0)
    assert data.a is None
    assert (data.outputs, data.dt) == ("next_state", 0.02)
    path = kinematics.simulate(pendulum, data.q, data.v, data.tau, 0.02, 1)
    assert torch.allclose(data.q_next, path.q[1], atol=1e-14)
    assert torch.allclose(data.v_next, path.v[1], atol=1e-13)
    noisy = generate(settings.model_copy(update={"noise": 0.1}), REGION, pendulum, seed=0)
    change, moved = (noisy.v_next - data.v_next).std(0), (data.v_next - data.v)
    assert (change / moved.square().mean(0).sqrt()).tolist() == pytest.approx([0.09] * 2, rel=0.3)


def test_rollouts_stay_inside_obey_the_dynamics_and_end_at_the_edge(pendulum):
    found = rollouts(REGION, pendulum, 3000, seed=0, dt=0.01)
    assert len(found.t) == 3000
    assert float(distance(REGION, pendulum, found.batch).joint.max()) <= 1
    q, v, tau = found.batch
    assert torch.allclose(found.a, kinematics.aba(pendulum, q, v, tau))
    follows = found.trajectory[1:] == found.trajectory[:-1]
    assert torch.equal(found.q_next[:-1][follows], q[1:][follows])
    assert torch.equal(found.v_next[:-1][follows], v[1:][follows])
    assert torch.allclose((found.t[1:] - found.t[:-1])[follows], torch.tensor(0.01).double())
    assert bool((found.t[1:][~follows] == 0).all())
    # Joint forces are smooth: within a trajectory they change by little from step to step.
    assert float((tau[1:] - tau[:-1])[follows].abs().max()) < 0.4 * 10
    assert float((tau[1:] - tau[:-1])[follows].std()) < 0.2 * float(tau.std())
    ends = torch.cat((~follows, torch.tensor([True])))
    after = distance(REGION, pendulum, found.batch._replace(q=found.q_next, v=found.v_next)).joint[
        ends
    ]
    lengths = torch.bincount(found.trajectory)
    cut = lengths[lengths > 0] < 100
    assert float((after[cut] > 1).double().mean()) > 0.95
    assert float(lengths.double().mean()) > 3


def test_rollouts_that_leave_at_once_are_refused(pendulum):
    with pytest.raises(RegionError, match="widen the region"):
        rollouts(Region(q=1e-4, v=1e-4, tau=5.0), pendulum, 2000, seed=0, dt=1.0)


def test_trajectories_are_split_whole(pendulum):
    data = generate(Data(samples=4000, design="trajectories"), REGION, pendulum, seed=0)
    train, test = (set(data.part(s).trajectory.tolist()) for s in ("train", "test"))
    assert train
    assert test
    assert not train & test


def test_free_joints_are_drawn_in_the_tangent_space(floating):
    assert (floating.nq, floating.nv) == (8, 7)
    region = Region(q=0.5, v=1.0, tau=2.0)
    for design in ("box", "sobol", "full_circle", "hole"):
        batch = sample(region, floating, 400, 0, design)
        assert torch.allclose(batch.q[:, 3:7].norm(dim=-1), torch.ones(400).double())
        far = distance(region, floating, batch)
        assert float(far.v.max()) <= 1
        if design != "full_circle":
            assert float(far.q.max()) <= 1 + 1e-9
        else:
            # Only the hinge goes all the way round; the flying body stays in its box.
            hinge = batch.q[:, 7]
            assert float(hinge.max()) > 3
            assert float(hinge.abs().max()) <= math.pi
            inner = batch._replace(q=torch.cat((batch.q[:, :7], 0 * batch.q[:, 7:]), -1))
            assert float(distance(region, floating, inner).q.max()) <= 1 + 1e-9
    far = distance(region, floating, shell(region, floating, 500, 1.5, 2.0, "q", 0)).q
    assert 1.5 - 1e-9 <= float(far.min()) < 1.52
    assert 1.98 < float(far.max()) <= 2 + 1e-9


def test_free_joints_make_data_sets_that_store(floating, tmp_path):
    settings = Data(samples=60, design="trajectories", outputs="next_state", noise=0.01)
    data = generate(settings, Region(q=0.5, v=1.0, tau=2.0), floating, seed=0)
    assert torch.allclose(data.q_next[:, 3:7].norm(dim=-1), torch.ones(60).double())
    again = load(data.save(tmp_path / "data.h5"))
    assert torch.equal(again.q_next, data.q_next)
    assert len(again.metadata["coordinates"]["q"]) == 8
    assert again.metadata["units"]["tau"] == ["N*m"] * 3 + ["N"] * 3 + ["N*m"]


@pytest.mark.parametrize("name", ["double_pendulum", "panda", "planar_3r"])
def test_the_bundled_recipes_collect(name):
    recipe = recipes.load(name, ["data.samples=400"])
    robot = kinematics.load(recipe.robot.source, joint_terms=recipe.robot.joint_terms)
    data = sample_dataset(recipe, robot)
    assert data.region == recipe.region.build()
    box = data.region.resolve(robot.nv)
    # Where a description states limits, the region keeps inside them.
    assert bool((box.q.low >= robot.lower).all())
    assert bool((box.q.high <= robot.upper).all())
    # The data say what made them, but not where, nor what will be trained on them.
    assert 'design = "sobol"' in data.metadata["recipe"]
    assert "model" not in data.metadata["recipe"]
    # No joint is thrown about: a region of wild accelerations would test nothing but the torques.
    assert float(data.a.abs().quantile(0.99)) < 1000
