import pytest

from gateway.cli.serve import public_url
from gateway.configuration.settings import Config, ListenSettings


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        (ListenSettings(), "https://127.0.0.1:8443"),
        (ListenSettings(address="0.0.0.0"), "https://127.0.0.1:8443"),
        (ListenSettings(address="::"), "https://[::1]:8443"),
        (ListenSettings(address="2001:db8::1"), "https://[2001:db8::1]:8443"),
        (ListenSettings(unsafe_no_tls=True), "http://127.0.0.1:8443"),
    ],
)
def test_the_url_is_one_that_a_client_here_can_use(listen: ListenSettings, url: str) -> None:
    assert public_url(Config(public=listen), 8443) == url
