"""`discover bench laws`: does the search identify laws that are there, and none where none is?

    discover bench laws [--part entries,torques,mass,feynman,planted,taught,nothing | all | none]
                        [--out DIR] [--workers N] [--seeds 0,1,…]

Records are stored in DIR/records trial by trial; the same command goes on where it was cut short,
and report.md is written from the stored records (`--part none`: of what is there, running nothing).
"""

from __future__ import annotations

from tests.bench.trials import bench

TITLE = "Law search: what is identified, and at what cost"
MODULES = (
    "tests.bench.laws.entries",
    "tests.bench.laws.torque_rows",
    "tests.bench.laws.feynman",
    "tests.bench.laws.planted",
    "tests.bench.laws.distilled",
    "tests.bench.laws.negative_controls",
)

main = bench("laws", TITLE, MODULES)
