"""Engines that look for a formula y = f(x), behind one contract."""

from __future__ import annotations

from discover.laws.engines.contract import Engine, Front, Member
from discover.laws.engines.operon import Operon
from discover.laws.engines.pysr import PySR
from discover.laws.engines.sparse import Sparse

__all__ = ["ENGINES", "Engine", "Front", "Member", "Operon", "PySR", "Sparse"]

ENGINES: dict[str, type[Engine]] = {"sparse": Sparse, "operon": Operon, "pysr": PySR}
