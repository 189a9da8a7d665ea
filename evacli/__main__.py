"""`python -m evacli`, and the `evacli` command."""

from evacli.cli import app


def main() -> None:
    """Runs the command line."""
    app(prog_name="evacli")


if __name__ == "__main__":
    main()
