"""`python -m anr_core`: the command line, from a checkout too."""

import sys

from anr_core.cli import main

sys.exit(main())
