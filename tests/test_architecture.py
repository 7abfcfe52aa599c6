"""The house rules that can be checked: imports point downward, models do not know the simulator."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(p.relative_to(ROOT).with_suffix("").parts): p
    for package in ("discover", "kinematics")
    for p in (ROOT / package).rglob("*.py")
}


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return found


def imports_at_top(path: Path) -> set[str]:
    """What importing a file imports at once."""
    tree = ast.parse(path.read_text())
    top = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    return imported_from(top)


def imported_from(nodes) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif node.module:
            found.add(node.module)
    return found


def test_kinematics_knows_nothing_of_learning():
    for name, path in MODULES.items():
        if name.startswith("kinematics"):
            assert not any(i.split(".")[0] == "discover" for i in imported(path)), name


def test_no_trainable_model_knows_the_simulator():
    for name, path in MODULES.items():
        if name.startswith("discover.models") and "white_box" not in name:
            assert not any(i.split(".")[0] == "kinematics" for i in imported(path)), name


def test_the_verdict_needs_numbers_only():
    heavy = {"torch", "kinematics", "sklearn", "scipy", "matplotlib"}
    for name in (
        "discover.judgement.verdict",
        "discover.judgement.evidence",
        "discover.judgement.thresholds",
    ):
        assert not heavy & {i.split(".")[0] for i in imported(MODULES[name])}, name


ORDER = [
    "discover.cli",
    "discover.study.experiment",
    "discover.report",
    "discover.examination.examine",
]
BELOW = [
    "discover.probes",
    "discover.laws",
    "discover.blackbox.session",
    "discover.blackbox.contract",
]


@pytest.mark.parametrize("low", BELOW)
@pytest.mark.parametrize("high", ORDER)
def test_imports_point_downward(low, high):
    for name, path in MODULES.items():
        if name == low or name.startswith(low + "."):
            reached = imported(path)
            assert not any(i == high or i.startswith(high + ".") for i in reached), (name, high)


def test_nothing_heavy_happens_at_import():
    banned = {"pysr", "juliacall", "cvxpy", "mujoco", "pinocchio", "onnxruntime", "IPython"}
    for name, path in MODULES.items():
        assert not banned & {i.split(".")[0] for i in imports_at_top(path)}, name


def test_datasets_hold_no_python():
    assert not list((ROOT / "datasets").rglob("*.py"))
