"""Queueing formulas: closed forms, published tables, limits, properties, an independent library, and simulation."""

import math

import ciw
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyqueueing import MG1, MMC, ErlangB, ErlangC

from bench.proofs.queueing import bursts_row, erlang_rows, sharing_row
from policies.queueing import (
    MAX_BETA,
    Line,
    allen_cunneen_mean_wait_s,
    erlang_b,
    erlang_c,
    halfin_whitt,
    kimura_mean_wait_s,
    limited_sharing_mean_response_s,
    mdc_mean_wait_s,
    mmc_mean_wait_s,
    mmc_wait_quantile_s,
    mmc_wait_tail,
    square_root_staffing,
    staffing_beta,
    wait_probability,
)

SERVERS = st.integers(1, 200)
UTILISATIONS = st.floats(0.001, 0.999)


def line(servers: int, utilisation: float, arrival_cv2: float = 1.0, service_cv2: float = 1.0) -> Line:
    return Line(
        servers=servers,
        arrivals_per_s=servers * utilisation / 2,
        service_s=2.0,
        arrival_cv2=arrival_cv2,
        service_cv2=service_cv2,
    )


# ---- Erlang B and C


@pytest.mark.parametrize(
    ("servers", "load", "loss"),
    [(1, 1.0, 0.5), (2, 1.0, 0.2), (5, 3.0, 0.1100543), (10, 5.0, 0.0183846), (20, 12.031, 0.01), (100, 84.064, 0.01)],
)
def test_erlang_b_as_published(servers: int, load: float, loss: float) -> None:
    """The last two are lines of the usual tables of a 1 % grade of service."""
    assert erlang_b(servers, load) == pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize(("servers", "load", "waits"), [(1, 0.7, 0.7), (2, 1.0, 1 / 3), (10, 8.0, 0.409180)])
def test_erlang_c_as_published(servers: int, load: float, waits: float) -> None:
    assert erlang_c(servers, load) == pytest.approx(waits, rel=1e-5)


def test_nobody_waits_without_load_and_everybody_from_saturation_on() -> None:
    assert (erlang_b(3, 0), erlang_c(3, 0)) == (0, 0)
    assert (erlang_c(3, 3), erlang_c(3, 30)) == (1, 1)
    assert erlang_b(3, 1e9) == pytest.approx(1)
    assert erlang_b(5000, 4800) == pytest.approx(ErlangB(4800, 1, 5000).prob_block())  # where factorials overflow


@given(SERVERS, UTILISATIONS)
def test_erlang_against_an_independent_library(servers: int, utilisation: float) -> None:
    load = servers * utilisation
    assert erlang_b(servers, load) == pytest.approx(ErlangB(load, 1, servers).prob_block(), rel=1e-9)
    assert erlang_c(servers, load) == pytest.approx(ErlangC(load, 1, servers).prob_wait(), rel=1e-6)


@given(SERVERS, UTILISATIONS, st.floats(1.001, 1.2))
def test_more_load_or_fewer_servers_never_help(servers: int, utilisation: float, more: float) -> None:
    load = servers * utilisation
    for share in (erlang_b, erlang_c):
        assert 0 <= share(servers + 1, load) <= share(servers, load) <= share(servers, load * more) <= 1
    assert erlang_b(servers, load) <= erlang_c(servers, load)


# ---- waits


def test_mm1_in_closed_form() -> None:
    one = line(1, 0.75)  # rho / (mu - lambda) = 0.75 / 0.125
    assert mmc_mean_wait_s(one) == pytest.approx(6)
    assert mmc_wait_tail(one, 8) == pytest.approx(0.75 * math.exp(-1))
    assert mmc_wait_tail(one, mmc_wait_quantile_s(one, 0.9)) == pytest.approx(0.1)
    assert mmc_wait_quantile_s(one, 0.25) == 0
    assert mmc_wait_quantile_s(line(1, 0), 0.99) == 0


@given(SERVERS, UTILISATIONS, st.floats(0, 20))
def test_mmc_against_an_independent_library(servers: int, utilisation: float, wait_s: float) -> None:
    mine, other = line(servers, utilisation), MMC(servers * utilisation / 2, 0.5, servers)
    assert mmc_mean_wait_s(mine) == pytest.approx(other.mean_wait(), rel=1e-6)
    assert mmc_wait_tail(mine, wait_s) == pytest.approx(1 - other.wait_time_cdf(wait_s), abs=1e-9)


@given(SERVERS, UTILISATIONS, st.floats(0.5, 0.999))
def test_the_quantile_is_the_tail_turned_round(servers: int, utilisation: float, quantile: float) -> None:
    mine = line(servers, utilisation)
    assert mmc_wait_tail(mine, mmc_wait_quantile_s(mine, quantile)) <= 1 - quantile + 1e-9


