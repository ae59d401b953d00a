"""`python -m adapters.store migrate`: brings the database to the newest schema and prints one JSON line."""

import argparse
import json
import sys

from pydantic import ValidationError

from adapters.store.migrate import migrate
from adapters.store.settings import StoreSettings
from domain.errors import MillwrightError


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m adapters.store")
    commands = parser.add_subparsers(dest="command", required=True)
    step = commands.add_parser("migrate", help="bring the database to the newest schema")
    step.add_argument("--to", default="head", help="a revision, or down:<revision> for a step down")
    asked = parser.parse_args(argv)
    try:
        settings = StoreSettings()
        revision = migrate(settings.admin_database_url, settings.database_url, asked.to)
    except ValidationError as error:
        names = ", ".join(str(problem["loc"][0]) for problem in error.errors())
        return _fail(f"Not set: {names}.", "Give PostgreSQL addresses: postgresql://user:password@host:port/database")
    except MillwrightError as error:
        return _fail(error.message, error.hint)
    _say(event="store.migrated", revision=revision)
    return 0


def _fail(message: str, hint: str) -> int:
    _say(event="store.failed", message=message, hint=hint)
    return 2


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
