"""The runs of the kill test: five kinds of task on one bare repository, and how each must end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.campaigns.cases import git
from tests.campaigns.harness import Ended, Job

PIPELINE = Path(__file__).with_name("kill_runs.yaml")
PROMPTS = {"plan.md": "Plan the change.\n", "implement.md": "Make the change.\n"}
WORK_SECONDS, LONG_WORK_SECONDS = "0.3", "300"


@dataclass(frozen=True)
class Kind:
    """`answers`: text of answer.txt by iteration; the last one counts for all later ones."""

    name: str
    answers: tuple[str, ...]
    outcome: str
    iterations: int
    commits: int
    cancelled: bool = False

    def ended_well(self, end: Ended) -> bool:
        return end.outcome == self.outcome and (self.cancelled or end.iterations == self.iterations)


AT_ONCE = Kind("at-once", ("right",), "verified", 1, 1)
AT_SECOND_TRY = Kind("at-second-try", ("wrong", "right"), "verified", 2, 2)
NEVER = Kind("never", ("wrong", "wrong again"), "max_iterations", 2, 2)
CANCELLED = Kind("cancelled", ("right",), "cancelled", 1, 0, cancelled=True)

MIX = (AT_ONCE, AT_SECOND_TRY, AT_ONCE, NEVER, AT_ONCE, AT_SECOND_TRY, AT_ONCE, CANCELLED, AT_ONCE, AT_SECOND_TRY)


@dataclass(frozen=True)
class KillRun:
    job: Job
    kind: Kind


class RunMaker:
    """Run number N is the same on every call: a campaign that is continued names it again."""

    def __init__(self, folder: Path) -> None:
        self.remote = _bare_remote(folder / "remote.git", folder / "seed")
        self._models = {kind.name: f"scripted:{_script(kind, folder / 'scripts')}" for kind in set(MIX)}
        self._document = PIPELINE.read_text()

    def make(self, number: int) -> KillRun:
        kind = MIX[number % len(MIX)]
        body = {
            "task": f"{kind.name} {number}",
            "repo": str(self.remote),
            "settings": {"model": self._models[kind.name]},
            "pipeline_yaml": self._document,
            "prompts": PROMPTS,
        }
        return KillRun(Job(f"{number:04} {kind.name}", body), kind)


def _bare_remote(remote: Path, seed: Path) -> Path:
    if not remote.exists():
        seed.mkdir(parents=True, exist_ok=True)
        git(seed, "init", "--quiet", "-b", "main")
        (seed / "answer.txt").write_text("none\n")
        (seed / "seconds.txt").write_text(f"{WORK_SECONDS}\n")
        git(seed, "add", "--all")
        git(seed, "commit", "--quiet", "-m", "Start")
        git(seed, "clone", "--quiet", "--bare", str(seed), str(remote))
    return remote


def _script(kind: Kind, folder: Path) -> Path:
    replies: list[dict[str, object]] = [{"role": "planner", "text": "Write the answer."}]
    seconds = LONG_WORK_SECONDS if kind.cancelled else WORK_SECONDS
    for turn, answer in enumerate(kind.answers, 1):
        last = turn == len(kind.answers)
        files = {"answer.txt": f"{answer}\n", "seconds.txt": f"{seconds}\n"}
        replies.append({"role": "coder", "turn": "*" if last else turn, "files": files})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind.name}.yaml"
    usage = {"tokens_in": 100, "tokens_out": 10, "billed_usd": "0.0001"}
    path.write_text(yaml.safe_dump({"usage": usage, "replies": replies}))
    return path


def outcomes_off(runs: Sequence[KillRun], ends: Sequence[Ended]) -> list[str]:
    return [
        f"{end.name}: {end.status} {end.outcome} in {end.iterations}, not {run.kind.outcome}: {end.error}"
        for run, end in zip(runs, ends, strict=True)
        if not run.kind.ended_well(end)
    ]
