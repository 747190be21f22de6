"""The program: python -m histq, and the command histq."""

import sys


def main() -> None:
    """Runs the command line; Ctrl-C ends it with 130, even while it is still being loaded."""
    try:
        from histq.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
