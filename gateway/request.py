"""The request's one straight flow. The numbers are those of docs/request-flow.md.

Each step hands the next the evidence it demands, or raises; none answers with a bool or None, so a
step left out is a type error. `handle` is the boundary: it runs the steps, turns every error into the
dialect's words, and sees to it that a decision is recorded before it is told.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from msgspec import structs

from engine.errors import EngineError, UpstreamFailed
from gateway.answers import begin, send, write_due
from gateway.dialects.contract import Answer, Asked, Loaded, OwnReport, Renderer, Report, Started, Wish
from gateway.exchange import Exchange
from gateway.gate import Gate, work_of
from gateway.http.cors import preflight
from gateway.http.edge import CleanTarget, check_edge, demand_identity
from gateway.incoming import ClientGone, Incoming, Reply
from gateway.json_body import parse_object
from gateway.queue_turn import take_turn
from gateway.routes import Found, dialect_of
from gateway.stream_shape import stream_shape
from gateway.time_limit import answered_within
from policies.addresses.client_address import client_address
from policies.authorization import Grant, authorize_scope, team_of, visible_models
from policies.call import Event, Final
from policies.credentials.credential import Presented, read_credential
from policies.errors import AuditUnavailable, EdgeRejected, NoCapacity, Overloaded, Refused
from policies.limiting.limits import request_claims, work_claims
from policies.queue_wish import answer_limit_s, read_queue_wish


async def handle(gate: Gate, incoming: Incoming, reply: Reply) -> None:
    """Serve one request from first byte to last. Raises only CancelledError, once it is recorded."""
    exchange = Exchange(incoming, gate.clock)
    task = asyncio.current_task()
    if task is not None:
        exchange.stop = task.cancel
    with gate.running.entered(exchange):
        try:
            await serve(gate, exchange, incoming, reply)
        except (Refused, EngineError) as error:
            await refuse(gate, exchange, reply, error)
        except ClientGone:
            gate.audit.aborted_later(exchange)
        except asyncio.CancelledError:
            if exchange.cut is None or task is None:
                gate.audit.aborted_later(exchange)
                raise
            task.uncancel()
            await refuse(gate, exchange, reply, exchange.cut)
        except Exception as bug:  # noqa: BLE001 (the request boundary: a bug is a 500 with an id)
            gate.log_bug(exchange, bug)
            await refuse(gate, exchange, reply, None)
        finally:
            gate.finished(exchange)


async def serve(gate: Gate, exchange: Exchange, incoming: Incoming, reply: Reply) -> None:
    """The numbered steps. What any of them acquires is given back when it is left, however it is left."""
    clean = check_edge(incoming.method, incoming.target, incoming.headers, incoming.http_version)  # (0)
    exchange.origin = gate.doors[incoming.listener].require(incoming.headers, incoming.local)
    exchange.in_force = gate.in_force
    policy = exchange.in_force.policy
    exchange.match = match = gate.routes[incoming.listener].match(incoming.method, clean.path)
    exchange.dialect = dialect_of(clean.path)
    exchange.client = client = client_address(incoming.peer, incoming.headers, policy.proxies)  # (1)
    policy.require_address(client, incoming.listener)  # (2)
    if (answer := preflight(incoming.method, incoming.headers, exchange.origin, match)) is not None:
        return await send(exchange, reply, answer)
    if (opened := match.opened()) is not None:
        return await send(exchange, reply, await read_open(gate, exchange, incoming, opened))
    allowance = gate.identity.allowance(client)  # (3)
    presented = presented_by(incoming, clean)
    credential = read_credential(presented)  # (4)
    exchange.principal = principal = await gate.identity.verify(credential, allowance, presented)  # (5)
    principal.networks.require(client, "key_network")
    team = gate.widened(team_of(principal, policy), principal.team)
    exchange.limits_told(await gate.store.take(request_claims(principal, team, policy, client)))  # (6)
    found = match.required()
    queue_wish = read_queue_wish(incoming.headers)
    wish = await read_wish(gate, exchange, incoming, found)  # (7)
    grant = authorize_scope(principal, team, found.route.scope, client)  # (8)
    gate.accepted(principal, client)
    if not isinstance(wish, Asked):
        return await send_answer(gate, exchange, reply, grant, wish)
    asked = structs.replace(wish.call, deadline_s=queue_wish.deadline_s)
    call = gate.authorize_call(grant, asked, policy, exchange)
    gate.audit.follow_content(exchange, call, principal.team, team.audit)
    prepared = await gate.prepare(call)  # (9)
    exchange.prompt_tokens = prepared.prompt_tokens
    async with gate.reserved(work_claims(principal, team, policy, client, work_of(prepared)), exchange):  # (10)
        recording = gate.audit.authorizing(exchange)  # written while it waits
        exchange.shape = stream_shape(team.stream, wish.renderer)
        async with gate.admitted(prepared, grant, queue_wish, policy, exchange) as admission:  # (11)
            await take_turn(admission, exchange, reply, wish.renderer, recording, events=queue_wish.events)
            gate.hint(grant, call.model, wish.keep_alive_s)
            limit_s = answer_limit_s(queue_wish, team, exchange.elapsed_ns() / 1e9)
            async with answered_within(limit_s, exchange, admission.events()) as events:
                await stream(gate, exchange, reply, wish.renderer, events)  # (12)
    return None


def presented_by(incoming: Incoming, clean: CleanTarget) -> Presented:
    """All places of the request where a credential may stand."""
    certificate = incoming.tls.client_certificate if incoming.tls else None
    return Presented(incoming.method, clean.path, clean.query, incoming.headers, certificate, incoming.session)


async def read_wish(gate: Gate, exchange: Exchange, incoming: Incoming, found: Found) -> Wish | Answer:
    """Step 7: the body, read only now, parsed once, translated by the route's dialect."""
    route = found.route
    if not route.body_limit_bytes:
        return route.read(None, found.model)
    demand_identity(incoming.headers)
    limit_bytes = min(route.body_limit_bytes, gate.body_limit_bytes)
    body = await incoming.read_body(limit_bytes, gate.body_timeout_s)
    exchange.bytes_in = len(body)
    return route.read(parse_object(body), found.model)


