"""Why something failed, in one line, extracted from a message that may be a traceback of hundreds.

Keras and TensorFlow begin the text of an error with a heading ("Graph execution error:", "in user code:") and a stack,
and end it with what went wrong. The heading says nothing and is skipped. Pure functions.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from custom_components.distributed_tuner.errors import storable

# The longest line for people to read in a terminal or a table.
MAX_CHARACTERS = 500
_LEFT_OUT = " […] "

_TRACEBACK = "Traceback (most recent call last)"
_GROUP = re.compile(r"\s*\+ Exception Group Traceback \(most recent call last\)")
_MEMBER = re.compile(r"\s*\+(-\+)?-{4,}( \d+ -+|-+)?$")
_MARGIN = re.compile(r"\s*\| ?")
_OF_SEVERAL = re.compile(r" \(\d+ sub-exceptions?\)$")
_DIRECT = "The above exception was the direct cause of the following exception:"

_FRAME = re.compile(r'(?P<indent>\s*)File "(?P<path>.*)", line (?P<line>\d+)(?:, in (?P<function>.*))?')
# The start of a traceback's last part: the exception's class, which may be any.
_RAISED = re.compile(r"(?:[A-Za-z_]\w*\.)*(?P<kind>[A-Za-z_]\w*)(?::(?=\s|$)|$)")
# The same in the middle of a text, where any word could match.
_NESTED = re.compile(
    r"(?:[A-Za-z_]\w*\.)*(?P<kind>[A-Z]\w*(?:Error|Exception|Warning|Interrupt|Exit|Iteration))(?::(?=\s|$)|$)"
)
_KIND_AT_END = re.compile(r"(?:[A-Za-z_]\w*\.)*(?P<kind>[A-Za-z_]\w*): *$")
_HEADING = re.compile(
    r"(?:Graph execution error:|in user code:|(?:Exception|Error) (?:encountered|raised) when calling .*\.)$"
)
_NOISE = re.compile(
    r"Detected at node .*|Node: '.*'|<stack traces unavailable>|\[Previous line repeated .*\]|"
    r"\d+ root error\(s\) found\.|\[\[.*\]\].*"
)
# The first of several root errors is preceded by a number and the name of a status.
_ROOT_ERROR = re.compile(r"^\(\d+\) (?:[A-Z_]+: )?\s*")
_ASIDES = (
    (re.compile(r"\{\{function_node [^}]*\}\} *"), ""),
    (re.compile(r"'\{\{node ([^}]+)\}\} = [^']*'"), r"'\1'"),
    (re.compile(r"\s*\[Op:\w+\](?: name:.*)?$"), ""),
)


def of_message(message: str | None) -> str:
    """The line of a message that says why something ended: for a traceback, the exception. Empty without a message."""
    return _of_lines((message or "").splitlines(), _NESTED)


def of_error(error: BaseException) -> str:
    """As `of_message`, for an exception."""
    text = storable("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    return _of_lines(text.splitlines(), _RAISED)


def _of_lines(lines: Sequence[str], first: re.Pattern[str]) -> str:
    told = _cause(lines, first) or next((line.strip() for line in lines if line.strip()), "")
    return _shortened(told)


def _cause(lines: Sequence[str], first: re.Pattern[str]) -> str:
    groups = [index for index, line in enumerate(lines) if _GROUP.match(line)]
    heads = [index for index, line in enumerate(lines) if line.startswith(_TRACEBACK)]
    if groups and groups[-1] > max(heads, default=-1):
        return _of_group(lines[groups[-1] + 1 :])
    if not heads:
        return _told(lines, first)
    told = _of_traceback(lines[heads[-1] + 1 :])
    origin = _origin(lines, heads)
    if origin and origin.partition(": ")[2] not in told:
        told = f"{_shortened(told, MAX_CHARACTERS // 2)} (caused by {_shortened(origin, MAX_CHARACTERS // 3)})"
    return told


def _of_traceback(lines: Sequence[str]) -> str:
    """The cause in the lines after a traceback's first one."""
    raised = next((index for index, line in enumerate(lines) if line.strip() and not line[0].isspace()), None)
    if raised is None:
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    told = _told(lines[raised:], _RAISED)
    return told + _place(lines[:raised], bare=":" not in told)


