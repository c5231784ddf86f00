"""The parser that faces the network is the one that was measured, or the process does not start."""

import pytest

from gateway.http.http_handler import assert_c_parser
from gateway.http.self_test import UnfitParser, demand_fit_parser

FIT = {"version": "3.14.5", "parser_module": "aiohttp._http_parser", "extensions_off": False, "optimize": 0}


def test_this_installation_is_fit():
    assert_c_parser()


@pytest.mark.parametrize("version", ["3.14.5", "3.14.10", "3.15.0", "4.0.0a1"])
def test_versions_from_the_floor_up(version):
    demand_fit_parser(**{**FIT, "version": version})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": "3.14.4"}, "3.14.5 or newer"),
        ({"version": "unknown"}, "too old"),
        ({"extensions_off": True}, "AIOHTTP_NO_EXTENSIONS"),
        ({"parser_module": "aiohttp.http_parser"}, "C parser is not loaded"),
        ({"optimize": 1}, "without python -O"),
    ],
)
def test_what_is_unfit(change, told):
    with pytest.raises(UnfitParser, match=told):
        demand_fit_parser(**{**FIT, **change})
