"""`discover bench structure`: trees, geometries, recursions and forward programs of black boxes.

    discover bench structure --out reports/structure [--part trees,…] [--workers N] [--seeds 0,1,…]

Records are stored trial by trial under `out`/records and trials not run again; other seeds draw
other robots and truths.
"""

from __future__ import annotations

from tests.bench.trials import bench

TITLE = "Mechanisms from black boxes: trees, geometry, recursions, forward programs"
MODULES = (
    "tests.bench.mechanism.trees",
    "tests.bench.mechanism.geometry",
    "tests.bench.mechanism.recursions",
    "tests.bench.mechanism.forward",
    "tests.bench.mechanism.controls",
)

main = bench("structure", TITLE, MODULES)
