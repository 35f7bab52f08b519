"""A run's timeline as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from podium.app.timeline import Timeline, TimelineAttempt, TimelineMark, TimelineOperation
from podium.cli.output import harmless, plain, shown_seconds, shown_time
from podium.domain.answers import SIMILAR, CallAttempt
from podium.domain.errors import ErrorRecord, StepStalled
from podium.domain.journal import EntryType
from podium.domain.money import Money, shown_cost
from podium.domain.runs import Run

_ERROR = 300
_MANY = 20
_OF_BATCHES = frozenset({"submitted", "found", "cancelled"})
_STYLES = {"done": "green", "error": "red", "open": "yellow"}


def print_timeline(out: Console, timeline: Timeline, *, full: bool) -> None:
    """Print a timeline; `full` adds rendered prompts, raw responses and values."""
    run = timeline.run
    usage = run.spending.usage
    head = f"run {plain(run.id)} · workflow {plain(run.workflow)} · {run.state}"
    out.print(Text(head, style="bold"))
    out.print(
        Text(
            f"started {shown_time(run.started_at)} UTC · active {shown_seconds(run.spending.active_seconds)} · "
            f"{usage.input_tokens}+{usage.output_tokens} tokens · {run.spending.cost}"
        )
    )
    if timeline.attributes:
        named = (f"{name}={_compact(value)}" for name, value in timeline.attributes.items())
        out.print(Text(plain(" · ".join(named))))
    if run.error is not None:
        where = f" ({plain(run.error.where)})" if run.error.where else ""
        out.print(Text(f"{plain(run.error.type)}{where}: {plain(run.error.message)}", style="red"))
    elif run.waiting_on:
        out.print(Text(f"waits for {plain(run.waiting_on)}", style="yellow"))
    for line in _descent(timeline):
        out.print(Text(line, style="dim"))
    out.print()
    table = Table(box=None, pad_edge=False)
    for heading, justify in (
        ("at", "left"), ("operation", "left"), ("result", "left"), ("took", "right"), ("model", "left"),
        ("tokens", "right"), ("cost", "right"), ("conf.", "right"), ("value / error", "left"),
    ):  # fmt: skip
        table.add_column(heading, justify=justify, no_wrap=heading != "value / error")  # type: ignore[arg-type]
    for shown in _in_order(timeline):
        if isinstance(shown, TimelineMark):
            _add_mark(table, shown, timeline.generation)
        else:
            _add(table, shown, full=full)
    out.print(table)
    if full:
        for operation in timeline.operations:
            _print_full(out, operation)
    elif any(operation.attempts for operation in timeline.operations):
        out.print(Text("\n--full shows rendered prompts, raw responses and values.", style="dim"))


def _descent(timeline: Timeline) -> Iterator[str]:
    run = timeline.run
    parts = [
        f"version {plain(run.version)}" if run.version else "",
        f"started by trigger {plain(run.trigger)}" if run.trigger else "",
        f"child of {plain(run.parent.run)} at {plain(run.parent.key)}" if run.parent else "",
        _forked(run),
    ]
    if any(parts):
        yield " · ".join(part for part in parts if part)
    if run.generation:
        earlier = "" if timeline.generation < run.generation else ", --generation N shows an earlier one"
        yield f"generation {timeline.generation} of 0 to {run.generation}{earlier}"


def _forked(run: Run) -> str:
    origin = run.forked_from
    if origin is None:
        return ""
    return f"forked from {plain(origin.run)}" + (f" at {plain(origin.key)}" if origin.key else "")


def _in_order(timeline: Timeline) -> Iterator[TimelineOperation | TimelineMark]:
    """Yield operations and marks as their entries follow in the journal, what is open last."""
    ended: list[TimelineOperation | TimelineMark] = [
        operation for operation in timeline.operations if operation.entry is not None
    ]
    yield from sorted([*ended, *timeline.marks], key=lambda shown: shown.entry or 0)
    yield from (operation for operation in timeline.operations if operation.entry is None)


def _add_mark(table: Table, mark: TimelineMark, generation: int) -> None:
    match mark.type:
        case EntryType.RETRY:
            what, says = "retried", f"{mark.struck} struck" if mark.struck else ""
        case EntryType.PATCH:
            what, says = f"patch {mark.name}", "new code taken"
        case EntryType.CONTINUED:
            what, says = "went on as new", f"generation {generation} begins"
        case _:
            what, says = f"signal {mark.name}", ""
    table.add_row(
        shown_time(mark.at)[11:], Text(plain(what, 40), style="bold"), "", "", "", "", "", "", plain(says)
    )


def _result(operation: TimelineOperation) -> Text:
    if operation.struck:
        return Text(
            "struck" if operation.state == "open" else f"{operation.state}, struck", style="dim strike"
        )
    by_hand = ", settled" if operation.settled else ""
    return Text(operation.state + by_hand, style=_STYLES.get(operation.state, ""))


def _add(table: Table, operation: TimelineOperation, *, full: bool) -> None:
    answer = operation.value if _is_answer(operation) else {}
    spent = [a.call for a in operation.attempts if a.call is not None]
    tokens = (
        f"{sum(c.usage.input_tokens for c in spent)}+{sum(c.usage.output_tokens for c in spent)}"
        if spent
        else ""
    )
    cost = _cost(spent) if spent else ""
    table.add_row(
        shown_time(operation.started_at)[11:],
        Text(plain(_title(operation), 60), style="dim" if operation.struck else ""),
        _result(operation),
        shown_seconds(operation.seconds),
        Text(plain(answer.get("model", ""), 30)),
        tokens,
        cost,
        _confidence(answer.get("confidence")),
        Text(_summary(operation, answer), style="dim" if operation.struck else ""),
    )
    attempts = operation.attempts
    if len(attempts) > 1 or any(map(_is_telling, attempts)):
        shown = attempts if full else _worth_a_line(attempts)
        for attempt in shown:
            _add_attempt(table, attempt)
        if left := len(attempts) - len(shown):
            table.add_row("", f"  {left:,} more attempts", "", "", "", "", "", "", "")


def _worth_a_line(attempts: Sequence[TimelineAttempt]) -> Sequence[TimelineAttempt]:
    """Return what is shown: of a batch, which has as many attempts as requests, those that need a look."""
    if len(attempts) <= _MANY:
        return attempts
    return [attempt for attempt in attempts if _went_wrong(attempt)][:_MANY]


def _title(operation: TimelineOperation) -> str:
    undoes = "undo: " if operation.compensates else ""
    return f"{undoes}{operation.kind} {operation.name}"


def _add_attempt(table: Table, attempt: TimelineAttempt) -> None:
    call, error = attempt.call, attempt.error
    wrong = _went_wrong(attempt)
    message = (call.message if call is not None else "") or (error.message if error is not None else "")
    if error is not None:
        message = f"{error.type}: {message}"
    result = (call.failure or call.outcome) if call is not None else _failed(error)
    table.add_row(
        shown_time(attempt.at)[11:],
        f"  attempt {attempt.number}",
        Text(plain(result), style="red" if wrong else "green"),
        shown_seconds(attempt.seconds),
        Text(plain(call.model, 30)) if call is not None else "",
        f"{call.usage.input_tokens}+{call.usage.output_tokens}" if call is not None else "",
        _cost([call]) if call is not None else "",
        _confidence(call.confidence if call is not None else None),
        Text(plain(message, _ERROR)),
    )


def _print_full(out: Console, operation: TimelineOperation) -> None:
    for attempt in operation.attempts:
        call = attempt.call
        if call is not None:
            out.print(
                Text(
                    f"\n{plain(operation.key)} attempt {attempt.number}: prompt to {plain(call.model)}",
                    "bold",
                )
            )
            out.print(Text(harmless(call.prompt)))
            out.print(Text(f"\n{plain(operation.key)} attempt {attempt.number}: raw response", "bold"))
            out.print(Text(harmless(call.raw)))
    if operation.value is not None:
        out.print(Text(f"\n{plain(operation.key)}: value", "bold"))
        out.print(Text(harmless(_pretty(operation.value))))


def _summary(operation: TimelineOperation, answer: dict[str, Any]) -> str:
    if operation.child is not None:
        return plain(f"run {operation.child}: {_outcome(operation, answer)}".removesuffix(": "), _ERROR)
    if operation.review is not None:
        return plain(f"review {operation.review}")
    return _outcome(operation, answer)


def _outcome(operation: TimelineOperation, answer: dict[str, Any]) -> str:
    if operation.error is not None:
        return plain(f"{operation.error.type}: {operation.error.message}", _ERROR)
    if operation.state != "done":
        return ""
    value = answer.get("value") if answer else operation.value
    quality = answer.get("quality", {}).get("verdict", "clean") if answer else "clean"
    mark = "" if quality == "clean" else f"[{quality}] "
    return mark + plain(value if isinstance(value, str) else _compact(value), 80)


def _is_answer(operation: TimelineOperation) -> bool:
    return operation.kind == "model" and isinstance(operation.value, dict) and "value" in operation.value


def _failed(error: ErrorRecord | None) -> str:
    return "stalled" if error is not None and error.type == StepStalled.__name__ else "failed"


def _is_telling(attempt: TimelineAttempt) -> bool:
    # That the answer was given to another question, or comes from a batch, must be seen.
    told = attempt.call is not None and attempt.call.outcome in (SIMILAR, *_OF_BATCHES)
    return _went_wrong(attempt) or told


def _went_wrong(attempt: TimelineAttempt) -> bool:
    return attempt.error is not None or (attempt.call is not None and attempt.call.failure is not None)


def _cost(calls: Sequence[CallAttempt]) -> str:
    total = sum((call.cost for call in calls), Money())
    return shown_cost(total, priced=all(call.priced for call in calls))


def _confidence(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _compact(value: Any) -> str:
    return orjson.dumps(value).decode()


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
