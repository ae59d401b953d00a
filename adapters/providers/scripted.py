"""The scripted provider: answers from a YAML file, for demos, tests and campaigns. Ships with the product.

`scripted:demo` reads demo.yaml of the shipped scripts, `scripted:/abs/path.yaml` that file.
"""

import asyncio
from pathlib import Path

from adapters.providers.script import Script, ScriptedError, ScriptedReply, load_script
from domain.errors import InvalidInput
from domain.models.messages import CallRefused, ModelReply, ModelRequest
from domain.models.policy import ProviderSettings
from domain.runs.failure import ErrorKind, PhaseError


class Scripts:
    """Scripts by name or path, parsed once per version of the file."""

    def __init__(self, shipped: Path) -> None:
        self._shipped = shipped
        self._parsed: dict[Path, tuple[tuple[int, int], Script]] = {}

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(p.stem for p in self._shipped.glob("*.yaml")))

    def get(self, name: str) -> Script:
        """Raises CallRefused: `not_found` for an unknown script, `invalid_request` for one that cannot be read."""
        path = Path(name) if name.startswith("/") else self._shipped / f"{name}.yaml"
        try:
            if "/" in name and not name.startswith("/"):
                raise FileNotFoundError(name)
            stat = path.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            cached = self._parsed.get(path)
            if cached is None or cached[0] != version:
                cached = self._parsed[path] = (version, load_script(path))
            return cached[1]
        except (FileNotFoundError, NotADirectoryError):
            shipped = ", ".join(self.names()) or "none"
            raise CallRefused(
                PhaseError(
                    kind=ErrorKind.NOT_FOUND,
                    message=f"There is no script `{name}`.",
                    hint=f"Shipped scripts: {shipped}; or give the absolute path of a YAML file.",
                )
            ) from None
        except OSError as error:
            raise CallRefused(
                PhaseError(
                    kind=ErrorKind.INVALID_REQUEST,
                    message=f"Script {path} cannot be read: {error.strerror}.",
                    hint="Give the worker's user the right to read it.",
                )
            ) from None
        except InvalidInput as error:
            raise CallRefused(
                PhaseError(kind=ErrorKind.INVALID_REQUEST, message=error.message, hint=error.hint)
            ) from None

    def reply(self, name: str, role: str, turn: int, iteration: int) -> tuple[Script, ScriptedReply]:
        """Raises CallRefused: as `get`, and `invalid_request` when the script has nothing for role, turn and
        iteration."""
        script = self.get(name)
        reply = script.reply(role, turn, iteration)
        if reply is None:
            raise CallRefused(
                PhaseError(
                    kind=ErrorKind.INVALID_REQUEST,
                    message=f"Script `{name}` has no reply for role `{role}`, turn {turn}, iteration {iteration}.",
                    hint=f'It has: {", ".join(script.known())}. Add the reply, or one with turn: "*".',
                )
            )
        return script, reply


class ScriptedProvider:
    """ModelProvider of ProviderKind.SCRIPTED."""

    def __init__(self, shipped: Path) -> None:
        self._scripts = Scripts(shipped)

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        script, reply = self._scripts.reply(request.model, request.role, request.turn, request.iteration)
        if reply.delay_seconds:
            await asyncio.sleep(reply.delay_seconds)
        if reply.error is not None:
            raise CallRefused(scripted_failure(request.model, reply.error))
        return ModelReply(
            text=reply.body,
            usage=(reply.usage or script.usage).as_usage(),
            model_answered=script.model_answered or request.model,
            tool_calls=reply.calls(request.turn, request.iteration),
            finish=reply.ended,
        )


def scripted_failure(name: str, error: ScriptedError) -> PhaseError:
    """The failure that a reply of script `name` stands for."""
    return PhaseError(
        kind=error.kind,
        message=error.message or f"Script `{name}` answers with {error.kind.value}.",
        hint="The script says so.",
        retry_after_seconds=error.retry_after_seconds,
    )
