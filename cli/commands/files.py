"""Files that are named on the command line."""

from pathlib import Path

from cli.commands.failing import USAGE, CommandError


def text_of(path: Path) -> str:
    """Raises CommandError for what cannot be read as text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        what, hint = f"is not UTF-8 (byte {error.start})", "Save it as UTF-8."
    except OSError as error:
        what, hint = f"cannot be read: {error.strerror}", "Check the path."
    raise CommandError(f"{path} {what}.", hint=hint, exit_code=USAGE)
