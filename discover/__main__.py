"""`python -m discover` is the command `discover`."""

import sys

from discover.cli import main

sys.exit(main())
