"""The mathematics of a line before many servers: what `capacity` predicts by. Decides nothing.

A request is a customer, a slot a server. Units: seconds, requests a second; loads in erlangs (the mean number of
servers that would be busy if nobody ever had to wait: arrival rate times mean service time). `*_cv2` is a squared
coefficient of variation, variance over squared mean: 0 for what is always alike, 1 for the exponential distribution
(and for arrivals at random, of a Poisson process), more for heavy tails and bursts.

Kendall's letters: M/M/c has arrivals at random, exponential service, c servers; M/G/c any service; GI/G/c any of both.
A line whose load is not below its servers grows without end: everybody waits, and waits are `math.inf`.

What is exact: Erlang B for any service law, Erlang C and all of M/M/c for exponential service. What is not says so.
"""

import math
from statistics import NormalDist, fmean

from msgspec import Struct

NORMAL = NormalDist()
MAX_BETA = 37.0
"""Beyond it the normal density is no longer above zero in a double, nor is anybody's chance to wait."""

QUANTILES = 64
"""Enough of them for a mean of the exponential distribution to be within 1 %."""
NO_WAIT_S = 1e-100
"""Waits of hundreds of idle servers are so short that one over them is not a number any more."""


class Line(Struct, frozen=True, kw_only=True):
    """Customers before `servers` equal servers, first come, first served, nobody turned away.

    Raises ValueError for less than one server, a negative rate or variation, a service time not above 0, or any
    of them not finite.
    """

    servers: int
    arrivals_per_s: float
    service_s: float
    arrival_cv2: float = 1.0
    service_cv2: float = 1.0

    def __post_init__(self) -> None:
        _check_servers(self.servers)
        _check_service(self.service_s)
        _check_not_negative(
            arrivals_per_s=self.arrivals_per_s, arrival_cv2=self.arrival_cv2, service_cv2=self.service_cv2
        )

    @property
    def load_erlangs(self) -> float:
        """The mean number of servers at work, as long as that is less than there are."""
        return self.arrivals_per_s * self.service_s

    @property
    def utilisation(self) -> float:
        """Load over servers; 1 and more: the line grows without end."""
        return self.load_erlangs / self.servers


def erlang_b(servers: int, load_erlangs: float) -> float:
    """The share of customers lost where nobody may wait (M/G/c/c), 0 to 1, whatever the law of service.

    Raises ValueError for less than one server or a load that is negative or not finite. Source: A. K. Erlang 1917, by
    the recursion B(0) = 1, B(n) = a B(n-1) / (n + a B(n-1)), which neither overflows nor cancels.
    """
    _check_servers(servers)
    _check_not_negative(load_erlangs=load_erlangs)
    return _erlang_b(servers, load_erlangs)


def erlang_c(servers: int, load_erlangs: float) -> float:
    """The share of customers that have to wait in M/M/c, 0 to 1; 1 when the load is not below the servers.

    Errors as `erlang_b`. Source: A. K. Erlang 1917, by C = B / (1 - rho (1 - B)), rho = a / c. Other laws of service
    change it little: simulated, by at most 3 % for squared coefficients of variation up to 4
    (docs/proofs/queueing.json).
    """
    loss = erlang_b(servers, load_erlangs)
    return 1.0 if load_erlangs >= servers else loss / (1 - load_erlangs / servers * (1 - loss))


def wait_probability(line: Line) -> float:
    """The share of customers that have to wait, 0 to 1, when arrivals come in bursts too: Erlang C of c/z and a/z.

    z = (1 + arrival_cv2) / 2, at least 1, is the peakedness of the arrivals: bursts make c servers as good as c/z.
    Erlang C itself for random arrivals, and as an upper bound for smoother ones. An approximation: simulated from a
    utilisation of 0.5 on at most 10 % too low (variations up to 13); too high below it, up to tenfold where hardly
    anybody waits. Source: W. S. Hayward's approximation, in A. A. Fredericks, "Congestion in blocking systems - a
    simple approximation technique", Bell System Technical Journal 59(6), 1980; for delays it has the limit of W.
    Whitt, "A diffusion approximation for the G/GI/n/m queue", Operations Research 52(6), 2004, equation 3.10.
    """
    if line.load_erlangs >= line.servers:
        return 1.0
    peakedness = (1 + max(line.arrival_cv2, 1.0)) / 2
    loss = _erlang_b(line.servers / peakedness, line.load_erlangs / peakedness)
    return loss / (1 - line.utilisation * (1 - loss))


