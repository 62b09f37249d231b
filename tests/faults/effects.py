"""What is done to a request: resets, bodies that break off or drip, refusals, redirects, silence, outages."""

from __future__ import annotations

import email.utils
import json
import math
import time
from collections.abc import Callable

from tests.faults.layer import Effect, Exchange, Over
from tests.faults.wire import Answer

PAGE = b"<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>"


def resets(*, carried_out: bool = False) -> Effect:
    """The connection is reset instead of an answer, before or after the call was carried out."""

    def effect(exchange: Exchange) -> None:
        if carried_out:
            exchange.forward()
        exchange.reset()

    return effect


def resets_in_the_body(exchange: Exchange) -> None:
    """The call is carried out, and the connection is reset in the middle of the answer's body."""
    answer = exchange.forward()
    exchange.send(answer.head(length=len(answer.body)) + answer.body[: len(answer.body) // 2])
    exchange.reset()


def resets_after_the_body(exchange: Exchange) -> None:
    """The whole answer is sent, and the connection is reset, although the answer does not say that it ends."""
    exchange.answer(exchange.forward())
    exchange.reset()


def closes_after_the_body(exchange: Exchange) -> None:
    """As a server does that has waited long enough for the next request."""
    exchange.answer(exchange.forward())
    raise Over


def cuts_short(exchange: Exchange) -> None:
    """The connection is closed in order before the promised length is there."""
    answer = exchange.forward()
    exchange.send(answer.head(length=len(answer.body)) + answer.body[: len(answer.body) // 2])
    raise Over


def never_ends_its_chunks(exchange: Exchange) -> None:
    """All of the body comes in chunks, and the connection is closed without the last, empty one."""
    answer = exchange.forward()
    exchange.send(answer.head(length=None) + b"%x\r\n%b\r\n" % (len(answer.body), answer.body))
    raise Over


def stalls(exchange: Exchange) -> None:
    """Half of the body, then nothing more."""
    answer = exchange.forward()
    exchange.send(answer.head(length=len(answer.body)) + answer.body[: len(answer.body) // 2])
    exchange.silence()


def drips(seconds: float, pieces: int = 20) -> Effect:
    """The whole body, spread evenly over `seconds`."""

    def effect(exchange: Exchange) -> None:
        answer = exchange.forward()
        exchange.send(answer.head(length=len(answer.body)))
        size = math.ceil(len(answer.body) / pieces)
        for at in range(0, len(answer.body), size):
            exchange.silence(seconds / pieces)
            exchange.send(answer.body[at : at + size])

    return effect


def trickles(pause_s: float) -> Effect:
    """One byte of the body, then a pause, and so on: never silent for long, and never done."""

    def effect(exchange: Exchange) -> None:
        answer = exchange.forward()
        exchange.send(answer.head(length=len(answer.body)))
        for at in range(len(answer.body)):
            exchange.send(answer.body[at : at + 1])
            exchange.silence(pause_s)

    return effect


def answers(status: int, body: bytes = b"", **headers: str) -> Effect:
    """Answer without asking the local Studio; underscores in the names of headers stand for dashes."""
    sent = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return lambda exchange: exchange.answer(Answer(status, sent, body))


def refuses(status: int, error: str, **headers: str) -> Effect:
    """Answer with an envelope that says no."""
    body = json.dumps({"success": False, "error": error}).encode()
    return answers(status, body, Content_Type="application/json", **headers)


def asks_to_wait_until(seconds: float) -> Effect:
    """429 with the date that is `seconds` from when it is sent."""

    def effect(exchange: Exchange) -> None:
        date = email.utils.formatdate(time.time() + seconds, usegmt=True)
        refuses(429, "too many requests", Retry_After=date)(exchange)

    return effect


def shows_a_page(exchange: Exchange) -> None:
    """HTML and 200, as the portals of networks answer."""
    exchange.answer(Answer(200, (("Content-Type", "text/html"),), PAGE))


def talks_nonsense(exchange: Exchange) -> None:
    """Bytes that aren't HTTP."""
    exchange.send(b"\x15\x03\x01\x00\x02\x02\x28" * 4)
    raise Over


def keeps_silent(exchange: Exchange) -> None:
    """The request was taken, and nothing comes."""
    exchange.silence()


def redirects(status: int, to: Callable[[Exchange], str]) -> Effect:
    """Point to the address that `to` gives."""
    return lambda exchange: exchange.answer(Answer(status, (("Location", to(exchange)),), b""))


def itself(exchange: Exchange) -> str:
    """The address that was asked for."""
    return exchange.request.target


def another_host(exchange: Exchange) -> str:
    """The same call at the other host."""
    return exchange.layer.elsewhere.url + exchange.request.target


def goes_down(seconds: float = math.inf, *, vanish: bool = False) -> Effect:
    """Studio goes away, with all connections, and comes back after `seconds`; see `Layer.outage`."""

    def effect(exchange: Exchange) -> None:
        exchange.layer.outage(seconds, vanish)
        raise Over

    return effect


def deletes_first(exchange: Exchange) -> None:
    """Delete the sample just before the call arrives."""
    exchange.layer.delete(exchange.request.sample or 0)
    exchange.answer(exchange.forward())


def deletes_then(exchange: Exchange) -> None:
    """Delete the sample once the call has been carried out."""
    answer = exchange.forward()
    exchange.layer.delete(exchange.request.sample or 0)
    exchange.answer(answer)


def goes_down_then(seconds: float = math.inf) -> Effect:
    """The call is carried out, and Studio goes away before it has answered."""

    def effect(exchange: Exchange) -> None:
        exchange.forward()
        goes_down(seconds)(exchange)

    return effect
