"""Engines that look for a formula y = f(x), behind one contract."""

from __future__ import annotations

from discover.laws.regression.engines.contract import Engine, Front, Member
from discover.laws.regression.engines.operon import Operon
from discover.laws.regression.engines.pysr import PySR
from discover.laws.regression.engines.sparse import Sparse

__all__ = ["ENGINES", "Engine", "Front", "Member", "Operon", "PySR", "Sparse"]

ENGINES: dict[str, type[Engine]] = {"sparse": Sparse, "operon": Operon, "pysr": PySR}
