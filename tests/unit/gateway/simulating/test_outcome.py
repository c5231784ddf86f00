"""What became of a try, as a value."""

from gateway.simulating.arrivals import Arrival
from gateway.simulating.outcome import Outcome


def test_a_try_that_never_ran_has_done_no_work() -> None:
    arrival = Arrival(at_s=0.0, team="a", prompt_tokens=1, output_tokens=1)
    refused = Outcome(
        number=0, arrival=arrival, asked_s=0.0, attempt=0, booked=False, end="refused", ended_s=0.0, final=True
    )
    assert (refused.started_s, refused.first_s, refused.forecast, refused.retry_after_s) == (None, None, None, None)
    assert (refused.prompt_tokens, refused.output_tokens) == (0.0, 0.0)