def test_a_line_that_grows_without_end() -> None:
    for full in (line(4, 1.0), line(4, 1.5)):
        assert mmc_mean_wait_s(full) == mmc_wait_quantile_s(full, 0.5) == math.inf
        assert mdc_mean_wait_s(full) == allen_cunneen_mean_wait_s(full) == kimura_mean_wait_s(full) == math.inf
        assert mmc_wait_tail(full, 1000) == 1


@given(UTILISATIONS, st.floats(0, 30))
def test_one_server_is_pollaczek_and_khinchine(utilisation: float, cv2: float) -> None:
    exact = MG1(utilisation / 2, 0.5, service_cv=math.sqrt(cv2)).mean_wait()
    mine = line(1, utilisation, service_cv2=cv2)
    assert allen_cunneen_mean_wait_s(mine) == pytest.approx(exact)
    assert kimura_mean_wait_s(mine) == pytest.approx(exact)


@given(SERVERS, UTILISATIONS, st.floats(0, 30))
def test_kimura_lies_between_the_exponential_and_the_bound(servers: int, utilisation: float, cv2: float) -> None:
    mine = line(servers, utilisation, service_cv2=cv2)
    assume(mmc_mean_wait_s(mine) > 1e-300)
    likely, bound = kimura_mean_wait_s(mine), allen_cunneen_mean_wait_s(mine)
    low, high = sorted((mmc_mean_wait_s(mine), bound))
    assert low * (1 - 1e-9) <= likely <= high * (1 + 1e-9)


def test_kimura_and_the_bound_are_exact_at_the_exponential_and_kimura_at_the_constant() -> None:
    assert kimura_mean_wait_s(line(8, 0.9)) == allen_cunneen_mean_wait_s(line(8, 0.9)) == mmc_mean_wait_s(line(8, 0.9))
    assert kimura_mean_wait_s(line(8, 0.9, service_cv2=0)) == mdc_mean_wait_s(line(8, 0.9))
    assert kimura_mean_wait_s(line(8, 0)) == mdc_mean_wait_s(line(8, 0)) == 0


def test_kimura_has_a_wait_for_any_number_of_idle_servers() -> None:
    """Their waits go through the least numbers there are, where one over them is infinite."""
    for servers in range(250, 300):
        idle = Line(servers=servers, arrivals_per_s=0.9, service_s=9.0, arrival_cv2=1.0, service_cv2=2.0)
        assert 0 <= kimura_mean_wait_s(idle) < 1e-99


@pytest.mark.parametrize(("servers", "utilisation", "wait"), [(2, 0.5, 0.1768), (4, 0.8, 0.3835), (10, 0.9, 0.3431)])
def test_constant_services_are_close_to_what_was_simulated(servers: int, utilisation: float, wait: float) -> None:
    """Simulated once by bench.line_simulation, 1,500,000 customers, constant service of 1 s."""
    assert mdc_mean_wait_s(line(servers, utilisation)) / 2 == pytest.approx(wait, rel=0.03)


# ---- bursts


@given(SERVERS, UTILISATIONS, st.floats(0, 100), st.floats(1.001, 1.5))
def test_bursts_make_more_wait_and_smooth_arrivals_no_fewer(
    servers: int, utilisation: float, cv2: float, more: float
) -> None:
    calm, bursts = wait_probability(line(servers, utilisation)), wait_probability(line(servers, utilisation, cv2))
    assert calm == erlang_c(servers, servers * utilisation)
    assert bursts == calm if cv2 <= 1 else calm * (1 - 1e-9) <= bursts <= 1
    assert bursts <= wait_probability(line(servers, utilisation * more, cv2)) * (1 + 1e-9)


@given(st.integers(1, 60), UTILISATIONS, st.integers(2, 6))
def test_with_a_whole_peakedness_it_is_erlang_c_of_fewer_servers(fewer: int, utilisation: float, peaked: int) -> None:
    mine = line(fewer * peaked, utilisation, arrival_cv2=2 * peaked - 1)
    assert wait_probability(mine) == pytest.approx(erlang_c(fewer, fewer * utilisation), rel=1e-6)


def test_bursts_change_nothing_where_nobody_or_everybody_waits() -> None:
    assert wait_probability(line(4, 0, 9)) == 0
    assert wait_probability(line(4, 1e-320, 9)) == 0
    assert wait_probability(line(4, 1, 9)) == wait_probability(line(4, 2, 9)) == 1


@pytest.mark.slow
def test_bursts_against_simulation() -> None:
    rows = bursts_row(60_000, 16, 0.8, 4.0)
    assert abs(rows["corrected"]["off"]) < 0.1
    assert rows["erlang_c"]["off"] < -0.3


# ---- staffing


