"""``python -m bftcluster_cli`` is ``bftcluster``."""

import sys

from bftcluster_cli.main import main

sys.exit(main())
