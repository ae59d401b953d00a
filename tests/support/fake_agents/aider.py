"""A fake aider: lines for people out, OpenAI's chat completions with streaming to the gateway; whole-file edits."""

import os
import re
import sys
from pathlib import Path

from talk import Behaviour, Refused, events_of

FILE = re.compile(r"^(\S+)\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    words = sys.argv[1:]

    def flag(name: str) -> str:
        return words[words.index(name) + 1]

    model = flag("--model").removeprefix("openai/")
    prompt = Path(flag("--message-file")).read_text()
    history = Path(flag("--chat-history-file"))
    assert Path(flag("--config")).exists() and Path(flag("--env-file")).exists() and "--yes-always" in words
    earlier = history.read_text() if "--restore-chat-history" in words and history.exists() else ""
    behaviour = Behaviour(prompt)

    def say(text: str, last: bool = False) -> None:
        behaviour.write(text.encode() + b"\n", last=last)

    Path(".aider.tags.cache.v4").mkdir(exist_ok=True)
    Path(".aider.tags.cache.v4/cache.db").write_text("x")
    say("Aider v0.86.1")
    say(f"Model: openai/{model} with whole edit format")
    body = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    messages = [*([{"role": "user", "content": earlier}] if earlier else []), {"role": "user", "content": prompt}]
    text, usage = "", {"prompt_tokens": 0, "completion_tokens": 0}
    headers = {"authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    try:
        url = f"{flag('--openai-api-base')}/chat/completions"
        for _, data in events_of(url, {**body, "messages": messages}, headers):
            usage = data.get("usage") or usage
            for choice in data.get("choices", []):
                text += choice.get("delta", {}).get("content") or ""
    except Refused as refused:
        say(f"litellm.APIError: APIError: OpenAIException - {refused}", last=True)
        return
    history.parent.mkdir(parents=True, exist_ok=True)
    history.write_text(f"{earlier}\n#### {prompt}\n\n{text}\n")
    say(text)
    for count, found in enumerate(FILE.finditer(text), 1):
        Path(found[1]).write_text(found[2])
        say(f"Applied edit to {found[1]}")
        behaviour.after_tool(count)
    say(
        f"Tokens: {usage['prompt_tokens']} sent, {usage['completion_tokens']} received. Cost: $0.01 message.", last=True
    )


main()