@pytest.mark.parametrize(("beta", "waits"), [(0, 1.0), (0.5, 0.5046), (1, 0.2234), (1.5, 0.0847), (2, 0.0269)])
def test_halfin_and_whitts_limit(beta: float, waits: float) -> None:
    assert halfin_whitt(beta) == pytest.approx(waits, abs=5e-4)
    assert erlang_c(round(250_000 + beta * 500), 250_000.0 - 1e-9) == pytest.approx(waits, abs=5e-3)


@given(st.floats(1e-12, 1))
def test_beta_solves_it(waits: float) -> None:
    assert halfin_whitt(staffing_beta(waits)) == pytest.approx(waits, rel=1e-6)


@given(st.floats(0, 3000), st.floats(0.001, 0.9))
def test_the_rule_is_close_to_the_fewest_servers_that_do(load: float, waits: float) -> None:
    """By no more than two: Borst, Mandelbaum and Reiman found one, for shares above a few per cent."""
    by_rule = square_root_staffing(load, waits)
    fewest = by_rule
    while fewest - 1 > load and erlang_c(fewest - 1, load) <= waits:
        fewest -= 1
    while erlang_c(fewest, load) > waits:
        fewest += 1
    assert by_rule > load
    assert abs(by_rule - fewest) <= 2


# ---- limited sharing


def test_limited_sharing_in_closed_form() -> None:
    assert limited_sharing_mean_response_s(1, 0.8, 2, 4) == pytest.approx(
        MG1(0.4, 0.5, service_cv=2).mean_system_time()
    )
    assert limited_sharing_mean_response_s(10_000, 0.8, 2, 4) == pytest.approx(10)  # processor sharing: S / (1 - rho)
    assert limited_sharing_mean_response_s(7, 0.8, 2, 1) == pytest.approx(10)  # exponential: any limit alike
    assert limited_sharing_mean_response_s(4, 0, 2, 4) == 2
    assert limited_sharing_mean_response_s(4, 1, 2, 4) == math.inf


@pytest.mark.slow
def test_limited_sharing_against_simulation() -> None:
    assert abs(sharing_row(60_000, 4, 2.0)["off"]) < 0.12


# ---- simulation, small and seeded


@pytest.mark.slow
def test_formulas_against_a_simulation_by_heap() -> None:
    rows = erlang_rows(100_000, 4, 0.8, 1)
    assert abs(rows["wait"]["off"]) < 0.03
    assert abs(rows["loss"]["off"]) < 0.03
    assert abs(rows["mean_wait"]["off"]) < 0.1
    heavy = erlang_rows(100_000, 16, 0.8, 4)
    assert abs(heavy["wait"]["off"]) < 0.06
    assert heavy["bound"]["off"] > heavy["likely"]["off"] > 0


@pytest.mark.slow
def test_formulas_against_a_simulation_by_ciw() -> None:
    ciw.seed(3)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=3.0)],
        service_distributions=[ciw.dists.Exponential(rate=1.0)],
        number_of_servers=[4],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(10_000)
    waited = [record.waiting_time for record in simulation.get_all_records() if record.arrival_date > 200]
    exact = Line(servers=4, arrivals_per_s=3, service_s=1)
    assert len(waited) > 25_000
    assert sum(wait > 0 for wait in waited) / len(waited) == pytest.approx(erlang_c(4, 3), rel=0.05)
    assert sum(waited) / len(waited) == pytest.approx(mmc_mean_wait_s(exact), rel=0.1)
    assert sum(wait > 1 for wait in waited) / len(waited) == pytest.approx(mmc_wait_tail(exact, 1), rel=0.1)


# ---- what is no line


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_bad_values_are_refused(bad: float) -> None:
    good = line(1, 0.5)
    for call in (
        lambda: line(1, bad),
        lambda: line(1, 0.5, arrival_cv2=bad),
        lambda: line(1, 0.5, service_cv2=bad),
        lambda: Line(servers=1, arrivals_per_s=1, service_s=bad),
        lambda: erlang_b(1, bad),
        lambda: erlang_c(1, bad),
        lambda: mmc_wait_tail(good, bad),
        lambda: mmc_wait_quantile_s(good, bad),
        lambda: halfin_whitt(bad),
        lambda: staffing_beta(bad),
        lambda: square_root_staffing(bad, 0.5),
        lambda: limited_sharing_mean_response_s(2, bad, 1, 1),
        lambda: limited_sharing_mean_response_s(2, 0.5, bad, 1),
        lambda: limited_sharing_mean_response_s(2, 0.5, 1, bad),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()


def test_bad_numbers_and_shares_are_refused() -> None:
    for call in (
        lambda: line(0, 0.5),
        lambda: erlang_b(0, 0.5),
        lambda: Line(servers=1, arrivals_per_s=1, service_s=0),
        lambda: mmc_wait_quantile_s(line(1, 0.5), 1),
        lambda: staffing_beta(0),
        lambda: staffing_beta(1.1),
        lambda: halfin_whitt(MAX_BETA + 1),
        lambda: limited_sharing_mean_response_s(0, 0.5, 1, 1),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()
