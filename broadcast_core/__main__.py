"""`python -m broadcast_core` is the command `tocsin`."""

from broadcast_core.cli import app

if __name__ == "__main__":
    app()
