"""What the queue is told: how a ticket says where it waits."""

from policies.admitting.ticket import NO_GUARANTEE, Ticket


def test_a_ticket_waits_in_the_pool_of_its_model_adapter_and_kind() -> None:
    ticket = Ticket(id=1, model="m", adapter="poet", kind="chat", team="a", arrived_s=0.0)
    assert ticket.pool == ("m", "poet", "chat")


def test_one_that_asked_for_a_lower_band_has_no_part_in_its_guarantee() -> None:
    ticket = Ticket(id=1, model="m", kind="chat", team="a", arrived_s=0.0, band="low", own_band="high")
    assert ticket.guaranteed_band == NO_GUARANTEE
    own = Ticket(id=1, model="m", kind="chat", team="a", arrived_s=0.0, band="low", own_band="low")
    assert own.guaranteed_band == "low"
