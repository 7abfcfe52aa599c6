"""Studies of robots with mimic joints: models see the independent joints alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import studies
import torch

import kinematics
from discover import Region, examine
from discover.evaluation.simulators.reference import simulator
from discover.study import experiment, recipes, stages

BODY = (
    '<inertial><origin xyz="0 .1 .2"/><mass value="1"/>'
    '<inertia ixx=".1" iyy=".1" izz=".1" ixy="0" ixz="0" iyz="0"/></inertial>'
)
HAND = (
    '<robot name="hand">'
    + "".join(f'<link name="{name}">{BODY}</link>' for name in ("palm", "left", "right", "tip"))
    + """
<joint name="close" type="prismatic"><parent link="palm"/><child link="left"/>
 <axis xyz="0 1 0"/></joint>
<joint name="follow" type="prismatic"><parent link="palm"/><child link="right"/>
 <axis xyz="0 1 0"/><mimic joint="close" multiplier="-1"/></joint>
<joint name="bend" type="continuous"><parent link="right"/><child link="tip"/>
 <axis xyz="1 0 0"/></joint>
</robot>"""
)


def write(directory: Path, root: str, *models: str) -> Path:
    (directory / "hand.urdf").write_text(HAND)
    (directory / "zero.py").write_text("def make():\n    return lambda q, v, tau: tau / 2.5\n")
    path = studies.write_recipe(directory, *models)
    source = f'source = "hand.urdf"\nroot = "{root}"'
    path.write_text(path.read_text().replace('source = "double_pendulum"', source))
    return path


@pytest.mark.parametrize("root", ["fixed", "free"])
@pytest.mark.parametrize("kind", ["mlp", "gnn", "delan", "table"])
def test_families_are_trained_on_the_independent_joints(tmp_path: Path, root: str, kind: str):
    entry = f'\n[[model]]\nname = "it"\nkind = "{kind}"\n'
    recipe = recipes.load(write(tmp_path, root, entry))
    recipe = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"samples": 40})}  # type: ignore[union-attr]
    )
    robot = stages.load_robot(recipe)
    assert robot.mimic
    dataset = stages.sample_dataset(recipe, robot)
    assert len(dataset.metadata["coordinates"]["v"]) == robot.nv
    assert len(dataset.metadata["units"]["tau"]) == robot.nv
    model = stages.train_model(recipe, "it", robot, dataset)
    q, v, tau = kinematics.random_state(robot, 5)
    assert model(q, v, tau).shape == (5, robot.nv)


@pytest.mark.parametrize("root", ["fixed", "free"])
def test_other_peoples_models_are_declared_by_the_independent_joints(tmp_path: Path, root: str):
    write(tmp_path, root)
    robot = kinematics.load(tmp_path / "hand.urdf", root=root)
    region = Region(q=1, v=1, tau=1)
    model = stages.load_model(f"{tmp_path / 'zero.py'}:make", robot, region)
    q, v, tau = kinematics.random_state(robot, 5)
    torch.testing.assert_close(model(q, v, tau), tau / 2.5)


@pytest.mark.slow
def test_a_study_of_a_gripper_with_a_model_from_a_factory(tmp_path: Path):
    entry = f'\n[[model]]\nname = "file"\nkind = "file"\npath = "{tmp_path / "zero.py"}:make"\n'
    recipe = write(tmp_path, "fixed", entry)
    done = experiment.run(recipe, tmp_path / "out", say=lambda line: None, progress=False)
    assert set(done.exams) == {"file"}
    assert done.report.is_file()


def test_a_gripper_on_a_free_base_is_examined(tmp_path: Path):
    write(tmp_path, "free")
    robot = kinematics.load(tmp_path / "hand.urdf", root="free")
    truth = simulator(robot)
    exam = examine(truth, robot, Region(q=1, v=1, tau=1), budget="quick")
    assert exam.verdict == "physics"
