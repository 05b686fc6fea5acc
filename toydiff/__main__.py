"""`python -m toydiff` is the `toydiff` command."""

import sys

from toydiff.cli import main

sys.exit(main())
