"""Who must agree to acts on a home, and the requests that wait for them; by policies/approval/two_persons.py."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.admin.request_book import RequestBook, RequestsBroken
from gateway.audit.audit_key import UnfitAuditKey, read_deployment
from gateway.configuration.settings import Config
from policies.approval.two_persons import (
    ALONE,
    NAMESPACE,
    ActRequest,
    Asking,
    Effect,
    NotApproved,
    demand_approval,
    demand_open,
    demand_room,
    request_text,
)
from policies.policy_file.ssh_signature import Signatures, Signer, find_signers


@dataclass(frozen=True, slots=True)
class Consents:
    """The signers of config.yaml and the requests of the home in the folder `home`. Every method raises NotApproved."""

    signers: tuple[Signer, ...] = ()
    home: Path = Path()

    @property
    def book(self) -> RequestBook:
        """Where the requests are kept."""
        return RequestBook(self.home)

    def told(self) -> dict[str, str]:
        """For the record of a start, so that a signer who is taken out of config.yaml is seen."""
        names = ", ".join(each.name for each in self.signers)
        return {"signers": names} if names else {"two_persons": ALONE}

    def deployment(self) -> str:
        """The home's name, so that what is signed for one home is worth nothing in another."""
        try:
            return read_deployment(self.home / "audit")
        except (UnfitAuditKey, OSError) as fault:
            raise NotApproved("home_unnamed", f"the audit log's name cannot be read: {fault}") from None

    def asked(
        self, asking: Asking, arguments: Mapping[str, Any], effects: Iterable[Effect], now_s: float
    ) -> ActRequest:
        """The request to keep, if there is room for one more."""
        try:
            demand_room(self.book.requests(), now_s)
        except RequestsBroken as fault:
            raise NotApproved("requests_unusable", str(fault)) from None
        return ActRequest(asking=asking, text=request_text(asking, arguments, effects))

    def keep(self, request: ActRequest) -> None:
        """Keep what was recorded."""
        try:
            self.book.add(request)
        except RequestsBroken as fault:
            raise NotApproved("requests_unusable", str(fault)) from None

    def open_request(self, request_id: str, now_s: float) -> ActRequest:
        """The open request of this id."""
        try:
            return demand_open(self.book.find(request_id), now_s)
        except RequestsBroken as fault:
            raise NotApproved("requests_unusable", str(fault)) from None

    def signed_by(self, request: ActRequest, signatures: Iterable[str]) -> Signatures:
        """Whose these are, over the request's own text."""
        given = [each.encode("ascii", "replace") for each in signatures]
        return find_signers(request.text.encode("ascii", "replace"), given, self.signers, NAMESPACE)

    def approved(
        self, request_id: str, arguments: Mapping[str, Any], effects: Iterable[Effect], asker_id: str, now_s: float
    ) -> tuple[str, ...]:
        """Use the approval up for what is about to be done; those who signed it."""
        request = self.open_request(request_id, now_s)
        names = self.signed_by(request, request.signatures).names
        text = request_text(request.asking, arguments, effects)
        demand_approval(request, text, asker_id, names, now_s)
        try:
            if not self.book.use(request_id):
                raise NotApproved("approval_used", "this approval was used just now: it holds for one time; ask anew")
        except RequestsBroken as fault:
            raise NotApproved("requests_unusable", str(fault)) from None
        return names


def signers_of(config: Config, home: Path) -> Consents:
    """The signers that config.yaml names, for the home in the folder `home`."""
    signers = config.policy.signers
    return Consents(signers.read() if signers is not None else (), home)
