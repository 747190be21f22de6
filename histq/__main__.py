"""The program: python -m histq, and the command histq."""

import gc
import sys


def main() -> None:
    """Runs the command line; Ctrl-C ends it with 130, even while it is still being loaded."""
    # What imports make is never garbage, and looking at it takes a tenth of a short command; the
    # session of the command looks again from where it begins.
    gc.disable()
    try:
        from histq.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
