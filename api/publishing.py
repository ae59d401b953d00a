"""A pipeline document that came by HTTP: read in a folder of its own, so it can name only what came with it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from domain.errors import InvalidInput
from domain.pipelines.spec import Pipeline
from pipelines.load import parse_pipeline

FILE_NAME = "pipeline.yaml"


def read_pipeline(text: str, prompts: Mapping[str, str], *, field: str) -> Pipeline:
    """Raises InvalidInput with every problem, each with line and field; `field` is where the document came."""
    with tempfile.TemporaryDirectory(prefix="millwright-pipeline-") as name:
        folder = Path(name)
        for path, body in prompts.items():
            _write(folder, path, body)
        try:
            return parse_pipeline(text, folder / FILE_NAME)
        except InvalidInput as error:
            message = error.message.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")
            raise InvalidInput(message, hint=error.hint, field=error.field or field) from error


def _write(folder: Path, path: str, body: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path or path == FILE_NAME:
        raise InvalidInput(
            f"`{path[:200]}` is no path of a prompt file.",
            hint="Use a path below the pipeline's folder.",
            field="prompts",
        )
    target = folder.joinpath(*parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(body, encoding="utf-8")
    except (OSError, UnicodeEncodeError) as error:
        raise InvalidInput(
            f"The prompt file `{path[:200]}` cannot be written.",
            hint="Use a shorter path of letters, digits and `/`, and text that is valid UTF-8.",
            field="prompts",
        ) from error
