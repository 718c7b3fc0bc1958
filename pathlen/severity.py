"""Entry point of ``python -m pathlen.severity``, the command that pages name; see `pathlen.runner.false_alarms`."""

import sys

if __name__ == "__main__":
    from pathlen.errors import PathlenError
    from pathlen.runner.false_alarms import main

    try:
        sys.exit(main())
    except PathlenError as error:
        sys.exit(str(error))