async def read_open(gate: Gate, exchange: Exchange, incoming: Incoming, found: Found) -> Answer:
    """An open route's fixed answer. No decision is made on one, so none is recorded."""
    answer = await read_wish(gate, exchange, incoming, found)
    if not isinstance(answer, Answer):
        raise TypeError(f"open route {found.route.path} has no fixed answer")
    return answer


async def send_answer(gate: Gate, exchange: Exchange, reply: Reply, grant: Grant, wish: Wish | Answer) -> None:
    """What needs no slot: an answer at hand, a load object, a question about the catalogue."""
    answer = await find_answer(gate, exchange, grant, wish)
    exchange.status = answer.status
    await gate.audit.completed(exchange)
    await send(exchange, reply, answer)


async def find_answer(gate: Gate, exchange: Exchange, grant: Grant, wish: Wish | Answer) -> Answer:
    """Step 8 for the catalogue: only models of the team, one error for foreign and unknown ones."""
    if isinstance(wish, Answer):
        return wish
    if isinstance(wish, Asked):
        raise TypeError("work for an engine is not answered here")
    if isinstance(wish, Report):
        return await wish.answer()
    if isinstance(wish, OwnReport):
        return wish.answer(grant)
    if wish.model is None:
        cards = visible_models(grant, gate.catalogue.cards())
        return wish.answer(gate.loaded(cards) if wish.loaded else cards, None)
    exchange.model = card = gate.authorize_model(grant, wish.model)
    if isinstance(wish, Loaded):
        gate.hint(grant, card.parent or card.name, wish.keep_alive_s)
        return wish.answer(gate.clock.unix_ns())
    described = await gate.catalogue.engine_of(card.name).describe(card.name) if wish.describe else None
    return wish.answer((card,), described)


async def stream(
    gate: Gate, exchange: Exchange, reply: Reply, renderer: Renderer, events: AsyncIterator[Event]
) -> None:
    """Step 12: events to bytes; the record is durable before the last of them is sent."""
    exchange.renderer = renderer
    renderer.start(
        Started(request_id=exchange.id, arrived_ns=exchange.arrived_ns, dispatched_ns=exchange.dispatched_ns)
    )
    last: bytes | None = None
    async for event in events:
        exchange.note(event)
        data = renderer.event(event, gate.clock.unix_ns())
        if isinstance(event, Final):
            last = data
        elif renderer.streamed and data:
            if not reply.started:
                await begin(exchange, reply, renderer)
            exchange.shape.add(data, exchange.elapsed_ns())
            await write_due(exchange, reply)
    if last is None:
        raise UpstreamFailed("stream_without_end")
    exchange.status = 200
    await gate.audit.completed(exchange)
    if not renderer.streamed:
        return await send(exchange, reply, Answer(status=200, body=last, content_type=renderer.content_type))
    if not reply.started:
        await begin(exchange, reply, renderer)
    exchange.streaming = False
    exchange.shape.finish(last)
    await write_due(exchange, reply)
    await reply.end()
    return None


def answer_to(gate: Gate, exchange: Exchange, error: Refused | EngineError | None) -> Answer:
    """The dialect's reply for `error`. After an unfit message nothing more is read: what follows may be its rest."""
    answer = gate.dialects[exchange.dialect].error(error, exchange.id)
    if not isinstance(error, EdgeRejected):
        return answer
    return structs.replace(answer, status=error.status, headers=(*answer.headers, ("Connection", "close")))


def last_words(exchange: Exchange, error: Refused | EngineError | None) -> bytes:
    """The dialect's error form inside a stream that has begun."""
    return exchange.renderer.failure(error, exchange.id) if exchange.renderer else b""


async def refuse(gate: Gate, exchange: Exchange, reply: Reply, error: Refused | EngineError | None) -> None:
    """Record the refusal, then tell it: as the reply, or inside the stream that has begun.

    A whole answer, or a stream's last bytes, cut on their way out leave no place to tell it; the listener
    closes the connection after an answer that was not ended.
    """
    exchange.being_refused()
    if isinstance(error, Overloaded | NoCapacity):
        exchange.turned_away(error.reason)
    if not reply.started:
        exchange.status = answer_to(gate, exchange, error).status
    try:
        await gate.audit.refused(exchange, error, started=reply.started)
    except AuditUnavailable as unrecorded:
        error = unrecorded
    with contextlib.suppress(ClientGone):
        if not reply.started:
            await send(exchange, reply, answer_to(gate, exchange, error))
        elif exchange.streaming:
            exchange.shape.finish(last_words(exchange, error))
            await write_due(exchange, reply)
            await reply.end()
