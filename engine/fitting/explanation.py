"""Why a plan is as it is, line by line with the arithmetic; and why a model is refused. Pure.

Every line that names bytes carries them, and together they are the plan's total: nothing is hidden in a remainder.
Sizes are shown in GB and MB of powers of 1000, as disks and model pages show them.
"""

from msgspec import Struct

from engine.fitting.ladder import Overrides
from engine.fitting.machine import BACKENDS, Machine
from engine.fitting.model_size import ModelSize, kv_token_bytes
from engine.fitting.placement import DeviceUse, DoesNotFit, Fit

KB, MB, GB = 10**3, 10**6, 10**9


class Line(Struct, frozen=True, kw_only=True):
    """One line of an explanation, and the bytes it accounts for (0: none)."""

    text: str
    bytes: int = 0


def explain(plan: Fit, model: ModelSize, machine: Machine, overrides: Overrides) -> tuple[Line, ...]:
    """The lines of `plan`; the sum of their bytes is its total."""
    return (
        *_shape_lines(plan, model, overrides),
        Line(text=_threads_text(plan, machine, overrides)),
        *(line for device in plan.devices for line in _device_lines(device, plan, model)),
        Line(text=f"total {size_text(plan.total_bytes)}"),
        *_hardware_lines(plan),
    )


def refusal_text(fault: DoesNotFit, model: ModelSize, remedies: tuple[str, ...]) -> str:
    """One line: what the nearest candidate needs on each device, the budget, and what would help."""
    plan = fault.nearest
    parts = "; ".join(_needs_text(device, plan, model) for device in plan.devices)
    return f"{parts}; {size_text(plan.over_bytes)} are missing: {', or '.join(remedies)}"


def size_text(count: int) -> str:
    """1234567 -> "1.2 MB", to the nearest tenth."""
    for unit, name in ((GB, "GB"), (MB, "MB"), (KB, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def _shape_lines(plan: Fit, model: ModelSize, overrides: Overrides) -> tuple[Line, ...]:
    shape = plan.shape
    own = f"the model states {model.context_length or 'none'}"
    if model.yarn.stretches:
        own = f"{model.context_length} after YaRN, {model.yarn.factor:g} times {model.yarn.original_tokens}"
    flash = "on" if shape.flash_attention else "off"
    return (
        Line(text=f"slots {shape.slots} ({_origin(overrides.slots)})"),
        Line(text=f"context {shape.context_tokens} tokens a slot ({_origin(overrides.context_tokens)}; {own})"),
        Line(text=f"keys and values {shape.kv_type} ({_kv_reason(plan, overrides)}); flash attention {flash}"),
        Line(text=f"batch {shape.batch_tokens} tokens a step ({_origin(overrides.batch_tokens)})"),
    )


def _origin(stated: object) -> str:
    return "planned" if stated is None else "config.yaml"


def _kv_reason(plan: Fit, overrides: Overrides) -> str:
    if overrides.kv_type is not None:
        return "config.yaml"
    return "fits unquantised" if plan.shape.kv_type == "f16" else "f16 does not fit"


def _threads_text(plan: Fit, machine: Machine, overrides: Overrides) -> str:
    if overrides.threads is not None:
        return f"threads {plan.threads} (config.yaml; the machine has {machine.cores} cores)"
    return f"threads {plan.threads} (its share of {machine.cores} cores less one for the gateway, at least 1)"


def _device_lines(device: DeviceUse, plan: Fit, model: ModelSize) -> tuple[Line, ...]:
    runtime = "worker process" if device.kind == "cpu" else f"{BACKENDS[device.kind]} runtime"
    return (
        Line(text=f"{device.name}: {_layers_text(device, plan)}, {_limit_text(device)}"),
        Line(text=f"  weights {size_text(device.weights_bytes)}", bytes=device.weights_bytes),
        Line(text=f"  {_kv_text(device, plan, model)}", bytes=device.kv_bytes),
        Line(text=f"  compute buffers {size_text(device.buffer_bytes)} (estimated)", bytes=device.buffer_bytes),
        Line(text=f"  {runtime} {size_text(device.runtime_bytes)} (estimated)", bytes=device.runtime_bytes),
    )


def _layers_text(device: DeviceUse, plan: Fit) -> str:
    output = " and the output layer" if device.holds_output else ""
    kept = plan.cpu_expert_layers if device.kind == "cpu" else 0
    experts = f", experts of the first {kept} layers" if kept else ""
    layers = "1 layer" if device.layers == 1 else f"{device.layers} layers"
    return f"{layers}{output}{experts}"


def _limit_text(device: DeviceUse) -> str:
    return f"needs {size_text(device.total_bytes)} of {size_text(device.limit_bytes)}"


def _kv_text(device: DeviceUse, plan: Fit, model: ModelSize, name: str = "KV") -> str:
    shape = plan.shape
    each = kv_token_bytes(model, shape.kv_type)
    share = f" for {device.layers} of {len(model.layers)} layers" if device.layers < len(model.layers) else ""
    apart = any(layer.state_bytes or (layer.window_tokens and not shape.full_windows) for layer in model.layers)
    rest = "; recurrent layers and small windows counted apart" if apart else ""
    tokens = f"{shape.slots} slots x {shape.context_tokens} tokens x {each / 1024:.1f} KiB{share}{rest}"
    return f"{name} {size_text(device.kv_bytes)} ({tokens})"


def _needs_text(device: DeviceUse, plan: Fit, model: ModelSize) -> str:
    keys = _kv_text(device, plan, model, f"KV in {plan.shape.kv_type}")
    return (
        f"{device.name} needs {size_text(device.total_bytes)}: weights {size_text(device.weights_bytes)} + {keys} + "
        f"compute buffers {size_text(device.buffer_bytes)} + process {size_text(device.runtime_bytes)}; "
        f"the budget is {size_text(device.limit_bytes)}"
    )


def _hardware_lines(plan: Fit) -> tuple[Line, ...]:
    if plan.run_on_hardware:
        return ()
    return (Line(text="planned by arithmetic alone: this kind of GPU has not been run on hardware"),)
