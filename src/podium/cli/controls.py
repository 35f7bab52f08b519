"""`podium runs settle|send-event|fork|stream`: telling a run something, and listening to it.

All of it works beside a process that owns the database: what is told is put into the run's inbox.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.text import Text

from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, Tenant, database_hint, program
from podium.cli.output import console, plain, print_json
from podium.cli.waiting import wait_for
from podium.domain.errors import InvalidInput
from podium.domain.runs import DEFAULT_TENANT
from podium.domain.settlements import Settlement, SettlementKind
from podium.domain.states import RunState

if TYPE_CHECKING:
    from podium.app.runs import Runs
    from podium.domain.chunks import Chunk
    from podium.domain.runs import Run

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]

_LATER = "as soon as a process works on this database"
_CHUNK = 2000
_POLL = 0.2


def register(app: typer.Typer) -> None:
    """Add the commands to `podium runs`."""
    app.command(
        epilog="Examples: podium runs settle ticket-007 --done '{\"receipt\": 17}' · podium runs settle ticket-007 "
        "--failed 'the mail bounced' · podium runs settle ticket-007 --key '0:send#1' --again"
    )(settle)
    app.command(
        name="send-event",
        epilog="Examples: podium runs send-event order-7 paid '{\"amount\": 30}' --dedupe payment-81 · "
        "podium runs send-event order-7 paid @payment.json",
    )(send_event)
    app.command(
        epilog="Examples: podium runs fork ticket-007 --at '0:answer#1' · podium runs fork ticket-007 --replace "
        "'0:classify#1=\"refund\"' --run-id ticket-007-again · podium runs fork ticket-007 --at '0:answer#1' "
        "--file desk.py",
    )(fork)
    app.command(
        epilog="Examples: podium runs stream ticket-007 --follow · podium runs stream ticket-007 --after 120 --json"
    )(stream)


def settle(
    run_id: RunArgument,
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    key: Annotated[
        str | None, typer.Option(help="The step's journal key, when there is more than one such step.")
    ] = None,
    done: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="It took effect, with this result; @FILE reads it from a file."),
    ] = None,
    failed: Annotated[
        str | None, typer.Option(metavar="REASON", help="It failed for good, for this reason.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="It had not begun; do it now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what became of an at-most-once step whose outcome is unknown, so that its run goes on."""
    settlement = _settlement(done, failed, again=again)
    _tell(
        database,
        tenant,
        lambda runs: runs.settle(run_id, settlement, key),
        "settle",
        f"goes on: the step counts as {_COUNTS_AS[settlement.kind]}",
        "will go on",
        as_json=as_json,
    )


_COUNTS_AS = {
    SettlementKind.DONE: "done",
    SettlementKind.FAILED: "failed",
    SettlementKind.AGAIN: "not begun, and is done now",
}


def _settlement(done: str | None, failed: str | None, *, again: bool) -> Settlement:
    from podium.app.given import given_bytes, given_json

    if (done is not None) + (failed is not None) + again != 1:
        raise InvalidInput("say one of --done RESULT, --failed REASON and --again.")
    if done is not None:
        given_json(done, "the result")
        # As it was given: numbers of any size stay what they are.
        return Settlement(SettlementKind.DONE, given_bytes(done).decode())
    if failed is not None:
        if not failed.strip():
            raise InvalidInput("--failed needs a reason; the run's code and its timeline show it.")
        return Settlement(SettlementKind.FAILED, failed)
    return Settlement(SettlementKind.AGAIN, "a person found that it had not begun")


