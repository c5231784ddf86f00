"""What of a caller's `keep_alive` counts. Its effect is on everybody who uses the model, so it is a hint.

Rules:
 (1) Nobody but an administrator may unload a model (0), or keep it for ever (below 0): that would take it from the
     others, or the memory. Callers who ask for it are answered as they expect, and nothing is done.
 (2) Any caller may ask for a time, up to the operator's bound. It can only lengthen what there is: the last of several
     callers does not decide for the rest.
 (3) Nothing keeps a model against another that requests wait for.
"""

import math


def allowed_keep_alive_s(asked_s: float | None, *, is_admin: bool, most_s: float) -> float | None:
    """Seconds to keep the model from now, infinity for as long as possible, 0 to let it go; None: nothing is done.

    >>> allowed_keep_alive_s(1800.0, is_admin=False, most_s=600.0)
    600.0
    """
    if asked_s is None or math.isnan(asked_s):
        return None
    if is_admin:
        return math.inf if asked_s < 0 else asked_s
    bounded_s = min(asked_s, most_s)
    return bounded_s if bounded_s > 0 else None
