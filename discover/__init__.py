"""Find out what a learned world model has learned: a lookup table, the physics, or another law.

exam = discover.examine(model, robot, discover.Region(q=1.0, v=2.0, tau=5.0))
print(exam.verdict, exam.reach)
exam.law(q, v, tau)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discover.blackbox.region import Region
    from discover.contacts.find_contacts import find_contacts
    from discover.contacts.result import ContactExamination
    from discover.data.dataset import Dataset
    from discover.examination.examine import examine
    from discover.examination.result import Examination, load
    from discover.identification.exciting.design_motion import design_motion
    from discover.identification.exciting.result import ExcitingMotion
    from discover.identification.identify import identify
    from discover.identification.result import Identification
    from discover.inside.look_inside import look_inside
    from discover.inside.result import InsideReport
    from discover.judgement.evidence import Evidence
    from discover.muscles.asking import MuscleRegion
    from discover.muscles.examine_geometry import examine_geometry
    from discover.muscles.examine_muscle import examine_muscle
    from discover.muscles.result import (
        GeometryExamination,
        MuscleExamination,
        load_geometry,
        load_muscle,
    )
    from discover.observations.environments import from_dm_control, from_gymnasium
    from discover.observations.layout import ObservationLayout
    from discover.observations.spread import Ensemble, spread_against_departure
    from discover.observations.wrapping import wrap
    from discover.study.recipes import Recipe
    from discover.study.recipes import load as load_recipe
    from discover.study.stages import (
        examine_model,
        load_robot,
        sample_dataset,
        train_model,
        write_report,
    )
    from discover.tracking.result import Track
    from discover.tracking.track import track
    from discover.tracking.tracker import Tracker

# Where each name lives. Read on first use, so that `import discover` starts nothing.
_HOMES = {
    "ContactExamination": ("discover.contacts.result", "ContactExamination"),
    "Dataset": ("discover.data.dataset", "Dataset"),
    "Ensemble": ("discover.observations.spread", "Ensemble"),
    "Evidence": ("discover.judgement.evidence", "Evidence"),
    "Examination": ("discover.examination.result", "Examination"),
    "ExcitingMotion": ("discover.identification.exciting.result", "ExcitingMotion"),
    "GeometryExamination": ("discover.muscles.result", "GeometryExamination"),
    "GradientReport": ("discover.gradient_quality.result", "GradientReport"),
    "Identification": ("discover.identification.result", "Identification"),
    "InsideReport": ("discover.inside.result", "InsideReport"),
    "MuscleExamination": ("discover.muscles.result", "MuscleExamination"),
    "MuscleRegion": ("discover.muscles.asking", "MuscleRegion"),
    "ObservationLayout": ("discover.observations.layout", "ObservationLayout"),
    "Recipe": ("discover.study.recipes", "Recipe"),
    "Region": ("discover.blackbox.region", "Region"),
    "Track": ("discover.tracking.result", "Track"),
    "Tracker": ("discover.tracking.tracker", "Tracker"),
    "design_motion": ("discover.identification.exciting.design_motion", "design_motion"),
    "examine": ("discover.examination.examine", "examine"),
    "examine_geometry": ("discover.muscles.examine_geometry", "examine_geometry"),
    "examine_model": ("discover.study.stages", "examine_model"),
    "examine_muscle": ("discover.muscles.examine_muscle", "examine_muscle"),
    "find_contacts": ("discover.contacts.find_contacts", "find_contacts"),
    "from_dm_control": ("discover.observations.environments", "from_dm_control"),
    "from_gymnasium": ("discover.observations.environments", "from_gymnasium"),
    "gradients": ("discover.gradient_quality.measure", "gradients"),
    "identify": ("discover.identification.identify", "identify"),
    "load": ("discover.examination.result", "load"),
    "load_geometry": ("discover.muscles.result", "load_geometry"),
    "load_muscle": ("discover.muscles.result", "load_muscle"),
    "load_recipe": ("discover.study.recipes", "load"),
    "load_robot": ("discover.study.stages", "load_robot"),
    "look_inside": ("discover.inside.look_inside", "look_inside"),
    "sample_dataset": ("discover.study.stages", "sample_dataset"),
    "spread_against_departure": (
        "discover.observations.spread",
        "spread_against_departure",
    ),
    "track": ("discover.tracking.track", "track"),
    "train_model": ("discover.study.stages", "train_model"),
    "wrap": ("discover.observations.wrapping", "wrap"),
    "write_report": ("discover.study.stages", "write_report"),
}

__all__ = [
    "ContactExamination",
    "Dataset",
    "Ensemble",
    "Evidence",
    "Examination",
    "ExcitingMotion",
    "GeometryExamination",
    "GradientReport",
    "Identification",
    "InsideReport",
    "MuscleExamination",
    "MuscleRegion",
    "ObservationLayout",
    "Recipe",
    "Region",
    "Track",
    "Tracker",
    "design_motion",
    "examine",
    "examine_geometry",
    "examine_model",
    "examine_muscle",
    "find_contacts",
    "from_dm_control",
    "from_gymnasium",
    "gradients",
    "identify",
    "load",
    "load_geometry",
    "load_muscle",
    "load_recipe",
    "load_robot",
    "look_inside",
    "sample_dataset",
    "spread_against_departure",
    "track",
    "train_model",
    "wrap",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("worldlaw")
    if name not in _HOMES:
        raise AttributeError(f"module 'discover' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
