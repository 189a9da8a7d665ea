"""`python -m evacli`, and the `evacli` command."""

import sys


def main() -> None:
    """Runs the command line."""
    try:
        from evacli.cli import app

        app(prog_name="evacli")
    except KeyboardInterrupt:  # while the modules above are imported, or on the way out
        sys.exit(130)


if __name__ == "__main__":
    main()
