"""`podium reviews`: list, show, decide."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.table import Table
from rich.text import Text

from podium.app.wanted import wanted
from podium.cli.exits import Exit
from podium.cli.options import (
    DEFAULT_DATABASE,
    AsJson,
    Database,
    Models,
    Tenant,
    database_hint,
    help_without_command,
    program,
)
from podium.cli.output import console, harmless, plain, print_json, shown_due
from podium.cli.waiting import wait_for
from podium.domain.errors import InvalidInput
from podium.domain.reviews import DecisionVerdict, Review, ReviewKind
from podium.domain.runs import DEFAULT_TENANT
from podium.domain.states import ReviewState

if TYPE_CHECKING:
    from podium.app.going_on import Continuation

_RECORDED = (
    "interrupted. A decision that was recorded stands; its run goes on when its workflow is started again."
)

app = typer.Typer(
    help="Look at what waits for a person, and decide it.",
    epilog="Example: podium reviews list --queue support",
    callback=help_without_command,
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.command(
    name="list",
    epilog="Examples: podium reviews list · podium reviews list --queue support · podium reviews list --all --json",
)
def list_reviews(
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    queue: Annotated[str | None, typer.Option(help="Only this queue.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Decided and closed ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at the most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List open reviews, most urgent first."""
    from podium.app.database import open_database

    async def read() -> list[Review]:
        async with open_database(database, tenant) as opened:
            if everything:
                return list(await opened.reviews.list(states=None, queue=queue, limit=limit))
            return list(await opened.reviews.list(queue=queue, limit=limit))

    found = wait_for(read)
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("No reviews." if everything else "No open reviews.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("review", "queue", "kind", "run", "state", "due", "proposal / question"):
        table.add_column(heading)
    for review in found:
        draft = review.draft
        shown = _value_text(draft.proposal) if draft.proposal is not None else draft.subject
        table.add_row(
            review.id,
            Text(plain(draft.queue, 20)),
            Text(draft.kind, style="red" if draft.kind is ReviewKind.ESCALATION else ""),
            Text(plain(review.run, 30)),
            review.state,
            shown_due(review.due_at) if review.state is not ReviewState.DECIDED else "-",
            Text(plain(shown, 60)),
        )
    console().print(table)
    first = found[0].id
    hint = f"{program()} reviews show {first}{database_hint(database, tenant)}"
    console().print(Text(f"\nLook at one: {hint}", style="dim"))


@app.command(epilog="Example: podium reviews show 3fa1c09e")
def show(
    review_id: Annotated[str, typer.Argument(metavar="REVIEW", help="The review's id, or how it begins.")],
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Show one review: what is asked, what is proposed, and what helps to decide."""
    from podium.app.database import open_database

    async def read() -> Review:
        async with open_database(database, tenant) as opened:
            return await opened.reviews.get(review_id)

    review = wait_for(read)
    if as_json:
        print_json(review)
        return
    _print_review(review)
    if review.decision is None and review.state is ReviewState.OPEN:
        command = f"{program()} reviews decide {review.id}{database_hint(database, tenant)}"
        console().print(Text("\nDecide it:", style="dim"))
        for verdict in review.draft.allowed:
            extra = {DecisionVerdict.EDIT: " --value '...'", DecisionVerdict.REJECT: " --comment '...'"}
            console().print(Text(f"  {command} {verdict}{extra.get(verdict, '')}", style="dim"))


@app.command(
    epilog="Examples: podium reviews decide 3fa1 approve · podium reviews decide 3fa1 edit --value 'Dear ...' · "
    "podium reviews decide 3fa1 reject --comment 'not our product'"
)
def decide(
    review_id: Annotated[str, typer.Argument(metavar="REVIEW", help="The review's id, or how it begins.")],
    verdict: Annotated[DecisionVerdict, typer.Argument(help="What you decide.")],
    database: Database = DEFAULT_DATABASE,
    tenant: Tenant = DEFAULT_TENANT,
    value: Annotated[
        str | None,
        typer.Option(
            help="With edit: the new value, as JSON or, for text, bare; @FILE reads it from a file."
        ),
    ] = None,
    comment: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "",
    reviewer: Annotated[
        str | None, typer.Option("--as", help="Who decides; your user name if not given.")
    ] = None,
    wait: Annotated[
        bool, typer.Option(help="Finish the run here when no process works on the database.")
    ] = True,
    model: Models = None,
    as_json: AsJson = False,
) -> None:
    """Decide a review, once; the run goes on at once, in the process that works on the database or else in this one.

    The first decision stands. A later one changes nothing and says who decided; its exit code is 2 when it
    decides otherwise.
    """
    from podium.app.database import open_database
    from podium.app.going_on import go_on
    from podium.app.reviews import decided_value

    given, name = _given(value), reviewer or _user()

    async def settle() -> tuple[Review, bool, Continuation | None]:
        async with open_database(database, tenant) as opened:
            review, is_new = await opened.reviews.decide(
                review_id, verdict, reviewer=name, value=given, comment=comment
            )
        going_on = await go_on(database, review.run, model, os.environ, tenant) if wait else None
        return review, is_new, going_on

    review, is_new, going_on = wait_for(settle, _RECORDED)
    if as_json:
        print_json({"review": review, "recorded": is_new, "run": going_on})
    else:
        _print_decision(review, going_on, is_new=is_new)
    made = review.decision
    if not is_new and made is not None:
        agrees = made.verdict is verdict and made.value == decided_value(review, verdict, given)
        raise typer.Exit(Exit.OK if agrees else Exit.INVALID)


def _print_decision(review: Review, going_on: Continuation | None, *, is_new: bool) -> None:
    out, made = console(), review.decision
    told = f"{made.reviewer} decided {made.verdict}" if made is not None else "it was decided"
    if is_new:
        out.print(Text(f"Decided: {review.id} {made and made.verdict} as {plain(made and made.reviewer)}."))
    else:
        out.print(Text(f"Nothing changed: {plain(told)} before."))
    if going_on is not None:
        out.print(Text(plain(going_on.message)))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container, a user may have no name.
        raise InvalidInput("this user has no name; say who decides with --as NAME.") from None


def _given(value: str | None) -> bytes | None:
    if value is None or not value.startswith("@"):
        return None if value is None else value.encode("utf-8", "surrogateescape")
    path = Path(value[1:])
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error


def _print_review(review: Review) -> None:
    out, draft = console(), review.draft
    out.print(
        Text(f"review {review.id} · {draft.kind} · queue {plain(draft.queue)} · {review.state}", style="bold")
    )
    out.print(Text(f"run {plain(review.run)} · due {shown_due(review.due_at)} · priority {draft.priority}"))
    out.print(Text(f"\n{plain(draft.subject)}"))
    if draft.kind is ReviewKind.ESCALATION:
        out.print(Text("Do not trust the proposal as it stands: the model was not sure of it.", style="red"))
    evidence = orjson.loads(draft.evidence)
    for name, item in evidence.items():
        if item not in (None, [], ""):
            out.print(Text(f"{plain(name)}: {harmless(_evidence_text(item))}"))
    out.print(Text(f"Wanted: {plain(wanted(draft.schema), 200)}"))
    if draft.proposal is not None:
        out.print(Text("\nProposal:", style="bold"))
        out.print(Text(harmless(_value_text(draft.proposal))))
    if review.decision is not None:
        made = review.decision
        out.print(
            Text(f"\n{plain(made.reviewer)} decided {made.verdict}. {plain(made.comment)}", style="bold")
        )
        if made.value is not None and made.value != draft.proposal:
            out.print(Text(harmless(_value_text(made.value))))


def _evidence_text(item: object) -> str:
    match item:
        case str():
            return item
        case float():
            return f"{item:.2f}"
        case list() if all(isinstance(each, str) for each in item):
            return "; ".join(item)
        case _:
            return orjson.dumps(item).decode()


def _value_text(data: bytes) -> str:
    value = orjson.loads(data)
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
