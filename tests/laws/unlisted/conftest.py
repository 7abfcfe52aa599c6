"""The planted laws stand beside the tests; the package cannot import them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
