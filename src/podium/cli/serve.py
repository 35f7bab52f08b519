"""`podium serve`: the gateway as a server that OpenAI's clients can talk to."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from podium.cli.exits import Exit, Interrupted, complain
from podium.cli.options import DEFAULT_DATABASE, AsJson, Database, Models, database_hint, program
from podium.cli.output import console, plain, print_json
from podium.cli.waiting import wait_for
from podium.domain.errors import InvalidInput

if TYPE_CHECKING:
    from podium.app.podium import Podium
    from podium.app.workflow_file import WorkflowFile
    from podium.server.run import Server
    from podium.settings import Settings

HELP = (
    "Serve the gateway over HTTP as OpenAI's API: /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/models and "
    "/health. With FILE.py it works on that file's workflows and fires its triggers too, as `podium worker` does, and "
    "that file's budgets and `settings = Settings(...)` hold for clients: prices, limits, credentials, timeouts, aliases. "
    "A file of settings alone will do; options stand over it. "
    "Ctrl-C or SIGTERM stops it after what is at work has ended, with exit code 0."
)
EXAMPLES = (
    "Examples: podium serve · podium serve --alias fast=openai:gpt-5-mini,anthropic:claude-haiku-4-5 · "
    "podium serve --host 0.0.0.0 --workers 2 (needs a key: podium keys create NAME) · podium serve desk.py --json · podium serve settings.py --workers 2 · "
    "podium serve --keep-requests 90d"
)
_LOOK = 1.0


def serve(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE.py]", help="Serve by this file's settings and budgets; work on its workflows too."
        ),
    ] = None,
    database: Database = DEFAULT_DATABASE,
    host: Annotated[
        str, typer.Option(help="Listen on this address. Others than this machine's need keys.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Listen on this port; 0 takes a free one.")
    ] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that serve.")] = 1,
    alias: Annotated[
        list[str] | None,
        typer.Option("--alias", help="NAME=provider:model[,provider:model]; may be repeated."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="NAME", help="A name of this server, as behind a proxy; may be repeated."
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="URL",
            help="Pages that may call it from a browser: https://chat.example; may be repeated.",
        ),
    ] = None,
    model: Models = None,
    keep_requests: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help="Delete rows of the log of requests at this age: `90d`.",
            show_default="never, or what FILE's settings say",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the gateway until stopped."""
    try:
        from podium.server.run import Server, listen, run
    except ImportError as error:
        raise InvalidInput(
            f"serving needs libraries that are not installed ({error.name}): pip install 'podium[server]'"
        ) from None
    from podium.app.models import check_models
    from podium.app.settings import retention_settings, server_settings, settings_for_clients, with_models
    from podium.app.workflow_file import ServedFile, load_served

    served = ServedFile() if file is None else load_served(file)
    loaded = served.to_do
    if loaded is not None and workers > 1:
        raise InvalidInput(
            "the workflows of FILE.py are worked on by one process: leave --workers out, or run "
            "`podium worker FILE.py` beside `podium serve --workers N`."
        )
    if loaded is None and model:
        raise InvalidInput(
            "--model is for the prompts of FILE.py: name one, or use --alias for clients' models."
        )
    clients = settings_for_clients(served)
    options = server_settings(
        clients.server, _aliases(alias or ()), hosts=allow_host or (), origins=allow_origin or ()
    )
    retention = retention_settings(served.settings.retention, keep_requests)
    settings = with_models(replace(served.settings, retention=retention), model)
    if loaded is not None:
        check_models(loaded.prompts, settings, os.environ)
    bound = listen(host, port)
    with bound:
        host, port = bound.getsockname()[:2]
        server = Server(
            database,
            options,
            dict(os.environ),
            host,
            port,
            workers,
            as_json,
            clients.gateway,
            retention,
            clients.prices,
            clients.cassettes,
            clients.storage,
        )
        try:
            wait_for(lambda: _check(server))
            if loaded is None:
                _say(server, None, 0, as_json=as_json)
                run(server, bound)
            else:
                wait_for(lambda: _beside(server, loaded, settings, bound, as_json=as_json))
        except Interrupted:
            # To be stopped is how a server ends.
            raise typer.Exit(Exit.OK) from None
    raise typer.Exit(Exit.OK)


def _aliases(given: list[str] | tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    aliases = {}
    for text in given:
        name, equals, models = text.partition("=")
        listed = tuple(model.strip() for model in models.split(",") if model.strip())
        if not equals or not listed:
            raise InvalidInput(f"{text!r} is no alias: write NAME=provider:model[,provider:model]")
        aliases[name.strip()] = listed
    return aliases


async def _check(server: Server) -> None:
    """Open what the server will open, so that what is wrong is told here, in one line."""
    async with server.opening() as serving:
        if server.public and not serving.keyring.any_made:
            raise InvalidInput(
                f"{server.host} can be reached by others, and no key has been made: make one with "
                f"`{program()} keys create NAME{database_hint(server.database)}`, or serve on 127.0.0.1."
            )
        if serving.is_open:
            complain(
                "no key has been made, so every program on this machine may use this server and the models behind it. "
                f"`{program()} keys create NAME{database_hint(server.database)}` closes it."
            )


def _say(server: Server, loaded: WorkflowFile | None, taken_up: int, *, as_json: bool) -> None:
    shown = f"[{server.host}]" if ":" in server.host else server.host
    url = f"http://{shown}:{server.port}/v1"
    if as_json:
        print_json(
            {
                "url": url,
                "database": str(server.database),
                "workers": server.workers,
                "aliases": sorted(server.options.aliases),
                "workflows": [] if loaded is None else [workflow.name for workflow in loaded.workflows],
                "triggers": [] if loaded is None else sorted(trigger.name for trigger in loaded.triggers),
                "taken_up": taken_up,
            }
        )
        return
    beside = ""
    if loaded is not None:
        runs = f", {taken_up} unfinished runs" if taken_up else ""
        beside = f" Working on {len(loaded.workflows)} workflows, {len(loaded.triggers)} triggers{runs}."
    console().print(
        Text(f"Serving OpenAI's API at {url}, database {plain(server.database)}.{beside} Ctrl-C stops it.")
    )


async def _beside(
    server: Server, loaded: WorkflowFile, settings: Settings, bound: socket.socket, *, as_json: bool
) -> None:
    from podium.app.podium import Podium
    from podium.server.run import serve_within

    async with Podium(
        server.database,
        workflows=loaded.workflows,
        triggers=loaded.triggers,
        queues=loaded.queues,
        budgets=loaded.budgets,
        settings=settings,
        source=loaded.source,
    ) as app:
        # Only who owns the database may say that it works on it.
        _say(server, loaded, app.taken_up, as_json=as_json)
        await serve_within(server, bound, _work(app))


async def _work(app: Podium) -> None:
    while True:
        # Raises what makes the database unusable.
        await app.idle()
        await asyncio.sleep(_LOOK)
