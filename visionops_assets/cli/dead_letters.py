"""`visionops dead-letters ls | show | replay`: messages of the queue that could not be handled.

A letter is named by where its message lay, `<topic>-<partition>-<offset>`. Letters are never taken
away: to replay one is to publish its message again, and whoever takes an event that was taken
before drops it by its id.
"""

import json
from typing import Annotated

import typer
from pydantic import ValidationError

from visionops_assets.cli.screen import (
    AsJson,
    console,
    print_fact,
    print_fields,
    print_json,
    print_rows,
    printable,
)
from visionops_assets.contracts import DeadLetter, MediaEvent
from visionops_assets.errors import InvalidRequestError, NotFoundError, ServerUnreachableError
from visionops_assets.settings import load_settings
from visionops_assets.stack.probes import accepts_connections

_COLUMNS = {name: name for name in ("letter", "code", "detail", "failed_at", "handled")}

app = typer.Typer(
    help="Dead letters: messages of the queue that could not be handled.", no_args_is_help=True
)


@app.command("ls")
def list_letters(
    as_json: AsJson = False,
) -> None:
    """List the dead letters, oldest first, and say which were handled since."""
    letters = _read_letters()
    handled = _handled(letters)
    rows = [
        {
            "letter": place,
            "code": letter.code,
            "detail": letter.detail,
            "failed_at": letter.failed_at,
            "handled": place in handled,
        }
        for place, letter in letters.items()
    ]
    print_rows(rows, _COLUMNS, as_json, "There are no dead letters.")


@app.command()
def show(
    letter: Annotated[str, typer.Argument(help="Its name. See `visionops dead-letters ls`.")],
    as_json: AsJson = False,
) -> None:
    """Show a dead letter and its message."""
    found = _pick(_read_letters(), [letter])[letter]
    message = _readable(found.value)
    fields = {name: getattr(found, name) for name in ("code", "detail", "failed_at")}
    if as_json:
        print_json({"letter": letter} | fields | {"message": message})
        return
    print_fields(fields, as_json)
    for line in message.splitlines():
        console.print(printable(line), soft_wrap=True)


@app.command()
def replay(
    letters: Annotated[
        list[str] | None, typer.Argument(help="Their names. See `visionops dead-letters ls`.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All that were not handled since; equal ones once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish messages again. A message that fails again becomes a new dead letter."""
    from visionops_assets.resources.broker import Broker, OutgoingEvent

    if bool(letters) == every:
        raise InvalidRequestError("Name dead letters, or say --all.")
    known = _read_letters()
    if every:
        handled = _handled(known)
        waiting = [letter for place, letter in known.items() if place not in handled]
        chosen = list({(letter.topic, letter.value): letter for letter in waiting}.values())
    else:
        chosen = list(_pick(known, letters or []).values())
    with Broker().producer() as producer:
        producer.publish_all(
            [OutgoingEvent(each.topic, each.place, each.value, each.place) for each in chosen]
        )
    said = f"Published {len(chosen)} message(s) again."
    print_fact({"letters": [each.place for each in chosen]}, as_json, said)


def _read_letters() -> dict[str, DeadLetter]:
    """Read the topic. The relay may have published a letter twice: it is the same one."""
    from visionops_assets.resources.broker import Broker

    address = load_settings().kafka_bootstrap_servers
    # Its client would try for 30 s.
    if not any(accepts_connections(each)(0.0) for each in address.split(",")):
        raise ServerUnreachableError(f"The queue at {address} does not answer.")
    letters: dict[str, DeadLetter] = {}
    with Broker().reader() as reader:
        for message in reader.read_all(load_settings().kafka_dead_letter_topic):
            try:
                letter = DeadLetter.model_validate_json(message.value)
            except ValidationError:
                typer.echo(f"visionops: offset {message.offset} holds no dead letter", err=True)
                continue
            letters.setdefault(letter.place, letter)
    return letters


def _handled(letters: dict[str, DeadLetter]) -> set[str]:
    """Name the letters whose event a batch has taken since."""
    from visionops_assets.catalog.batches import consumed
    from visionops_assets.catalog.connection import Catalog

    event_ids = {}
    for place, letter in letters.items():
        try:
            event_ids[place] = MediaEvent.model_validate_json(letter.value).event_id
        except ValidationError:
            continue
    with Catalog().begin() as session:
        taken = consumed(session, set(event_ids.values()))
    return {place for place, event_id in event_ids.items() if event_id in taken}


def _pick(letters: dict[str, DeadLetter], names: list[str]) -> dict[str, DeadLetter]:
    unknown = [name for name in names if name not in letters]
    if unknown:
        raise NotFoundError(
            f"There is no dead letter {unknown[0]}. See `visionops dead-letters ls`."
        )
    return {name: letters[name] for name in names}


def _readable(value: bytes) -> str:
    """Lay out a message: JSON by lines, anything else as text with its odd bytes escaped."""
    try:
        return json.dumps(json.loads(value), indent=2)
    except (ValueError, RecursionError):
        return value.decode("utf-8", "backslashreplace")
