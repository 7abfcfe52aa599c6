"""One thread each, set before torch starts: small tensors gain nothing from more threads.

On a busy machine with two cores the same test takes up to ten times longer with two threads.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
