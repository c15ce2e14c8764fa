"""The command ``ddpm-micro``, also ``python -m ddpm_micro``: Ctrl-C is one line even while the command line loads."""

import sys


def main() -> int:
    try:
        from ddpm_micro.cli import main

        return main()
    except KeyboardInterrupt:
        print("ddpm-micro: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
