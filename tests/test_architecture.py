"""The house rules that can be checked: every module on its floor, imports downward, no circle."""

import ast
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent

# The rooms, from the ground up. A module belongs to the room with the longest name that begins its
# own. It may import its own room and rooms on lower floors, nothing else of this project.
FLOORS = [
    ["kinematics"],
    ["discover.errors", "discover.records"],
    [
        "discover.artifacts",
        "discover.progress",
        "discover.threads",
        "discover.numerics",
        "discover.judgement",
    ],
    ["discover.blackbox"],
    ["discover.laws"],
    ["discover.mechanism", "discover.models", "discover.data"],
    ["discover.observations", "discover.probes", "discover.training"],
    ["discover.report", "discover.evaluation"],
    [
        "discover.examination",
        "discover.identification",
        "discover.inside",
        "discover.gradient_quality",
        "discover.contacts",
        "discover.muscles",
    ],
    ["discover.study"],
    ["discover.calibration", "discover.tracking"],
    ["discover.bench"],
    ["discover.cli", "tests.bench"],
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
PUBLIC = "discover"  # the package itself: public names, imported lazily

MODULES = {
    ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
    for folder in ("discover", "kinematics", "tests/bench")
    for p in (ROOT / folder).rglob("*.py")
}


def room_of(module: str) -> str | None:
    """The room of a module; `python -m discover` is the command line."""
    module = module.replace("discover.__main__", "discover.cli")
    rooms = [r for r in FLOOR if module == r or module.startswith(r + ".")]
    return max(rooms, key=len, default=None)


def imported(path: Path, *, top_only: bool = False) -> set[str]:
    """The modules that a file imports: anywhere in it, or by being imported itself."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return found


IMPORTS = {m: imported(p) & MODULES.keys() - {m} for m, p in MODULES.items()}


def test_every_module_has_a_floor():
    assert [m for m in MODULES if m != PUBLIC and room_of(m) is None] == []


def test_what_is_imported_exists():
    for name, path in MODULES.items():
        for other in imported(path):
            if other.split(".")[0] in ("discover", "kinematics"):
                assert other in MODULES, f"{name} imports {other}"


def test_every_room_exists():
    assert [room for room in FLOOR if not any(room_of(m) == room for m in MODULES)] == []


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {PUBLIC}))
def test_imports_point_downward(module):
    own = room_of(module)
    for other in IMPORTS[module]:
        if other == PUBLIC:
            assert FLOOR[own] >= FLOOR["discover.study"], f"{module} imports the public names"
            continue
        room = room_of(other)
        assert room == own or FLOOR[room] < FLOOR[own], f"{module} imports {other}"


def test_no_circle():
    graph = nx.DiGraph((m, other) for m, others in IMPORTS.items() for other in others)
    graph.remove_nodes_from([PUBLIC])
    assert [sorted(c) for c in nx.strongly_connected_components(graph) if len(c) > 1] == []


def test_no_trainable_model_knows_the_simulator():
    for name, path in MODULES.items():
        if name.startswith("discover.models") and "white_box" not in name:
            assert not any(i.split(".")[0] == "kinematics" for i in imported(path)), name


def test_the_verdict_needs_numbers_only():
    heavy = {"torch", "kinematics", "sklearn", "scipy", "matplotlib"}
    for name, path in MODULES.items():
        if room_of(name) == "discover.judgement":
            assert not heavy & {i.split(".")[0] for i in imported(path)}, name


def test_nothing_heavy_happens_at_import():
    banned = {"pysr", "juliacall", "cvxpy", "mujoco", "pinocchio", "onnxruntime", "IPython"}
    for name, path in MODULES.items():
        if name.startswith("tests"):
            continue
        assert not banned & {i.split(".")[0] for i in imported(path, top_only=True)}, name


def test_folders_are_small_and_files_are_chapters():
    for folder in {p.parent for p in MODULES.values()}:
        assert len([p for p in folder.glob("*.py") if p.name != "__init__.py"]) <= 16, folder
    for name, path in MODULES.items():
        assert len(path.read_text().splitlines()) <= 500, name


def test_datasets_hold_no_python():
    assert not list((ROOT / "datasets").rglob("*.py"))
