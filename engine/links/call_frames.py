"""Translation between the neutral middle (calls, events) and the frames of the wire. Pure."""

from array import array
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from engine.errors import ContextTooLong, DeadlineExceeded, PrepareFailed
from engine.frames import MAX_FRAME_BYTES, Ended, Failed, Prepare, Ready, Start, Step
from engine.interface import Prepared, StepReport
from engine.pictures import is_whole
from engine.prefix_scope import prefix_scope
from policies.call import Call, Embedded, Event, Final, Message, Timings, Usage

MAX_IMAGES_BYTES = MAX_FRAME_BYTES * 3 // 4  # what remains is for the text beside them


def pack_ids(ids: Sequence[int]) -> bytes:
    """Token ids as int32 little-endian."""
    return array("i", ids).tobytes()


def unpack_ids(data: bytes) -> tuple[int, ...]:
    """Token ids from int32 little-endian. Raises ValueError for a length that is no multiple of four."""
    return tuple(array("i", data))


def with_system(call: Call, system: str) -> Call:
    """`call` with the model's own system message, unless the caller brings one or wants no template.

    As Ollama does with SYSTEM of a Modelfile.
    """
    if not system:
        return call
    if call.kind == "chat" and not any(message.role == "system" for message in call.messages[:1]):
        return msgspec.structs.replace(call, messages=(Message("system", system), *call.messages))
    if call.kind == "completion" and not call.raw and call.system is None:
        return msgspec.structs.replace(call, system=system)
    return call


def prepare_frame(frame_id: int, call: Call) -> Prepare:
    """What the preparer needs of `call`, and nothing else."""
    return Prepare(
        id=frame_id,
        kind=call.kind,
        messages=call.messages,
        prompt=call.prompt,
        system=call.system,
        context=call.context,
        raw=call.raw,
        inputs=call.inputs,
        tools=call.tools,
        think=call.think,
        json_format=call.format.kind == "json",
        schema=call.format.schema if call.format.kind == "schema" else None,
        truncate=call.truncate,
        max_output_tokens=call.max_output_tokens or 0,
        cache_scope=prefix_scope(call.cache_scope, call.adapter),
        images=call.images,
    )


def check_images(call: Call) -> None:
    """Raises PrepareFailed for images that are too large together to travel in one frame."""
    images = [*call.images, *(image for message in call.messages for image in message.images)]
    if sum(map(len, images)) > MAX_IMAGES_BYTES:
        text = f"the images of one request may have {MAX_IMAGES_BYTES} bytes together"
        raise PrepareFailed("images_too_large", text)


def prepared_call(call: Call, ready: Ready) -> Prepared:
    """The preparer's answer to `call`. Raises ValueError for one that does not fit the call."""
    sequences = len(call.inputs) if call.kind == "embedding" else 1
    if len(ready.token_ids) != sequences:
        raise ValueError(f"{len(ready.token_ids)} sequences for {sequences}")
    if not all(map(is_whole, ready.images)):
        raise ValueError("a picture with more or fewer pixels than its size says")
    return Prepared(
        call=_without_images(call),
        prompt_tokens=ready.prompt_tokens,
        prompt_ids=tuple(map(unpack_ids, ready.token_ids)),
        block_hashes=ready.block_hashes,
        grammar=ready.grammar,
        max_output_tokens=ready.max_output_tokens,
        form=ready.form,
        images=ready.images,
    )


def raise_failed(failed: Failed) -> NoReturn:
    """Raise the error that the preparer's `failed` stands for."""
    if failed.kind == "input":
        raise PrepareFailed(failed.reason, failed.text)
    if failed.kind == "context":
        raise ContextTooLong(failed.reason, prompt_tokens=failed.prompt_tokens, limit_tokens=failed.limit_tokens)
    raise DeadlineExceeded(failed.reason)


def start_frame(frame_id: int, prepared: Prepared, seed: int, fence: int = 0) -> Start:
    """The order to run `prepared`; `seed` is used where the caller named none, `fence` is who decided it."""
    call = prepared.call
    sampling = call.sampling
    if sampling.seed is None:
        sampling = msgspec.structs.replace(sampling, seed=seed)
    return Start(
        id=frame_id,
        token_ids=tuple(map(pack_ids, prepared.prompt_ids)),
        sampling=sampling,
        max_output_tokens=prepared.max_output_tokens,
        cache_scope=call.cache_scope,
        adapter=call.adapter,
        top_logprobs=call.top_logprobs,
        grammar=prepared.grammar,
        fence=fence,
        images=prepared.images,
        tenant=call.tenant,
    )


def last_events(ended: Ended, prepared: Prepared) -> tuple[Event, ...]:
    """The events that close a stream: the vectors of an embedding, then `Final`. Raises ValueError."""
    usage = Usage(ended.prompt_tokens, ended.cached_tokens, ended.output_tokens)
    timings = Timings(prefill_ns=ended.prefill_ns, decode_ns=ended.decode_ns)
    if ended.reason is None:
        raise ValueError("an end without a reason")
    final = Final(ended.reason, usage, timings, _context(ended, prepared))
    return (final,) if prepared.call.kind != "embedding" else (_embedded(ended, prepared), final)


def step_report(step: Step) -> StepReport:
    """How the step went, without what it gave to whom."""
    return StepReport(
        step_ns=step.step_ns,
        decode_rows=step.decode_rows,
        prefill_rows=step.prefill_rows,
        cached_tokens=step.cached_tokens,
        output_tokens=step.output_tokens,
        busy_slots=step.busy_slots,
        slots=step.slots,
    )


def _without_images(call: Call) -> Call:
    """`call` as what waits in the queue needs it: what a caller's images hold is in the pictures now."""
    if not (call.images or any(message.images for message in call.messages)):
        return call
    messages = tuple(msgspec.structs.replace(message, images=()) for message in call.messages)
    return msgspec.structs.replace(call, images=(), messages=messages)


def _embedded(ended: Ended, prepared: Prepared) -> Embedded:
    if len(ended.vectors) != len(prepared.prompt_ids):
        raise ValueError(f"{len(ended.vectors)} vectors for {len(prepared.prompt_ids)} inputs")
    return Embedded(tuple(tuple(array("f", vector)) for vector in ended.vectors))


def _context(ended: Ended, prepared: Prepared) -> tuple[int, ...]:
    """Prompt and answer as ids, for the dialect that lets a caller hand them back; not for raw prompts.

    Nor with images: their rows are no tokens, and the pictures are gone by then.
    """
    call = prepared.call
    if call.kind != "completion" or call.raw or prepared.images:
        return ()
    return (*prepared.prompt_ids[0], *unpack_ids(ended.token_ids))