def send_event(
    run_id: RunArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The event's name.")],
    payload: Annotated[
        str, typer.Argument(metavar="[JSON|@FILE]", help="What it says, as JSON; @FILE reads it from a file.")
    ] = "null",
    dedupe: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="A key by which the same event sent again is known and dropped."),
    ] = None,
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Send an event to a run, which keeps it until its code waits for one of that name."""
    from podium.app.database import open_database
    from podium.app.given import given_json

    content = given_json(payload, "the payload")

    async def send() -> tuple[bool, Run, bool]:
        async with open_database(database, tenant) as opened:
            is_new = await opened.runs.send_event(run_id, name, content, dedupe=dedupe)
            return is_new, await opened.runs.get(run_id), opened.is_owned()

    is_new, run, is_owned = wait_for(send)
    if as_json:
        print_json({"run": run.id, "state": run.state, "event": name, "new": is_new})
        return
    event, target = plain(name), plain(run.id)
    if not is_new:
        _say(f"Run {target} has had event {event} with this key already; it was not sent again.")
    elif run.state in (RunState.PAUSED, RunState.BLOCKED):
        _say(f"Event {event} is kept for run {target}, which is {run.state}.")
    elif is_owned:
        _say(f"Event {event} is with run {target}, whose code takes it when it waits for it.")
    else:
        _say(f"Event {event} is kept for run {target}, which takes it {_LATER}.")


def fork(
    run_id: RunArgument,
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    at: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The journal key from which everything is done anew."),
    ] = None,
    replace: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=JSON",
            help="Another value for a recorded operation; may be repeated. Without --at, what follows it is done anew.",
        ),
    ] = None,
    new_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="The new run's id; otherwise one is made.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(metavar="FILE.py", help="The code; otherwise the file that the run was started from."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start a run that shares the beginning of another and goes its own way from there."""
    from podium.app.beside import fork_beside
    from podium.app.database import open_database

    replacing = dict(_replacement(each) for each in replace or ())

    async def make() -> tuple[Run, bool]:
        async with open_database(database, tenant) as opened:
            made = await fork_beside(opened, run_id, at=at, replacing=replacing, new_id=new_id, file=file)
            return made, opened.is_owned()

    run, is_owned = wait_for(make)
    if as_json:
        print_json({"run": run.id, "state": run.state, "forked_from": run.forked_from})
        return
    goes_on = "It goes on from there." if is_owned else f"It goes on from there {_LATER}."
    _say(f"Run {plain(run.id)} is forked from {plain(run_id)}. {goes_on}")
    console().print(
        Text(f"See {program()} runs show {plain(run.id)}{database_hint(database, tenant)}", style="dim")
    )


def _replacement(given: str) -> tuple[str, Any]:
    from podium.app.given import given_json

    key, sign, value = given.partition("=")
    if not sign or not key:
        raise InvalidInput(f"--replace {given!a} must be KEY=JSON, such as '0:classify#1=\"refund\"'.")
    return key, given_json(value, f"the value for {key!a}")


def stream(
    run_id: RunArgument,
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    after: Annotated[int, typer.Option(min=0, metavar="N", help="Only what came after this position.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until the run has ended, printing what comes as it comes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print what a run publishes: position, journal key, value."""
    wait_for(lambda: _stream(database, tenant, run_id, after, follow=follow, as_json=as_json))


async def _stream(
    database: Path, tenant: str, run_id: str, after: int, *, follow: bool, as_json: bool
) -> None:
    import asyncio

    from podium.app.database import open_database
    from podium.app.streams import chunks_of, chunks_so_far

    async with open_database(database, tenant) as opened:
        run = await opened.runs.get(run_id)
        chunks = (
            chunks_of(
                opened.storage, opened.runs, run.id, after=after, poll_interval=_POLL, news=asyncio.Event
            )
            if follow
            else chunks_so_far(opened.storage, opened.runs, run.id, after=after)
        )
        async for chunk in chunks:
            if as_json:
                print_json(chunk)
            else:
                _print_chunk(chunk)


def _print_chunk(chunk: Chunk) -> None:
    place = f"{chunk.position:>6}  {plain(chunk.key)}  "
    if chunk.superseded:
        console().print(
            Text(f"{place}(begins again: its chunks before this one no longer count)", style="dim")
        )
        return
    value = chunk.value
    shown = value if isinstance(value, str) else orjson.dumps(value).decode()
    console().print(Text(place + plain(shown, _CHUNK)))


def _tell(
    database: Path,
    tenant: str,
    ask: Callable[[Runs], Awaitable[Run]],
    wish: str,
    now: str,
    later: str,
    *,
    as_json: bool,
) -> None:
    from podium.app.database import open_database

    async def tell() -> tuple[Run, bool]:
        async with open_database(database, tenant) as opened:
            return await ask(opened.runs), opened.is_owned()

    run, is_owned = wait_for(tell)
    if as_json:
        print_json({"run": run.id, "state": run.state, wish: "requested"})
    else:
        _say(f"Run {plain(run.id)} {now if is_owned else f'{later} {_LATER}'}.")


def _say(text: str) -> None:
    console().print(Text(text))
