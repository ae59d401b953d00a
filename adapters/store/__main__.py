"""`python -m adapters.store migrate`: brings the database to the newest schema, sets up the first organization, and
prints one JSON line. Secrets are in it only when they were made now."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from adapters.store.bootstrap import Bootstrapped, Wanted, bootstrap
from adapters.store.database import open_database
from adapters.store.migrate import migrate
from adapters.store.settings import StoreSettings
from domain.errors import MillwrightError
from domain.models.policy import ProviderKind, ProviderSettings


def main(argv: list[str]) -> int:
    asked = _parser().parse_args(argv)
    made: Bootstrapped | None = None
    try:
        settings = StoreSettings()
        revision = migrate(settings.admin_database_url, settings.database_url, asked.to)
        if not asked.schema_only and asked.to == "head":
            made = asyncio.run(_bootstrap(settings.database_url, _wanted(asked)))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'input'}: {p['msg']}" for p in error.errors())
        return _fail(f"Wrong or missing settings: {problems}", "Give the names above; `--help` lists the arguments.")
    except MillwrightError as error:
        return _fail(error.message, error.hint)
    _say(event="store.migrated", revision=revision, **(made.model_dump(mode="json") if made else {}))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m adapters.store")
    commands = parser.add_subparsers(dest="command", required=True)
    step = commands.add_parser("migrate", help="bring the database to the newest schema; set up what is missing")
    step.add_argument("--to", default="head", help="a revision, or down:<revision> for a step down")
    step.add_argument("--schema-only", action="store_true", help="set up no organization")
    step.add_argument("--organization", default="default")
    step.add_argument("--login", default="admin", help="login of the first admin")
    step.add_argument("--reissue", action="store_true", help="make a new key and password: the old ones are lost")
    step.set_defaults(providers=())
    kinds = ", ".join(kind.value for kind in ProviderKind)
    step.add_argument("--provider", action=_Provider, help="name of a provider to allow; may be given again")
    step.add_argument("--provider-kind", action=_Provider, help=f"{kinds}; default: openai_compatible")
    step.add_argument("--provider-url", action=_Provider, help="its base URL")
    step.add_argument("--provider-credential", action=_Provider, help="reference to its key: env:NAME or file:PATH")
    step.add_argument("--default-model", help="provider:model for every role")
    return parser


class _Provider(argparse.Action):
    """`--provider NAME` begins a provider; `--provider-...` is of the one before it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        providers: list[dict[str, object]] = [*namespace.providers]
        namespace.providers = providers
        if option_string == "--provider":
            providers.append({"name": values, "kind": ProviderKind.OPENAI_COMPATIBLE})
        elif not providers:
            parser.error(f"{option_string} belongs behind the --provider that it is of")
        else:
            providers[-1][_FIELD_OF[self.dest]] = values


_FIELD_OF = {"provider_kind": "kind", "provider_url": "base_url", "provider_credential": "credential"}


def _wanted(asked: argparse.Namespace) -> Wanted:
    return Wanted(
        organization=asked.organization,
        login=asked.login,
        providers=tuple(ProviderSettings.model_validate(each) for each in asked.providers),
        default_model=asked.default_model,
        reissue=asked.reissue,
    )


async def _bootstrap(url: str, wanted: Wanted) -> Bootstrapped:
    async with open_database(url, max_connections=2) as database:
        return await bootstrap(database, wanted)


def _fail(message: str, hint: str) -> int:
    _say(event="store.failed", message=message, hint=hint)
    return 2


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
