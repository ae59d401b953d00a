"""Prompt files of one pipeline: below its folder, UTF-8, their includes put in, their templates checked."""

import re
from pathlib import Path

from pipelines.problems import Problem
from pipelines.templates import check
from pipelines.yaml_tree import Path_, dotted

SIZE_LIMIT_BYTES = 200_000
"""Of one prompt file."""
DEPTH_LIMIT = 5
"""Of includes in includes."""
_INCLUDE = re.compile(r"""\{%[-+]?\s*include\s+(["'])([^"'\n]+)\1\s*[-+]?%\}""")


class PromptFiles:
    """Collects what is wrong in `problems`; a prompt with problems is given back as far as it could be read."""

    def __init__(self, pipeline_file: Path) -> None:
        self._pipeline_file = pipeline_file
        self._folder = pipeline_file.resolve().parent
        self._checked: set[Path] = set()
        self.texts: dict[str, str] = {}
        """Path below the folder -> text of every file that was read."""
        self.problems: list[Problem] = []

    def text(self, name: str, *, at: tuple[int, Path_]) -> str:
        """The text of the prompt file; `at` is where the pipeline's file names it."""
        line, field = at
        return self._read(
            name, self._folder, Problem(file=self._pipeline_file, line=line, field=dotted(field), message=""), depth=0
        )

    def _read(self, name: str, folder: Path, named: Problem, *, depth: int) -> str:
        text = self._text_or_reason(name, folder, depth)
        if isinstance(text, _Reason):
            self.problems.append(named.model_copy(update={"message": text.words}))
            return name
        path = (folder / name).resolve()
        shown = self._pipeline_file.parent / path.relative_to(self._folder)

        def included(match: re.Match[str]) -> str:
            line = text.count("\n", 0, match.start()) + 1
            here = Problem(file=shown, line=line, field="", message="")
            return self._read(match.group(2), path.parent, here, depth=depth + 1)

        if path not in self._checked:
            self._checked.add(path)
            self.texts[path.relative_to(self._folder).as_posix()] = text
            for line, what in check(_INCLUDE.sub("", text)):
                self.problems.append(Problem(file=shown, line=line, field="", message=what))
        return _INCLUDE.sub(included, text)

    def _text_or_reason(self, name: str, folder: Path, depth: int) -> "str | _Reason":
        if "\0" in name or "\n" in name:
            return _Reason("names the file of a prompt, relative to the pipeline's file")
        path = (folder / name).resolve()
        if not path.is_relative_to(self._folder):
            return _Reason(f"`{name}` leaves the pipeline's folder; prompts stay below it")
        if depth > DEPTH_LIMIT:
            return _Reason(f"`{name}` is included more than {DEPTH_LIMIT} deep (does it include itself?)")
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            return _Reason(f"there is no file `{name}` beside the pipeline's file")
        except OSError as error:
            return _Reason(f"`{name}` cannot be read: {error.strerror}")
        if len(body) > SIZE_LIMIT_BYTES:
            return _Reason(f"`{name}` has {len(body):,} bytes; the limit is {SIZE_LIMIT_BYTES:,}")
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            return _Reason(f"`{name}` is not UTF-8 (byte {error.start})")
        return text if text.strip() else _Reason(f"`{name}` is empty")


class _Reason:
    def __init__(self, words: str) -> None:
        self.words = words
