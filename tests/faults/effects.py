"""Effects: what a fault does to a request, such as a reset, a slow or truncated body, an error, or an outage.

Each effect handles one `Exchange`. Functions that take parameters return the effect.
"""

from __future__ import annotations

import email.utils
import itertools
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace

from tests.faults.layer import ConnectionEnded, Effect, Exchange
from tests.faults.wire import Answer
from tests.runtime.dripping import Drip

DRIP_EVERY_S = 0.05
PAGE = b"<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>"


def resets(*, carried_out: bool = False) -> Effect:
    """Reset the connection instead of answering, before or after the local Studio carries out the call."""

    def effect(exchange: Exchange) -> None:
        if carried_out:
            exchange.forward()
        exchange.reset()

    return effect


def resets_in_the_body(exchange: Exchange) -> None:
    """Carry out the call, then reset the connection halfway through the answer's body."""
    answer = exchange.forward()
    exchange.send(answer.head(length=len(answer.body)) + answer.body[: len(answer.body) // 2])
    exchange.reset()


def resets_after_the_body(exchange: Exchange) -> None:
    """Send the whole answer, then reset the connection although no `Connection: close` announced it."""
    exchange.answer(exchange.forward())
    exchange.reset()


def closes_after_the_body(exchange: Exchange) -> None:
    """Send the whole answer, then close the connection, like a server whose keep-alive timeout expires."""
    exchange.answer(exchange.forward())
    raise ConnectionEnded


def cuts_short(exchange: Exchange) -> None:
    """Send half of the body, then close the connection normally, short of the Content-Length."""
    answer = exchange.forward()
    exchange.send(answer.head(length=len(answer.body)) + answer.body[: len(answer.body) // 2])
    raise ConnectionEnded


def never_ends_its_chunks(exchange: Exchange) -> None:
    """Send the whole body in chunked encoding, then close the connection without the final empty chunk."""
    answer = exchange.forward()
    exchange.send(answer.head(length=None) + b"%x\r\n%b\r\n" % (len(answer.body), answer.body))
    raise ConnectionEnded


def stalls(exchange: Exchange) -> None:
    """Send half of the body, then nothing more, and keep the connection open."""
    answer = exchange.forward()
    exchange.send(answer.head(length=len(answer.body)) + answer.body[: len(answer.body) // 2])
    exchange.silence()


def drips(seconds: float, pieces: int = 20) -> Effect:
    """Send the whole body at a steady rate over `seconds`."""

    def effect(exchange: Exchange) -> None:
        answer = exchange.forward()
        exchange.send(answer.head(length=len(answer.body)))
        size = math.ceil(len(answer.body) / pieces)
        for at in range(0, len(answer.body), size):
            exchange.silence(seconds / pieces)
            exchange.send(answer.body[at : at + size])

    return effect


def trickles(pause_s: float) -> Effect:
    """Send the body one byte at a time and pause for `pause_s` after each, so that no read times out."""

    def effect(exchange: Exchange) -> None:
        answer = exchange.forward()
        exchange.send(answer.head(length=len(answer.body)))
        for at in range(len(answer.body)):
            exchange.send(answer.body[at : at + 1])
            exchange.silence(pause_s)

    return effect


def drips_forever(drip: Drip, pause_s: float) -> Effect:
    """Send what `drip` says, without end, and pause for `pause_s` after each byte."""

    def effect(exchange: Exchange) -> None:
        exchange.send(drip.start)
        for byte in itertools.cycle(drip.forever):
            exchange.send(bytes([byte]))
            exchange.silence(pause_s)

    return effect


def gives_two_lengths(exchange: Exchange) -> None:
    """Send the whole answer with a second Content-Length, and keep the connection open."""
    answer = exchange.forward()
    twice = replace(answer, headers=(*answer.headers, ("Content-Length", str(len(answer.body) + 5))))
    exchange.answer(twice)


def hints_first(exchange: Exchange) -> None:
    """Send HTTP 103, then the answer."""
    exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
    exchange.answer(exchange.forward())


def describes(**fields: object) -> Effect:
    """Change fields of the sample in the answer."""

    def effect(exchange: Exchange) -> None:
        answer = exchange.forward()
        content = json.loads(answer.body)
        content["sample"].update(fields)
        exchange.answer(replace(answer, body=json.dumps(content).encode()))

    return effect


def holds_back(call: str, others: int) -> Effect:
    """Carry out the call, and send the answer byte by byte until `call` was made about `others` other recordings."""

    def effect(exchange: Exchange) -> None:
        answer = exchange.forward()
        data = answer.head(length=len(answer.body)) + answer.body
        sent = 0
        while exchange.layer.count_other_samples(call, exchange.request.sample) < others:
            exchange.silence(DRIP_EVERY_S)
            if sent < len(data) - 1:
                exchange.send(data[sent : sent + 1])
                sent += 1
        exchange.send(data[sent:])

    return effect


def answers(status: int, body: bytes = b"", **headers: str) -> Effect:
    """Answer without asking the local Studio. Underscores in header names become dashes."""
    sent = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return lambda exchange: exchange.answer(Answer(status, sent, body))


def refuses(status: int, error: str, **headers: str) -> Effect:
    """Answer with a JSON body that has `success: false` and `error`."""
    body = json.dumps({"success": False, "error": error}).encode()
    return answers(status, body, Content_Type="application/json", **headers)


def asks_to_wait_until(seconds: float) -> Effect:
    """Answer HTTP 429 with a Retry-After date that is `seconds` from now."""

    def effect(exchange: Exchange) -> None:
        date = email.utils.formatdate(time.time() + seconds, usegmt=True)
        refuses(429, "too many requests", Retry_After=date)(exchange)

    return effect


def shows_a_page(exchange: Exchange) -> None:
    """Answer HTTP 200 with an HTML page, like the sign-in page of a public network."""
    exchange.answer(Answer(200, (("Content-Type", "text/html"),), PAGE))


def talks_nonsense(exchange: Exchange) -> None:
    """Send bytes that aren't HTTP."""
    exchange.send(b"\x15\x03\x01\x00\x02\x02\x28" * 4)
    raise ConnectionEnded


def keeps_silent(exchange: Exchange) -> None:
    """Accept the request and never answer."""
    exchange.silence()


def redirects(status: int, to: Callable[[Exchange], str]) -> Effect:
    """Redirect to the address that `to` returns."""
    return lambda exchange: exchange.answer(Answer(status, (("Location", to(exchange)),), b""))


def same_address(exchange: Exchange) -> str:
    """Return the address of the request itself."""
    return exchange.request.target


def same_address_with_key(exchange: Exchange) -> str:
    """Return the address of the request itself, with its key in the query."""
    return f"{exchange.request.target}&key={exchange.request.headers['x-api-key']}"


def another_host(exchange: Exchange) -> str:
    """Return the address of the same call on another host."""
    return exchange.layer.elsewhere.url + exchange.request.target


def goes_down(seconds: float = math.inf, *, vanish: bool = False) -> Effect:
    """Drop all connections and stop listening for `seconds`; see `Layer.outage`."""

    def effect(exchange: Exchange) -> None:
        exchange.layer.outage(seconds, vanish)
        raise ConnectionEnded

    return effect


def deletes_first(exchange: Exchange) -> None:
    """Delete the sample before carrying out the call."""
    exchange.layer.delete(exchange.request.sample or 0)
    exchange.answer(exchange.forward())


def deletes_then(exchange: Exchange) -> None:
    """Delete the sample after carrying out the call."""
    answer = exchange.forward()
    exchange.layer.delete(exchange.request.sample or 0)
    exchange.answer(answer)


def someone_writes_then(**calls: object) -> Effect:
    """Carry out the call; then someone else makes these calls about the same sample, with these bodies."""

    def effect(exchange: Exchange) -> None:
        answer, request = exchange.forward(), exchange.request
        for call, content in calls.items():
            body = json.dumps(content).encode()
            headers = {name: text for name, text in request.headers.items() if name.lower() != "content-length"}
            headers |= {"Content-Type": "application/json"}
            target = f"/v1/api/1/raw-data/{request.sample}/{call.replace('_', '-')}"
            changed = replace(request, method="POST", target=target, headers=headers, body=body)
            assert exchange.layer.forward(changed).status == 200
        exchange.answer(answer)

    return effect


def goes_down_then(seconds: float = math.inf) -> Effect:
    """Carry out the call, then start an outage before answering."""

    def effect(exchange: Exchange) -> None:
        exchange.forward()
        goes_down(seconds)(exchange)

    return effect
