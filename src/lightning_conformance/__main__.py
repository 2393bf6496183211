"""``python -m lightning_conformance versions``: the checks on several releases of Lightning, side by side."""

from __future__ import annotations

import sys

from lightning_conformance.errors import KitError
from lightning_conformance.versions import main

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KitError as error:
        print(error, file=sys.stderr)
        sys.exit(4)
