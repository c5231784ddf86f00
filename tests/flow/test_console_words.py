"""Pages in Chinese say in Chinese why an act was refused, how the log is anchored and what each step decides."""

import html
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from policies.credentials.api_key import mint
from tests.flow.console_visitors import Browser, Got, console_site
from tests.flow.test_console_keys import FIELD, TEAMS, Desk, make_key, words
from tests.flow.test_console_policy import TEXT, take

CHINESE = re.compile(r"[\u3400-\u9fff]")
ENGLISH = re.compile(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b")
"""Three words beside each other: names and settings stand alone."""
REFUSED = re.compile(r'<p (?:class="refused" )?role="alert"[^>]*>(.*?)</p>', re.DOTALL)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with console_site(tmp_path) as site:
        site.take_policy(teams=TEAMS)
        yield Desk(site, "")


async def reader(desk: Desk, person: str = "ada") -> Browser:
    """Somebody whose session is in Chinese."""
    browser = await desk.signed_in(person)
    assert '<html lang="zh">' in (await browser.get("/sessions?lang=zh")).text
    return browser


async def sent(browser: Browser, page: str, to: str, **fields: str) -> Got:
    """The form `to` of `page`, sent with its hidden fields; of what it does not offer, with those of another form."""
    shown = await browser.get(page)
    form = re.search(rf'<form method="post" action="{re.escape(to)}".*?</form>', shown.text, re.DOTALL)
    return await browser.post(to, **dict(FIELD.findall(form[0] if form else shown.text)), **fields)


def line(got: Got) -> str:
    """The one line why not, which must be Chinese throughout."""
    (found,) = REFUSED.findall(got.text)
    told = html.unescape(found).strip()
    assert CHINESE.search(told), told
    assert "<span" not in told, told
    assert not ENGLISH.search(told), told
    return told


async def test_forms_of_keys_say_why_not(desk: Desk):
    ada = await reader(desk)
    for fields, told in (
        ({"expires": "soon"}, "“soon”不是时长"),
        ({"expires": "never"}, "须勾选“永不到期”"),
        ({"expires": "99999d"}, "“expires”须为"),
        ({"networks": "10.0.0.1/8"}, "“10.0.0.1/8”不是"),
        ({"purpose": "line\nbreak"}, "无法显示"),
        ({"purpose": "x" * 300}, "不符合要求"),
    ):
        terms = {"team": "one", "expires": "90d", "scope_inference": "on"}
        refused = await sent(ada, "/keys/new", "/keys/new", **(terms | fields))
        assert refused.status == 400
        assert told in line(refused)
    bare = await sent(ada, "/keys/new", "/keys/new", team="one", expires="90d")
    assert "至少需要一种权限范围" in line(bare)
    key_id, _ = await make_key(ada)
    page = f"/keys/{key_id}"
    assert "“overlap”：“a while”不是时长" in line(await sent(ada, page, f"/keys/rotate/{key_id}", overlap="a while"))
    assert "“next”须为" in line(await sent(ada, page, f"/keys/review/{key_id}", next="1s"))
    assert (await sent(ada, page, f"/keys/rotate/{key_id}", overlap="1h")).status == 200
    assert "正在由" in line(await rotated_again(ada, key_id))
    assert (await sent(ada, page, f"/keys/revoke/{key_id}", sure="on")).status == 303
    assert "已吊销：请另建一个" in line(await rotated_again(ada, key_id))


async def rotated_again(browser: Browser, key_id: str) -> Got:
    """As from a page that was loaded before the key changed."""
    fields = dict(FIELD.findall((await browser.get("/keys/new")).text))
    return await browser.post(f"/keys/rotate/{key_id}", **fields, overlap="1h")


async def test_forms_of_access_say_why_not(desk: Desk):
    ada = await reader(desk)
    fields = {"team": "one", "limit": "tokens_per_day", "value": "2000", "until": "12h"}
    for changed, told in (
        ({"team": "none"}, "没有团队“none”"),
        ({"value": "many"}, "tokens_per_day=many"),
        ({"value": "0"}, "至少为 1"),
        ({"limit": "wishes"}, "没有名为“wishes”的限额"),
        ({"until": "never"}, "既不是时长"),
        ({"until": "9999d"}, "须在将来"),
        ({"value": "1"}, "teams.one.limits.tokens_per_day 为 1000；teams.one.key_limits.tokens_per_day 没有上限"),
    ):
        assert told in line(await sent(ada, "/access", "/access/grant", **(fields | changed)))
    assert "没有编号为" in line(await sent(ada, "/access", "/access/end", id="0f"))
    assert "三者选一" in line(await sent(ada, "/access", "/access/revoke", kind="nobody", sure="on"))
    assert "没有团队“none”" in line(await sent(ada, "/access", "/access/lock", team="none", sure="on"))


async def test_questions_to_the_log_say_why_not(desk: Desk):
    audrey = await reader(desk, "audrey")
    for query, told in (
        ("since=later", "“since”：“later”不是时间"),
        ("since=1h&until=2h", "开始时间须早于结束时间"),
        ("address=here", "既不是地址"),
        ("address=10.0.0.1/8", "10.0.0.0/8"),
        ("text=...", "没有可以搜索的词"),
        ("text=" + "+".join(f"w{number}" for number in range(20)), "最多 16 个词"),
        ("outcome=fine", "须为以下之一"),
        ("address=" + "1" * 600, "超过 512 个字符"),
        ("saved=unkept", "没有以“unkept”保存的搜索"),
        (f"team={mint(secrets.token_bytes).text}", "完整的密钥"),
    ):
        page = await audrey.get(f"/audit?{query}")
        assert page.status == 400, query
        assert told in line(page)
    assert "小写字母" in line(await sent(audrey, "/audit?since=1h", "/audit/searches", since="1h", name="A B"))
    unsigned = await sent(audrey, "/audit?since=1h", "/audit/review", since="1h", ranges="none", remark="fine")
    assert "没有指明日志的任何一段" in line(unsigned)
    assert "不是时间" in line(await audrey.get("/audit/key/x?since=later"))
    assert "不是时间" in line(await audrey.get("/audit/addresses?since=later"))


async def test_a_patch_says_why_not(desk: Desk):
    await take(desk.site, TEXT)
    ada = await reader(desk)
    for query, told in (
        ("setting=a b&value=1", "用点分隔的路径"),
        ("setting=max_queued&value=", "写成一行"),
        ("setting=teams.one.limits.tokens_per_day&value=1000", "已经是 1000"),
    ):
        assert told in line(await ada.get(f"/policy/patch?{query}"))
    faulty = await ada.get("/policy/patch?setting=max_queued&value=0")
    assert '<span lang="en">' in faulty.text  # the file's own faults are English, and marked as that


async def test_how_the_log_is_anchored_is_said_in_the_pages_language(desk: Desk):
    ada = await reader(desk)
    for path in ("/", "/audit/log"):
        page = words(await ada.get(path))
        assert "未锚定在本机之外" in page
        assert "not anchored" not in page


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("team=one&route=GET+/api/tags", "所有调用者合计每分钟"),
        ("team=two&address=10.2.0.1&route=GET+/api/tags", "请查看团队的网络名单"),
        ("team=one&model=nothing", "现有的模型"),
        ("team=one&address=192.0.2.1", "请查看networks"),
        ("team=one&route=GET+/health/live", "公开的路由"),
        ("team=one&route=GET+/api/nothing", "请求的路径"),
        ("team=one&route=GET+/metrics&listener=admin", "凭据的权限范围"),
        ("team=one&kind=jwt&scopes=", "身份提供方的令牌，权限范围：无"),
    ],
)
async def test_every_step_of_an_explanation_is_in_the_pages_language(desk: Desk, query: str, told: str):
    await take(desk.site, TEXT + "limits:\n  requests_per_minute: 6000\n")
    ada = await reader(desk)
    page = await ada.get(f"/policy/explain?{query}")
    body = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
    assert told in html.unescape(body)
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", body, re.DOTALL)
    assert len(cells) % 4 == 0
    for name, _, said in zip(cells[1::4], cells[2::4], cells[3::4], strict=True):
        assert CHINESE.search(name), name
        assert CHINESE.search(said), said
        assert not ENGLISH.search(html.unescape(said)), said


async def test_the_english_page_and_the_command_say_the_same(desk: Desk):
    ada = await desk.signed_in("ada")
    refused = await sent(ada, "/keys/new", "/keys/new", team="one", expires="soon", scope_inference="on")
    assert "expires: 'soon' is not a duration such as 90d, 12h or 30m" in html.unescape(refused.text)
    assert 'lang="en"' not in refused.text.partition("<main")[2]
