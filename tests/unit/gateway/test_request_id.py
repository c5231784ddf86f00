"""Request ids are UUIDs of version 7 that sort by time."""

import uuid

from gateway.request_id import new_request_id


def test_ids_are_version_7_and_sort_by_millisecond() -> None:
    ids = [new_request_id(millisecond * 1_000_000) for millisecond in range(1_700_000_000_000, 1_700_000_000_020)]
    assert ids == sorted(ids)
    assert {uuid.UUID(text).version for text in ids} == {7}
    assert {uuid.UUID(text).variant for text in ids} == {uuid.RFC_4122}
    assert len({new_request_id(0) for _ in range(1000)}) == 1000
