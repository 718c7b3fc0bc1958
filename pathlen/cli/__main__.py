"""``python -m pathlen.cli``: the ``pathlen`` command, for when its script is not on the path."""

import sys

from pathlen.cli import main

if __name__ == "__main__":
    sys.exit(main())
