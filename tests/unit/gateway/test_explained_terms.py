"""Every limit and every term of the queue, in the English of the command and in the words of a page."""

from dataclasses import replace

import pytest

from gateway.console.words import load_words
from gateway.explained_terms import told_limits, told_queue
from policies.limiting.limits import BudgetClaim, Claim, ConcurrencyClaim, RateClaim
from policies.limiting.rate_limit import Rate
from policies.policy import Band, Policy, Team

CHINESE = load_words("zh")
MINUTE = Rate(60, 60)


@pytest.mark.parametrize(
    ("claim", "english", "chinese"),
    [
        (RateClaim("a", MINUTE), "60 requests a minute for this key", "该密钥每分钟 60 个请求"),
        (
            RateClaim("a", MINUTE, unit="prompt_tokens", subject="your address", whose="address"),
            "60 prompt tokens a minute for your address",
            "该地址每分钟 60 个提示词元",
        ),
        (
            RateClaim("a", MINUTE, unit="output_tokens", subject="team red", whose="team"),
            "60 output tokens a minute for team red",
            "团队 red 每分钟 60 个输出词元",
        ),
        (
            ConcurrencyClaim("a", 1, subject="model m:1b", whose="model"),
            "1 concurrent request for model m:1b",
            "模型 m:1b 同时 1 个请求",
        ),
        (
            BudgetClaim("a", 1000, 1, "day", subject="this login"),
            "1000 tokens a day for this login",
            "该登录身份每日 1000 个词元",
        ),
        (
            BudgetClaim("a", 9, 1, "month", subject="all callers", whose="all", report=True),
            "9 tokens a month for all callers (reports only)",
            "所有调用者合计每月 9 个词元（仅记录）",
        ),
        (
            RateClaim("a", MINUTE, subject="a new one"),
            "60 requests a minute for a new one",
            "a new one每分钟 60 个请求",
        ),
    ],
)
def test_a_limit_is_told(claim: Claim, english: str, chinese: str):
    told = told_limits([claim])
    assert (str(told), CHINESE.said(told)) == (f"unless used up: {english}", f"除非已用尽：{chinese}")


def test_limits_are_listed_and_none_is_said_too():
    told = told_limits([RateClaim("a", MINUTE), ConcurrencyClaim("b", 2)])
    assert str(told).count("; ") == 1
    assert str(CHINESE.said(told)).count("；") == 1
    assert (str(told_limits([])), CHINESE.said(told_limits([]))) == ("no limit", "没有限额")


def test_the_terms_of_the_queue_are_told():
    told = told_queue(Team(models=("*",)), Policy(teams={}))
    assert str(told) == (
        "band standard (2 of 3, 30% of the slots' time guaranteed), weight 1; no time to the first token is "
        "promised; at most 64 of the team and 512 in all wait, 120 s"
    )
    assert CHINESE.said(told) == (
        "等级 standard（共 3 级中的第 2 级，保证 30% 的槽位时间），权重 1；未承诺首个词元的时间；"
        "最多有该团队的 64 个、全部 512 个请求等待，每个最长 120 秒"
    )


def test_a_promise_and_a_band_that_lends_nothing_are_told():
    team = Team(models=("*",), first_token_s=2.5, promise_mode="report")
    told = told_queue(team, replace(Policy(teams={}), bands={"standard": Band(share=0.25, lends=False)}))
    assert "; first token within 2.5 s, or refused at once (reports only); " in str(told)
    said = str(CHINESE.said(told))
    assert "保证 25% 的槽位时间，并为其空置" in said
    assert "首个词元在 2.5 秒之内，否则立即拒绝（仅记录）" in said