def _origin(lines: Sequence[str], heads: Sequence[int]) -> str:
    """The first exception in the chain of explicit causes (`raise … from`); empty if there is none."""
    first = len(heads) - 1
    while first > 0 and _before(lines, heads[first]) == _DIRECT:
        first -= 1
    if first == len(heads) - 1:
        return ""
    return _of_traceback([line for line in lines[heads[first] + 1 : heads[first + 1]] if line != _DIRECT])


def _before(lines: Sequence[str], index: int) -> str:
    return next((line.strip() for line in reversed(lines[:index]) if line.strip()), "")


def _of_group(lines: Sequence[str]) -> str:
    """The cause of an exception group: the group itself, and its first member that is not a group."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if _MEMBER.match(line):
            parts.append([])
        elif _TRACEBACK in line:
            parts[-1].clear()
        else:
            parts[-1].append(_MARGIN.sub("", line, count=1))
    own, *members = map(_of_traceback, parts)
    first = next((member for member in members if member and not _OF_SEVERAL.search(member)), "")
    return ": ".join(filter(None, (own, first)))


def _told(lines: Sequence[str], first: re.Pattern[str]) -> str:
    """The exception or message itself, without headings, stacks and machine-readable details.

    Args:
      lines: the text.
      first: matches an exception's class at the beginning of the text.
    """
    kind, before, pattern = "", "", first
    rest = list(_without_stacks(lines))
    for index, line in enumerate(rest):
        text = _ROOT_ERROR.sub("", line.strip(), count=1)
        found = pattern.match(text)
        if found:
            kind, text = found["kind"], text[found.end() :].strip()
        pattern = _NESTED
        heading = _HEADING.search(text)
        if heading:
            before += text[: heading.start()]
            class_before = _KIND_AT_END.search(before)
            if class_before:
                kind, before = class_before["kind"], before[: class_before.start()]
        elif text:
            return _with_kind(before, kind, _joined(text, rest[index + 1 :]))
    return _with_kind(before, kind, "")


def _with_kind(before: str, kind: str, text: str) -> str:
    return f"{before}{kind}{': ' if kind and text else ''}{text}".strip()


def _without_stacks(lines: Sequence[str]) -> Iterator[str]:
    """The lines that are neither empty nor part of a stack, whose frames may be followed by their code."""
    deeper: int | None = None
    for line in lines:
        text = line.strip()
        frame = _FRAME.match(line)
        if frame:
            deeper = len(frame["indent"])
        elif text and not (deeper is not None and _indent(line) > deeper):
            deeper = None
            for pattern, put in _ASIDES:
                line = pattern.sub(put, line)
            if line.strip() and not _NOISE.fullmatch(line.strip()):
                yield line


def _joined(text: str, rest: Sequence[str]) -> str:
    """The line, with the lines that follow it if it ends in a colon."""
    if not text.endswith(":") or not rest:
        return text
    end = next((index for index, line in enumerate(rest) if not line[0].isspace()), len(rest))
    return f"{text} {', '.join(line.strip() for line in rest[: max(1, end)])}"


def _place(stack: Sequence[str], *, bare: bool) -> str:
    """Where it happened, for an exception without a text, or whose text is about a place in a file."""
    index = next((index for index in reversed(range(len(stack))) if _FRAME.match(stack[index])), None)
    frame = None if index is None else _FRAME.match(stack[index])
    if index is None or frame is None:
        return ""
    where = f"{PurePath(frame['path']).name}, line {frame['line']}"
    if frame["function"] is None:
        return f" ({where})"
    code = stack[index + 1].strip() if index + 1 < len(stack) else ""
    return f" at {where}{': ' if code else ''}{code}" if bare else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _shortened(text: str, characters: int = MAX_CHARACTERS) -> str:
    if len(text) <= characters:
        return text
    half = (characters - len(_LEFT_OUT)) // 2
    return f"{text[:half].rstrip()}{_LEFT_OUT}{text[-half:].lstrip()}"
