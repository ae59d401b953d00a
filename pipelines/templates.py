"""The template language of prompts and commit messages: sandboxed Jinja2, strict about names, no access to files."""

import re
from difflib import get_close_matches

from jinja2 import StrictUndefined, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from domain.pipelines.ports import PromptVariables

FENCE_LIMIT = 200_000
"""Characters of one fenced text; of a longer one its first quarter and its last three quarters."""
VARIABLES = frozenset(PromptVariables.model_fields)

_FENCE_IN_TEXT = re.compile(r"<(?=[\s/\\\u200b-\u200f\u2060\ufeff]*untrusted)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def fenced(text: object, label: str) -> str:
    """Untrusted text between marks that it cannot write itself, so that it cannot pass for the prompt's own words."""
    inside = _FENCE_IN_TEXT.sub("&lt;", _CONTROL.sub("", _shortened(str(text).replace("\r\n", "\n"))))
    name = re.sub(r"[^\w ./:()-]", "_", str(label))[:200]
    return f'<untrusted label="{name}">\n{inside.rstrip()}\n</untrusted>'


def _shortened(text: str) -> str:
    if len(text) <= FENCE_LIMIT:
        return text
    head, tail = FENCE_LIMIT // 4, FENCE_LIMIT - FENCE_LIMIT // 4
    return f"{text[:head]}\n[… {len(text) - FENCE_LIMIT:,} characters left out …]\n{text[-tail:]}"


def environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
    )
    made.filters["fenced"] = fenced
    return made


def check(text: str) -> list[tuple[int, str]]:
    """(line, what is wrong) of a template: its syntax, unknown filters, unknown names, other files."""
    env = environment()
    try:
        tree = env.parse(text)
        env.compile(tree)
    except TemplateSyntaxError as error:
        return [(error.lineno, error.message or "is not a template")]
    wrong = [
        (node.lineno, "a template cannot name other files while it is rendered; write `include` with a plain file name")
        for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends))
    ]
    unknown = meta.find_undeclared_variables(tree) - VARIABLES
    seen: set[str] = set()
    for node in tree.find_all(nodes.Name):
        if node.name in unknown and node.name not in seen:
            seen.add(node.name)
            close = get_close_matches(node.name, VARIABLES, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(sorted(VARIABLES))}"
            wrong.append((node.lineno, f"unknown name `{node.name}`; {hint}"))
    return wrong
