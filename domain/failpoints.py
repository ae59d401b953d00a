"""Kill points: named places where a campaign may end the process. A no-op unless its settings enable it."""

from enum import StrEnum
from typing import Protocol


class Point(StrEnum):
    """Each step of the phase protocol and of the relay; a test lists them against the code."""

    PHASE_BEFORE_BEGIN = "phase.before_begin"
    PHASE_AFTER_BEGIN = "phase.after_begin"
    PHASE_AFTER_RESTORE = "phase.after_restore"
    CALL_AFTER_BEGIN = "call.after_begin"
    CALL_AFTER_ANSWER = "call.after_answer"
    """Between a provider's answer and its commit."""
    CALL_AFTER_END = "call.after_end"
    PHASE_AFTER_EFFECT = "phase.after_effect"
    PHASE_AFTER_SNAPSHOT = "phase.after_snapshot"
    GIT_AFTER_COMMIT = "git.after_commit"
    GIT_AFTER_PUSH = "git.after_push"
    """Between a push and its commit in the record."""
    PHASE_AFTER_FINISH = "phase.after_finish"
    RUN_BEFORE_FINALISE = "run.before_finalise"
    RUN_AFTER_FINALISE = "run.after_finalise"
    REQUEST_AFTER_RECORD = "request.after_record"
    """Between "recorded" and "sent"."""
    RELAY_AFTER_SEND = "relay.after_send"
    """Between Temporal's word and the relay's own commit."""


class AgentPoint(StrEnum):
    """Steps of a turn of an agent phase."""

    AFTER_OPENING = "agent.after_opening"
    AFTER_TOOL = "agent.after_tool"
    """Between a tool's effect and its word in the record."""
    AFTER_PACK = "agent.after_pack"
    """The pack of a tree is stored; its turn is not recorded."""
    AFTER_CHECKPOINT = "agent.after_checkpoint"


class Failpoints(Protocol):
    def hit(self, point: Point | AgentPoint) -> None: ...


class NoFailpoints:
    def hit(self, point: Point | AgentPoint) -> None:
        return None
