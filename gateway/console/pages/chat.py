"""The pages of the part "chat" of the console: asking a model as one's own team, by the way that every client takes.

The pages only write the request and read the answer; who may ask what, how much and when the request flow decides
(`gateway.console.handing_on`). The conversation stands in the page and nowhere here.
"""

from collections.abc import Mapping

from msgspec import structs

from gateway.console.chat_form import FORM_BYTES, ChatForm, Said, chat_body, read_chat_form, read_said, write_turns
from gateway.console.page import Answer, ConsoleRoute, HandedOn, Page, Visit
from gateway.console.world import World
from gateway.route_tables import HANDED_ON
from policies.call import ModelCard
from policies.console.chat_rights import chat_teams
from policies.console.roles import Standing
from policies.console.viewer import Role, Viewer
from policies.credentials.principal import holder_of

WHO_CHATS: frozenset[Role] = frozenset({"admin", "team-lead"})


def routes(world: World) -> tuple[ConsoleRoute, ...]:
    """The part's pages."""

    async def chat(visit: Visit) -> Answer:
        return _page(world, visit, visit.query)

    async def whole(visit: Visit) -> Answer:
        asked = read_chat_form(visit.form)

        def then(status: int, body: bytes) -> Answer:
            return structs.replace(_page(world, visit, visit.form, asked, read_said(status, body)), status=status)

        return HandedOn(team=asked.team, target=HANDED_ON, body=chat_body(asked, streamed=False), then=then)

    async def streamed(visit: Visit) -> Answer:
        asked = read_chat_form(visit.form)
        return HandedOn(team=asked.team, target=HANDED_ON, body=chat_body(asked, streamed=True))

    return (
        ConsoleRoute(method="GET", path="/chat", roles=WHO_CHATS, answer=chat, menu="chat.menu"),
        ConsoleRoute(method="POST", path="/chat", roles=WHO_CHATS, answer=whole, form_limit_bytes=FORM_BYTES),
        ConsoleRoute(method="POST", path="/chat/stream", roles=WHO_CHATS, answer=streamed, form_limit_bytes=FORM_BYTES),
    )


def _page(
    world: World, visit: Visit, chosen: Mapping[str, str], asked: ChatForm | None = None, said: Said | None = None
) -> Page:
    """The form for the chosen team and model, after what was `asked` and `said`."""
    teams = _teams(world, visit.viewer)
    team = chosen.get("team", "") if chosen.get("team", "") in teams else next(iter(teams), "")
    models = [card.name for card in _models(world, team)]
    turns = asked.turns if asked is not None else ()
    if asked is not None and said is not None and not said.error:
        turns = (*asked.asked, said.turn)
    data = {
        "teams": teams,
        "team": team,
        "models": models,
        "model": chosen.get("model", "") if chosen.get("model", "") in models else next(iter(models), ""),
        "kept": world.gate.in_force.policy.teams[team].audit.content if team else "none",
        "turns": turns,
        "turns_field": write_turns(turns),
        "said": said,
        "question": asked.question if asked is not None and said is not None and said.error else "",
    }
    return Page("chat/chat.html", data)


def _teams(world: World, viewer: Viewer) -> tuple[str, ...]:
    """Those that the viewer may chat as."""
    key = world.keys.get(viewer.actor.key_id) if viewer.break_glass else None
    if viewer.break_glass and key is None:
        return ()
    holder = holder_of(key, world.keys.get) if key is not None else None
    return chat_teams(Standing(viewer.role, viewer.teams), world.gate.in_force.policy.teams, holder)


def _models(world: World, team: str) -> list[ModelCard]:
    """The models that the team may chat with, by name."""
    found = world.gate.in_force.policy.teams.get(team)
    cards = world.gate.catalogue.cards() if found is not None else ()
    usable = (card for card in cards if found is not None and found.may_use(card.name))
    return sorted((card for card in usable if "completion" in card.capabilities), key=lambda card: card.name)
