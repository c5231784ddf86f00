"""An Ollama server as an engine. Thin: it lists, describes and streams; Ollama itself tokenises.

Prompt lengths are estimated from bytes with a ratio learnt from the server's own reports. A busy
server (503) is a target without a free slot: the request goes back to our queue. What the server says
in an error reaches nobody; its status decides which of our errors is raised.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec

from engine.errors import EngineError, ModelNotReady, PrepareFailed, SlotTaken, UpstreamFailed
from engine.interface import Observer, Prepared, StepReport, TargetState
from engine.store.model_name import is_model_name
from gateway.audit.count_records import UpstreamCount
from gateway.configuration.settings import UpstreamSettings
from gateway.outbound import Outbound, OutboundFault, OutboundRefused
from gateway.upstreams.ollama_wire import (
    PATHS,
    WireLine,
    WireModel,
    WireShow,
    WireTags,
    line_events,
    model_card,
    request_body,
)
from policies.call import Call, Event, Final, ModelCard, ModelDescription

AnswerT = TypeVar("AnswerT")

COUNTS_PATH = "/corral/counts"
MAX_COUNT_BYTES = 64 * 1024
ASK_S = 10.0
"""For a whole answer: lists and descriptions are at hand, and a server that drips one is as good as away."""
LISTED_WITHIN_S = 60.0
"""What a server that starts together with this gateway may take until its models count as all there are."""
FIRST_BYTES_PER_TOKEN = 4.0
"""The usual ratio of English text; replaced by what the server reports, but never by more.

Else one caller's pages of blanks, or a prompt that the server had cached and did not count, would make the prompts of
all others look free.
"""
IMAGE_BYTES = 4096
"""What an image counts as: about a thousand tokens, the most that common models make of one."""
RATIO_SMOOTHING = 0.1
MOST_BYTES_PER_TOKEN = 4096
SLACK_TOKENS = 256
"""What a line of the stream may take: envelope, logprobs with twenty alternatives, and the last line's context.

