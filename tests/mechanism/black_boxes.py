"""What the tests of this folder ask: the black boxes of the bench of mechanisms."""

from tests.bench.mechanism.black_boxes import REGION, black_box, parents_in, sampler, screws_in

__all__ = ["REGION", "black_box", "parents_in", "sampler", "screws_in"]