def mmc_mean_wait_s(line: Line) -> float:
    """The mean wait in M/M/c, of all customers: C / (c mu - lambda). The line's variations are not looked at."""
    spare_per_s = line.servers / line.service_s - line.arrivals_per_s
    return erlang_c(line.servers, line.load_erlangs) / spare_per_s if spare_per_s > 0 else math.inf


def mdc_mean_wait_s(line: Line) -> float:
    """The mean wait when all services take the same time (M/D/c), approximately; exact for one server.

    Source: G. P. Cosmetatos, "Approximate explicit formulae for the average queueing time in the processes (M/D/r)
    and (D/M/r)", INFOR 13, 1975: half of M/M/c times 1 + gamma, gamma = (1 - rho)(c - 1)(sqrt(4 + 5c) - 2) / (16 c
    rho), at most 0.24 as W. Whitt bounds it ("Approximations for the GI/G/m queue", Production and Operations
    Management 2(2), 1993, from equation 2.16 on).
    """
    c, rho = line.servers, line.utilisation
    if rho == 0:
        return 0.0
    gamma = (1 - min(rho, 1.0)) * (c - 1) * (math.sqrt(4 + 5 * c) - 2) / (16 * c * rho)
    return mmc_mean_wait_s(line) * (1 + min(gamma, 0.24)) / 2


def allen_cunneen_mean_wait_s(line: Line) -> float:
    """The mean wait in GI/G/c: that of M/M/c times (arrival_cv2 + service_cv2) / 2.

    Exact for M/M/c and M/G/1. For many servers and heavy-tailed service AN UPPER BOUND in practice: 10 to 20 % too
    high for 4 servers, 24 to 52 % for 16, simulated with lognormal services of squared coefficients of variation 2
    and 4 (docs/proofs/queueing.json). For service smoother than exponential it is too low. Source: A. O. Allen,
    "Probability, Statistics, and Queueing Theory", 2nd edition 1990 (the Allen-Cunneen formula).
    """
    return mmc_mean_wait_s(line) * (line.arrival_cv2 + line.service_cv2) / 2


def kimura_mean_wait_s(line: Line) -> float:
    """The mean wait in M/G/c: the likely figure beside the bound of Allen and Cunneen. `arrival_cv2` is not looked at.

    (1 + cv2) / (2 cv2 / W(M/M/c) + (1 - cv2) / W(M/D/c)), so exact where M/M/c or M/D/c are. Source: T. Kimura, "A
    two-moment approximation for the mean waiting time in the GI/G/s queue", Management Science 32(6), 1986, with
    Poisson arrivals; W(M/D/c) as in `mdc_mean_wait_s`. For heavy tails still 7 to 18 % too high, simulated
    (docs/proofs/queueing.json).
    """
    exponential_s, alike_s, cv2 = mmc_mean_wait_s(line), mdc_mean_wait_s(line), line.service_cv2
    if not NO_WAIT_S < exponential_s < math.inf:
        return exponential_s
    return (1 + cv2) / (2 * cv2 / exponential_s + (1 - cv2) / alike_s)


def mmc_wait_tail(line: Line, wait_s: float) -> float:
    """The share of customers that wait longer than `wait_s` in M/M/c: C exp(-(c mu - lambda) t).

    Raises ValueError for a wait that is negative or not finite.
    """
    _check_not_negative(wait_s=wait_s)
    spare_per_s = line.servers / line.service_s - line.arrivals_per_s
    return erlang_c(line.servers, line.load_erlangs) * math.exp(-max(spare_per_s, 0.0) * wait_s)


def mmc_wait_quantile_s(line: Line, quantile: float) -> float:
    """The wait that this share of customers in M/M/c does not exceed: `mmc_wait_tail` solved for the wait.

    Raises ValueError for a quantile that is not at least 0 and below 1.
    """
    if not 0 <= quantile < 1:
        raise ValueError("quantile must be at least 0 and below 1")
    spare_per_s = line.servers / line.service_s - line.arrivals_per_s
    if spare_per_s <= 0:
        return math.inf
    waits = erlang_c(line.servers, line.load_erlangs)
    return max(math.log(waits / (1 - quantile)) / spare_per_s, 0.0) if waits > 0 else 0.0