A server that goes on past the cap it was given is not followed.
"""


class OllamaUpstream:
    """`engine.interface.Engine` over one Ollama server."""

    isolates = False

    def __init__(self, settings: UpstreamSettings, outbound: Outbound) -> None:
        self._settings = settings
        self._outbound = outbound
        self._target = f"upstream:{settings.name}"
        self._cards: dict[str, ModelCard] = {}
        self._has_listed = False
        self._announced: TargetState | None = None
        self._bytes_per_token = FIRST_BYTES_PER_TOKEN
        self._busy = 0
        self._observer: Observer | None = None
        self._refresher: asyncio.Task[None] | None = None
        self._giving_up: asyncio.TimerHandle | None = None

    async def start_up(self, observer: Observer) -> None:
        """Begin to list the models, now and every `refresh_s`; a server that is silent holds nobody up."""
        self._observer = observer
        self._announce(ready=False)
        self._giving_up = asyncio.get_running_loop().call_later(LISTED_WITHIN_S, self._count_as_listed)
        self._refresher = asyncio.create_task(self._refresh_for_ever())

    async def close(self) -> None:
        """Stop listing and close the connections."""
        if self._giving_up is not None:
            self._giving_up.cancel()
        if self._refresher is not None:
            self._refresher.cancel()
            await asyncio.gather(self._refresher, return_exceptions=True)
        await self._outbound.close()

    @property
    def target(self) -> str:
        """How the queue and the records know this server."""
        return self._target

    @property
    def counts(self) -> bool:
        """Whether it can be asked what it has served."""
        return self._settings.counts is not None

    async def count(self) -> UpstreamCount | None:
        """What a second Corral says it has served; None when it does not say."""
        try:
            answer = await self._outbound.fetch("GET", COUNTS_PATH, max_body_bytes=MAX_COUNT_BYTES, total_s=ASK_S)
            return msgspec.json.decode(answer, type=UpstreamCount)
        except (OutboundRefused, OutboundFault, msgspec.MsgspecError, RecursionError):
            return None

    @property
    def has_listed(self) -> bool:
        """False from the start until it first told its models, or had LISTED_WITHIN_S for that."""
        return self._has_listed

    def models(self) -> tuple[ModelCard, ...]:
        """What the server listed last, narrowed to the configured names."""
        return tuple(self._cards.values())

    async def describe(self, model: str) -> ModelDescription:
        """The server's own description."""
        shown = await self._show(model)
        return ModelDescription(
            info=shown.model_info or {},
            template=shown.template,
            system=shown.system,
            license=shown.license,
            parameters=shown.parameters,
        )

    async def prepare(self, call: Call) -> Prepared:
        """An estimate: bytes of all that is sent over the learnt ratio."""
        size_bytes = _prompt_bytes(call)
        return Prepared(
            call=call,
            prompt_tokens=max(1, round(size_bytes / self._bytes_per_token)),
            max_output_tokens=call.max_output_tokens or 0,
            estimated=True,
        )

    @contextlib.asynccontextmanager
    async def run(self, target: str, prepared: Prepared, fence: int = 0) -> AsyncIterator[AsyncIterator[Event]]:
        """Stream the call; leaving the block closes the connection, which is how Ollama cancels. It knows no fences."""
        del target, fence
        call = prepared.call
        body = request_body(call, prepared.max_output_tokens)
        self._busy += 1
        try:
            async with self._outbound.lines(PATHS[call.kind], body) as lines:
                yield self._events(lines, call)
        except OutboundRefused as refused:
            raise _refusal(refused) from None
        except OutboundFault as fault:
            raise UpstreamFailed(f"upstream_{fault}") from None
        finally:
            self._busy -= 1

    async def _events(self, lines: AsyncIterator[bytes], call: Call) -> AsyncIterator[Event]:
        room_bytes = MOST_BYTES_PER_TOKEN * ((call.max_output_tokens or 0) + SLACK_TOKENS)
        async for line in lines:
            room_bytes -= len(line) if call.kind != "embedding" else 0
            if room_bytes < 0:
                raise UpstreamFailed("upstream_writes_on")
            for event in line_events(_decode_line(line)):
                if isinstance(event, Final):
                    self._learn(call, event)
                yield event

    def _learn(self, call: Call, final: Final) -> None:
        counted = final.usage.prompt_tokens
        if counted > 0:
            ratio = min(max(0.5, _prompt_bytes(call) / counted), FIRST_BYTES_PER_TOKEN)
            self._bytes_per_token += RATIO_SMOOTHING * (ratio - self._bytes_per_token)
        if self._observer is not None:
            self._observer.step_reported(self._target, self._report(final))

    def _report(self, final: Final) -> StepReport:
        """An upstream's whole request as one step: it reports only at the end."""
        return StepReport(
            step_ns=final.timings.prefill_ns + final.timings.decode_ns,
            decode_rows=final.usage.output_tokens,
            prefill_rows=final.usage.prompt_tokens - final.usage.cached_tokens,
            cached_tokens=final.usage.cached_tokens,
            output_tokens=final.usage.output_tokens,
            busy_slots=self._busy,
            slots=self._settings.slots,
        )

    async def _refresh_for_ever(self) -> None:
        while True:
            await self._refresh()
            await asyncio.sleep(self._settings.refresh_s)

    async def _refresh(self) -> None:
        try:
            self._cards = await self._list()
        except EngineError:
            self._announce(ready=False)
        else:
            self._announce(ready=bool(self._cards))
            self._count_as_listed()

    def _count_as_listed(self) -> None:
        """It has told what it serves, or had long enough to: others' unknown names do not wait for one that is away."""
        self._has_listed = True

    async def _list(self) -> dict[str, ModelCard]:
        tags = await self._ask("GET", "/api/tags", None, WireTags)
        known: dict[str, ModelCard] = {}
        for each in filter(self._wanted, tags.models or ()):
            with contextlib.suppress(EngineError):  # one model that cannot be described is left out, the others serve
                known[each.name] = await self._card(each)
        return known

    def _wanted(self, model: WireModel) -> bool:
        """Configured, run on that host itself, and with a name that a caller can say."""
        configured = self._settings.models
        return not model.remote_host and is_model_name(model.name) and (configured is None or model.name in configured)

    async def _card(self, model: WireModel) -> ModelCard:
        """Capabilities come from the listing, the last listing while the digest is the same, or the description."""
        card = model_card(model, self._settings.slots)
        if model.capabilities is not None:
            return card
        before = self._cards.get(card.name)
        if before is not None and before.digest == card.digest:
            return before
        capabilities = tuple((await self._show(card.name)).capabilities or ("completion",))
        return msgspec.structs.replace(card, capabilities=capabilities)

    def _announce(self, *, ready: bool) -> None:
        state = TargetState(
            target=self._target,
            models=tuple(self._cards) or tuple(self._settings.models or ()),
            kinds=("chat", "completion", "embedding"),
            slots=self._settings.slots,
            ready=ready,
            swaps=True,
        )
        if self._observer is not None and state != self._announced:
            self._announced = state
            self._observer.target_changed(state)

    async def _show(self, model: str) -> WireShow:
        return await self._ask("POST", "/api/show", msgspec.json.encode({"model": model}), WireShow)

    async def _ask(self, method: str, path: str, body: bytes | None, answer: type[AnswerT]) -> AnswerT:
        try:
            return _decode(await self._outbound.fetch(method, path, body, total_s=ASK_S), answer)
        except OutboundRefused as refused:
            raise _refusal(refused) from None
        except OutboundFault as fault:
            raise UpstreamFailed(f"upstream_{fault}") from None


def _decode_line(line: bytes) -> WireLine:
    decoded = _decode(line, WireLine)
    if decoded.error:
        raise UpstreamFailed("upstream_error_line")
    return decoded


def _decode(data: bytes, kind: type[AnswerT]) -> AnswerT:
    """`data` as a `kind`. Whatever a hostile server sends is its failure, its depth of brackets too."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        raise UpstreamFailed("upstream_not_ollama") from None


def _refusal(refused: OutboundRefused) -> EngineError:
    """Ollama's statuses as our errors; its words stay here."""
    if refused.status == 503:
        return SlotTaken("upstream_busy")
    if refused.status == 404:
        return ModelNotReady("upstream_lost_model")
    if refused.status == 400:
        return PrepareFailed("upstream_bad_request", "the model server refused this request")
    return UpstreamFailed(f"upstream_status_{refused.status}")


def _prompt_bytes(call: Call) -> int:
    """The size of all that the model may be made to read: whatever is left out here, a caller has for nothing."""
    turns = [each.content + each.reasoning + each.tool_name for each in call.messages]
    texts = [call.prompt, call.system or "", call.suffix, *call.inputs, *turns]
    forms = [*call.tools, *(called for each in call.messages for called in each.tool_calls)]
    images = len(call.images) + sum(len(each.images) for each in call.messages)
    sizes = (len(text.encode()) for text in texts)
    encoded = (len(msgspec.json.encode(form)) for form in forms)
    return sum(sizes) + sum(encoded) + IMAGE_BYTES * images + round(FIRST_BYTES_PER_TOKEN) * len(call.context)
