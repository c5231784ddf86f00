"""What the audit log keeps of a call: numbers that say how it was asked, nothing of what was asked."""

from msgspec import structs

from policies.call import Call


def call_params(call: Call) -> dict[str, int | float | bool | None]:
    """Sampling settings, caps, and how many messages, inputs, images, tools and stop strings there were."""
    sampling = {name: value for name, value in structs.asdict(call.sampling).items() if name != "stop"}
    return {
        **sampling,
        "max_output_tokens": call.max_output_tokens,
        "deadline_s": call.deadline_s,
        "top_logprobs": call.top_logprobs,
        "dimensions": call.dimensions or None,
        "messages": len(call.messages) or None,
        "inputs": len(call.inputs) or None,
        "images": len(call.images) + sum(len(message.images) for message in call.messages) or None,
        "tools": len(call.tools) or None,
        "stops": len(call.sampling.stop) or None,
    }
