"""`visionops dead-letters ls | show | replay`: messages of the queue that could not be handled.

A letter is named by the place of its message, `<topic>-<partition>-<offset>`. Letters are never
removed. A replay publishes the message again; an event that a batch has taken before is dropped by
its id.
"""

import json
from typing import Annotated
from uuid import UUID

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
from visionops_assets.contracts import DeadLetter, MediaEvent, Prediction
from visionops_assets.errors import InvalidRequestError, NotFoundError, ServerUnreachableError
from visionops_assets.settings import load_settings

_COLUMNS = {name: name for name in ("letter", "code", "detail", "failed_at", "handled")}

app = typer.Typer(
    help="Dead letters: messages of the queue that could not be handled.", no_args_is_help=True
)


@app.command("ls")
def list_letters(
    as_json: AsJson = False,
) -> None:
    """List the dead letters, oldest first, and say which have been handled since."""
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
        bool, typer.Option("--all", help="All that have not been handled since; equal ones once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish messages again. A message that fails again becomes a new dead letter.

    Those that are not kept whole cannot be: --all leaves them out.
    """
    from visionops_assets.catalog.logs import topic_of
    from visionops_assets.resources.broker import Broker, OutgoingEvent

    if bool(letters) == every:
        raise InvalidRequestError("Name dead letters, or give --all.")
    known = _read_letters()
    if every:
        handled = _handled(known)
        waiting = [
            letter
            for place, letter in known.items()
            if place not in handled and not _incomplete(letter)
        ]
        chosen = list({(letter.topic, letter.value): letter for letter in waiting}.values())
    else:
        chosen = list(_pick(known, letters or []).values())
        _require_complete(chosen)
    with Broker().producer() as producer:
        producer.publish_all(
            [
                OutgoingEvent(topic_of(each.topic), each.place, each.value, each.place)
                for each in chosen
            ]
        )
    said = f"Published {len(chosen)} message(s) again."
    print_fact({"letters": [each.place for each in chosen]}, as_json, said)


def _read_letters() -> dict[str, DeadLetter]:
    """Read the topic. The relay may have published a letter twice: it is the same one."""
    from visionops_assets.resources.broker import Broker
    from visionops_assets.stack.probes import accepts_connections

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
    """Name the letters whose event or prediction was taken since."""
    from visionops_assets.catalog.batches import consumed
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.predictions import known_predictions

    ids = {place: _id_in(letter.value) for place, letter in letters.items()}
    known = {each for each in ids.values() if each is not None}
    with Catalog().begin() as session:
        taken = consumed(session, known) | known_predictions(session, known)
    return {place for place, each in ids.items() if each in taken}


def _id_in(message: bytes) -> UUID | None:
    """Return the id of the event or prediction that a message holds."""
    try:
        return MediaEvent.model_validate_json(message).event_id
    except ValidationError:
        pass
    try:
        return Prediction.model_validate_json(message).prediction_id
    except ValidationError:
        return None


def _incomplete(letter: DeadLetter) -> bool:
    """Say whether the letter has less than its message: that was too large, or unreadable."""
    from visionops_assets.stages.dead_letters import KEPT_BYTES, UNREADABLE

    return letter.code == UNREADABLE or len(letter.value) >= KEPT_BYTES


def _require_complete(letters: list[DeadLetter]) -> None:
    for letter in letters:
        if _incomplete(letter):
            raise InvalidRequestError(
                f"{letter.place} does not hold its message whole, so it cannot be replayed. Media "
                "that it announced are announced again by the sweep."
            )


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
