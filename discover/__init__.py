"""Find out what a learned world model has learned: a lookup table, the physics, or another law.

exam = discover.examine(model, robot, discover.Region(q=1.0, v=2.0, tau=5.0))
print(exam.verdict, exam.reach)
exam.law(q, v, tau)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discover.dataset import Dataset
    from discover.evidence import Evidence
    from discover.examination import Examination, load
    from discover.inquiry import examine
    from discover.recipes import Recipe
    from discover.recipes import load as load_recipe
    from discover.region import Region
    from discover.stages import (
        examine_model,
        load_robot,
        sample_dataset,
        train_model,
        write_report,
    )

# Where each name lives. Read on first use, so that `import discover` starts nothing.
_HOMES = {
    "Dataset": ("discover.dataset", "Dataset"),
    "Evidence": ("discover.evidence", "Evidence"),
    "Examination": ("discover.examination", "Examination"),
    "Recipe": ("discover.recipes", "Recipe"),
    "Region": ("discover.region", "Region"),
    "examine": ("discover.inquiry", "examine"),
    "examine_model": ("discover.stages", "examine_model"),
    "load": ("discover.examination", "load"),
    "load_recipe": ("discover.recipes", "load"),
    "load_robot": ("discover.stages", "load_robot"),
    "sample_dataset": ("discover.stages", "sample_dataset"),
    "train_model": ("discover.stages", "train_model"),
    "write_report": ("discover.stages", "write_report"),
}

__all__ = [
    "Dataset",
    "Evidence",
    "Examination",
    "Recipe",
    "Region",
    "examine",
    "examine_model",
    "load",
    "load_recipe",
    "load_robot",
    "sample_dataset",
    "train_model",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'discover' has no attribute {name!r}")
    module, own = _HOMES[name]
    value = getattr(import_module(module), own)
    globals()[name] = (
        value  # over a submodule of the same name too: `discover.examine` is a function
    )
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
