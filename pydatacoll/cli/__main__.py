"""``python -m pydatacoll.cli``."""

from pydatacoll.cli import main

if __name__ == "__main__":
    main(prog_name="pydatacoll")