def halfin_whitt(beta: float) -> float:
    """The share of customers that wait when c = a + beta sqrt(a), with c large.

    alpha(beta) = 1 / (1 + beta Phi(beta) / phi(beta)); Phi and phi are the normal distribution and its density. beta
    0: all wait; 1: 22 %. Raises ValueError for a beta that is negative or above 37 (nobody waits there). Source: S.
    Halfin, W. Whitt, "Heavy-traffic limits for queues with many exponential servers", Operations Research 29(3),
    1981, proposition 1.
    """
    if not 0 <= beta <= MAX_BETA:
        raise ValueError(f"beta must be between 0 and {MAX_BETA:g}")
    return 1 / (1 + beta * NORMAL.cdf(beta) / NORMAL.pdf(beta))


def staffing_beta(waits: float) -> float:
    """The beta at which `halfin_whitt` gives this share of waiting customers, to 1e-9; by bisection.

    Raises ValueError for a share that is not above 0 and at most 1.
    """
    if not 0 < waits <= 1:
        raise ValueError("waits must be above 0 and at most 1")
    low, high = 0.0, MAX_BETA
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if halfin_whitt(middle) > waits else (low, middle)
    return low if waits == 1 else high


def square_root_staffing(load_erlangs: float, waits: float) -> int:
    """About how many servers let only this share of customers wait: a + beta sqrt(a), rounded up, above the load.

    A rule for many servers that is seldom off by more than one for few (S. Borst, A. Mandelbaum, M. Reiman,
    "Dimensioning large call centers", Operations Research 52(1), 2004); check it with `erlang_c`. Errors as
    `staffing_beta`, and for a load that is negative or not finite.
    """
    _check_not_negative(load_erlangs=load_erlangs)
    servers = math.ceil(load_erlangs + staffing_beta(waits) * math.sqrt(load_erlangs))
    return max(servers, math.floor(load_erlangs) + 1)


def limited_sharing_mean_response_s(limit: int, utilisation: float, service_s: float, service_cv2: float) -> float:
    """Mean time from arrival to end where one server is shared equally by at most `limit` customers, others waiting.

    ((1 + cv2) / 2 rho^K + 1 - rho^K) / (1 - rho) times the service time alone. Exact for K = 1 (first come, first
    served: Pollaczek and Khinchine), for K without bound (processor sharing) and for exponential service; an
    approximation between. Arrivals at random. Infinite from a utilisation of 1 on. Raises ValueError for a limit
    below 1, a service time not above 0, or a utilisation or variation that is negative or not finite. Source: B.
    Avi-Itzhak, S. Halfin, "Expected response times in a non-symmetric time sharing queue with a limited number of
    service positions", 12th International Teletraffic Congress, 1988.
    """
    _check_service(service_s)
    _check_not_negative(utilisation=utilisation, service_cv2=service_cv2)
    if limit < 1:
        raise ValueError("limit must be at least 1")
    if utilisation >= 1:
        return math.inf
    queued = utilisation**limit
    return service_s * ((1 + service_cv2) / 2 * queued + 1 - queued) / (1 - utilisation)


def _erlang_b(servers: float, load_erlangs: float) -> float:
    """Erlang B for any number of servers above 0, by the recursion from its fraction on.

    For a fraction x: 1 / B = E[(1 + Y / a)^x] with Y exponential of mean 1, as the mean over its quantiles, within 1 %
    (D. L. Jagerman, "Some properties of the Erlang loss function", Bell System Technical Journal 53(3), 1974).
    """
    if not load_erlangs:
        return 0.0
    whole, part, loss = math.floor(servers), servers - math.floor(servers), 1.0
    if part:
        loss = 1 / fmean((1 - math.log((place + 0.5) / QUANTILES) / load_erlangs) ** part for place in range(QUANTILES))
    for n in range(1, whole + 1):
        loss = load_erlangs * loss / (n + part + load_erlangs * loss)
    return loss


def _check_servers(servers: int) -> None:
    if servers < 1:
        raise ValueError("servers must be at least 1")


def _check_service(service_s: float) -> None:
    if not 0 < service_s < math.inf:
        raise ValueError("service_s must be above 0 and finite")


def _check_not_negative(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite")
