"""``python -m ddpm_micro.cli`` is ``ddpm-micro``."""

import sys

from ddpm_micro.cli import main

sys.exit(main())
