"""Every family learns, comes back bit for bit, and keeps the mechanics that it promises."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_models import GRADIENT, OPTIONS, ask_double_pendulum, small
from small_systems import dataset, double_pendulum, pendulum, rows, step, trajectories

import discover.models
import kinematics
from discover import models
from discover.errors import DatasetError, ModelError
from discover.models.layout import Layout, advance, displacement
from discover.training.loop import TrainingConfig
from discover.training.samples import samples, stretches
from discover.training.train import train

SMALL = TrainingConfig(epochs=15, batch=128, lr=5e-3)
TREES = {  # a chain, a branched tree, and one with a free base and a ball
    "chain": (("revolute", "prismatic"), (-1, 0)),
    "branched": (("continuous", "revolute", "revolute"), (-1, 0, 0)),
    "floating": (("free", "revolute", "spherical"), (-1, 0, 0)),
}


@pytest.mark.parametrize("kind", GRADIENT)
def test_learns_and_round_trips_bit_for_bit(kind, tmp_path):
    model = small(kind, 2)
    system = ask_double_pendulum(kind)
    if model.history > 1:
        data = trajectories(system, 2, 60, 20, dt=model.dt)
    else:
        data = dataset(system, 2, 1024, dt=model.dt)
    result = train(model, data, config=SMALL, out=tmp_path)
    first, last = result.history[0]["validation"], result.metrics["validation_error"]
    assert last < 0.5 * first, (first, last)
    back = models.load(tmp_path / "model.safetensors")
    part = data.part("validation")
    ours, theirs = model(part.q, part.v, part.tau), back(part.q, part.v, part.tau)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(model.state_dict().items(), back.state_dict().items(), strict=True):
        assert a[0] == b[0]
        assert torch.equal(a[1], b[1])
    assert back.card["metrics"]["parameters"] == model.parameter_count() > 0


@pytest.mark.parametrize("kind", ["mlp", "gnn", "transformer", "ensemble", "table"])
@pytest.mark.parametrize("tree", TREES)
def test_any_tree_in_any_batch(kind, tree):
    kinds, parents = TREES[tree]
    layout = Layout.of(kinds, parents)
    for outputs in ("acceleration", "next_state", "increment"):
        model = models.build(
            kind, layout.nq, layout.nv, OPTIONS.get(kind), kinds=kinds, parents=parents,
            outputs=outputs, dt=0.1,
        )  # fmt: skip
        draw = torch.Generator().manual_seed(0)
        q = torch.randn(3, 5, layout.nq, generator=draw, dtype=torch.float64)
        v, tau = (torch.randn(3, 5, layout.nv, generator=draw, dtype=torch.float64) for _ in "vt")
        if kind == "table":
            flat = [x.flatten(0, 1) for x in (q, v, tau)]
            target = torch.randn(15, len(model.target_mean), generator=draw, dtype=torch.float64)
            model.fit(models.Samples(q=flat[0], v=flat[1], tau=flat[2], target=target))
        answer = model(q, v, tau)
        if outputs == "acceleration":
            assert answer.shape == v.shape
        else:
            wide = layout.nq if outputs == "next_state" else layout.nv
            assert answer[0].shape == (3, 5, wide)
            assert answer[1].shape == v.shape
        one = model(q[1, 2], v[1, 2], tau[1, 2])
        whole = answer if isinstance(answer, tuple) else (answer,)
        for a, b in zip(whole, one if isinstance(one, tuple) else (one,), strict=True):
            torch.testing.assert_close(a[1, 2], b)
        same = q.clone()  # a quaternion and its negative are one orientation
        for joint, iq, _ in layout.joints():
            if joint in ("free", "spherical"):
                same[..., iq.stop - 4 : iq.stop] *= -1
        again = model(same, v, tau)
        for a, b in zip(whole, again if isinstance(again, tuple) else (again,), strict=True):
            if outputs != "next_state":
                torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", ["table", "forest", "gaussian_process"])
def test_fitted_families_learn_and_round_trip(kind, tmp_path):
    model = small(kind, 1)
    result = train(model, dataset(pendulum, 1, 1000), out=tmp_path)
    assert result.metrics["validation_error"] < {"gaussian_process": 0.01}.get(kind, 0.15)
    part = rows(pendulum, 1, 100, 5)
    back = models.load(tmp_path / "model.safetensors")
    assert torch.equal(model(part.q, part.v, part.tau), back(part.q, part.v, part.tau))


def test_forest_answers_as_scikit_learn_does():
    from sklearn.ensemble import RandomForestRegressor

    part = dataset(double_pendulum, 2, 500).part("train")
    model = models.build("forest", 2, 2, {"trees": 5})
    model.fit(models.Samples(q=part.q, v=part.v, tau=part.tau, target=part.a))
    x = model.inputs(part.q, part.v, part.tau).numpy()
    theirs = RandomForestRegressor(n_estimators=5, min_samples_leaf=2, random_state=0)
    y = (part.a - model.target_mean) / model.target_scale
    new = rows(double_pendulum, 2, 300, 8)
    expected = theirs.fit(x, y).predict(model.inputs(new.q, new.v, new.tau).numpy())
    ours = (model(new.q, new.v, new.tau) - model.target_mean) / model.target_scale
    torch.testing.assert_close(ours, torch.as_tensor(expected))


@pytest.mark.slow
def test_white_box_finds_the_parameters_that_can_be_found():
    robot = kinematics.load("double_pendulum")
    model = small("white_box", 2)
    data = dataset(ask_double_pendulum("white_box"), 2, 512)
    config = TrainingConfig(epochs=60, batch=64, lr=0.02, weight_decay=0.0, precision="float64")
    result = train(model, data, config=config)
    assert result.metrics["validation_error"] < 1e-3
    base = kinematics.base_parameters(robot).matrix
    true, found = base @ robot.pi.flatten(), base @ model.pi().detach().flatten()
    assert (found - true).norm() < 0.01 * true.norm()


@pytest.mark.slow
def test_rollout_training_beats_one_step_training_on_rollouts():
    data = trajectories(pendulum, 1, 40, 20, dt=0.1)
    errors = {}
    for steps in (1, 6):
        model = models.build("mlp", 1, 1, {"width": 24, "depth": 1}, outputs="next_state", dt=0.1)
        train(model, data, config=TrainingConfig(epochs=60, batch=64, rollout=steps, patience=0))
        held = samples(data, "validation", model, rollout=6)
        errors[steps] = float(model.rollout_loss(held).detach())
    assert errors[6] < 0.9 * errors[1], errors


@pytest.mark.slow
def test_recurrent_model_reads_its_past_instead_of_velocities():
    data = trajectories(pendulum, 1, 60, 30, dt=0.1)
    model = models.build(
        "recurrent", 1, 1, {"width": 32, "history": 5}, outputs="next_state", dt=0.1
    )
    train(model, data, config=TrainingConfig(epochs=40, batch=64))
    held = samples(data, "validation", model)
    error = model.loss(held).sqrt().item()
    blind = replace(held, v=torch.zeros_like(held.v))
    assert error < 0.1
    assert model.loss(blind).sqrt().item() == error


def test_stretches_do_not_cross_trajectories_or_gaps():
    trajectory = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    t = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.0, 0.1, 0.3, 0.4])
    assert stretches(trajectory, t, 0.1, back=1, ahead=1).tolist() == [1, 2]
    assert stretches(trajectory, t, 0.1, back=1, ahead=0).tolist() == [1, 2, 3, 5, 7]
    assert stretches(trajectory, t, 0.1, back=0, ahead=1).tolist() == [0, 1, 2, 4, 6]
    with pytest.raises(DatasetError, match="stretches of 5"):
        stretches(trajectory, t, 0.1, back=2, ahead=2)


def test_steps_on_the_manifold_are_inverted():
    layout = Layout.of(("free", "revolute", "spherical"), (-1, 0, 0))
    q = torch.randn(50, layout.nq, dtype=torch.float64)
    q[:, 3:7] /= q[:, 3:7].norm(dim=-1, keepdim=True)
    q[:, 8:] /= q[:, 8:].norm(dim=-1, keepdim=True)
    change = torch.rand(50, layout.nv, dtype=torch.float64) - 0.5  # well under half a turn
    there = advance(layout, q, change)
    torch.testing.assert_close(displacement(layout, q, there), change)


def test_table_returns_its_entries_and_smooths_between():
    data = dataset(double_pendulum, 2, 500)
    part = data.part("train")
    for k in (1, 4):
        table = models.build("table", 2, 2, {"neighbours": k})
        train(table, data)
        torch.testing.assert_close(
            table(part.q, part.v, part.tau), part.a, rtol=1e-4 if k > 1 else 0, atol=1e-3 * (k > 1)
        )
    line = torch.linspace(0, 1, 20001, dtype=torch.float64).unsqueeze(-1)
    walk = [a[0] + line * (a[1] - a[0]) for a in (part.q, part.v, part.tau)]
    smooth = table(*walk).diff(dim=0).abs().max()
    raw = models.build("table", 2, 2)
    train(raw, data)
    assert smooth < 0.02 * raw(*walk).diff(dim=0).abs().max()


def test_continuous_models_learn_the_equation_from_steps():
    """A neural ODE trained at one dt answers another dt: it learned a rate, not a step."""
    data = dataset(pendulum, 1, 2048, dt=0.1)
    model = models.build("neural_ode", 1, 1, {"width": 32}, outputs="next_state", dt=0.1)
    train(model, data, config=TrainingConfig(epochs=30, batch=128))
    part = rows(pendulum, 1, 200, 9)
    model.dt = 0.05
    q_next, v_next = model(part.q, part.v, part.tau)
    q_true, v_true = step(pendulum, part.q, part.v, part.tau, 0.05)
    assert (q_next - q_true).square().mean().sqrt() < 0.02 * (q_true - part.q).std()
    assert (v_next - v_true).square().mean().sqrt() < 0.05 * (v_true - part.v).std()


def test_ensemble_spreads_outside_its_data():
    model = small("ensemble", 1)
    train(model, dataset(pendulum, 1, 1024), config=SMALL)
    x = torch.full((1, 1), 0.1, dtype=torch.float64)
    assert model.spread(30 * x, 30 * x, x).max() > 5 * model.spread(x, x, x).max()


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ModelError, match="did you mean 'width'"):
        models.build("mlp", 1, 1, {"widht": 3})
    with pytest.raises(ModelError, match="expected one of"):
        models.build("perceptron", 1, 1)
    with pytest.raises(ModelError, match="nq"):
        models.build("mlp", 4, 3)
    with pytest.raises(ModelError, match="nq=2"):
        models.build("mlp", 2, 2)(torch.zeros(1, 3), torch.zeros(1, 2), torch.zeros(1, 2))


def test_a_family_is_a_file_and_a_line():
    """The name in recipes, the file and the class's own name agree; nothing else lies there."""
    folder = Path(discover.models.__file__).parent / "families"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert files == set(models.FAMILIES)
    assert all(family.kind == name for name, family in models.FAMILIES.items())


def test_no_model_borrows_the_simulator():
    """Only the openly named control may import kinematics."""
    folder = Path(discover.models.__file__).parent
    for path in folder.rglob("*.py"):
        if path.name == "white_box.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "kinematics" for name in names), path
