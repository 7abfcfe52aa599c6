"""Recipes that are small enough for a test, and a way to compare what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from discover.artifacts import read_json

RECIPE = """
[study]
name = "small"
title = "A small study"
seed = 3

[robot]
source = "double_pendulum"

[region]
q = 1.0
v = 1.0
tau = 2.0

[data]
samples = 300

[train]
epochs = 4

[examine]
budget = "quick"

[report]
rollout_s = 0.2
ledger = false
"""
PENDULUM = """<robot name="pendulum">
<link name="wall"/>
<link name="bob"><inertial><origin xyz="0 0 -0.5"/><mass value="2"/>
<inertia ixx="0.02" iyy="0.03" izz="0.02" ixy="0" ixz="0" iyz="0"/></inertial></link>
<joint name="swing" type="continuous"><parent link="wall"/><child link="bob"/><axis xyz="0 1 0"/>
</joint>
</robot>
"""
SIMULATOR = '\n[[model]]\nname = "simulator"\nkind = "simulator"\n'
TABLE = '\n[[model]]\nname = "table"\nkind = "table"\n'
MLP = '\n[[model]]\nname = "mlp"\nkind = "mlp"\nwidth = 8\n'


def write_recipe(directory: Path, *models: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pendulum.urdf").write_text(PENDULUM)
    path = directory / "small.toml"
    path.write_text(RECIPE + "".join(models or (SIMULATOR,)))
    return path


def verdicts(out: Path) -> dict[str, Any]:
    """Every verdict.json of a study, without the seconds."""
    found = {}
    for path in sorted(out.glob("*/verdict.json")):
        held = read_json(path)
        held.pop("seconds")
        found[path.parent.name] = held
    return found
