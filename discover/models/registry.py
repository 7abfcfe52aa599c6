"""The families of world models by name, and building one. `contract` tells how to add a family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch

from discover.errors import ModelError
from discover.models.contract import Outputs, WorldModel, read_config
from discover.models.layout import Layout

# A family's name in recipes, which is also its file in `discover.models.families`: its class there.
_CLASSES = {
    "table": "Table",
    "mlp": "MLP",
    "delan": "DeLaN",
    "hnn": "HNN",
    "lnn": "LNN",
    "gnn": "GNN",
    "transformer": "Transformer",
    "neural_ode": "NeuralODE",
    "recurrent": "Recurrent",
    "ensemble": "Ensemble",
    "forest": "Forest",
    "gaussian_process": "GaussianProcess",
    "white_box": "WhiteBox",
}


class _Families(Mapping[str, type[WorldModel]]):
    """The classes by name, each imported when it is asked for."""

    def __getitem__(self, kind: str) -> type[WorldModel]:
        name = _CLASSES[kind]
        return getattr(import_module(f"discover.models.families.{kind}"), name)

    def __contains__(self, kind: object) -> bool:
        return kind in _CLASSES

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


FAMILIES = _Families()


def build_for(
    body: Any, kind: str, config: Mapping[str, Any] | None = None, /, **more: Any
) -> WorldModel:
    """The same with the independent joints of the robot `body`; all else as `build` takes it."""
    joints = {"kinds": body.independent_kinds, "parents": body.independent_parents}
    return build(kind, body.nq, body.nv, config, **joints, **more)


def build(
    kind: str,
    nq: int,
    nv: int,
    config: Mapping[str, Any] | None = None,
    *,
    kinds: Sequence[str] | None = None,
    parents: Sequence[int] | None = None,
    outputs: Outputs = "acceleration",
    dt: float | None = None,
    robot: Mapping[str, Any] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> WorldModel:
    """An untrained model of family `kind`, its weights drawn from `seed`.

    config: options of the family. kinds and parents: the joints, as plain tuples; without them a
    serial chain of one-number joints is assumed. robot: its description (`Robot.to_dict`), which
    only a white-box control is given. Raises ModelError on an unknown family or option.
    """
    if kind not in FAMILIES:
        raise ModelError(f"model '{kind}' unknown; expected one of {', '.join(FAMILIES)}")
    family = FAMILIES[kind]
    if kinds is None:
        layout = Layout.plain(nv)
    else:
        chain = range(-1, len(kinds) - 1) if parents is None else parents
        layout = Layout.of(kinds, chain)
    if (layout.nq, layout.nv) != (nq, nv):
        raise ModelError(
            f"expected nq={layout.nq}, nv={layout.nv} from the joint kinds, found "
            f"nq={nq}, nv={nv}; give the kinds of the independent joints, without mimic joints"
        )
    options = dict(config or {})
    if family.needs_robot and robot is not None:
        options["robot"] = dict(robot)
    settings = read_config(kind, family.config_schema, options)
    with torch.random.fork_rng(devices=[]):  # the caller's random stream stays untouched
        torch.manual_seed(seed)
        return family(layout, settings, outputs=outputs, dt=dt).to(dtype)
