"""Who may administer: root, the owner, and the admin group if there is one."""

import grp
import os
import socket

import pytest

from gateway.admin.admin_peer import Peer, group_id, may_administer, read_peer, user_name

NOBODY_HERE = 4_000_000_000
OWNER = 3_999_999_999


def test_the_kernel_names_the_peer():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert read_peer(ours) == Peer(os.geteuid(), os.getegid(), user_name(os.geteuid()))


def test_a_user_without_a_name_has_a_number():
    assert user_name(NOBODY_HERE) == f"uid {NOBODY_HERE}"
    assert user_name(0) == "root"


@pytest.mark.parametrize(
    ("uid", "gid", "admin_gid", "allowed"),
    [
        (0, 0, None, True),
        (OWNER, 7, None, True),
        (NOBODY_HERE, 7, None, False),
        (NOBODY_HERE, 7, 8, False),
        (NOBODY_HERE, 7, 7, True),
    ],
)
def test_who_may(uid, gid, admin_gid, allowed):
    assert may_administer(Peer(uid, gid, "x"), OWNER, admin_gid) is allowed


def test_membership_in_the_group_counts_beside_the_primary_one():
    name = "daemon"
    uid = 1
    assert user_name(uid) == name
    gid = os.getgrouplist(name, 1)[0]
    assert may_administer(Peer(uid, 12345, name), OWNER, 12345)
    assert not may_administer(Peer(uid, 12345, name), OWNER, 54321)
    assert grp.getgrgid(gid).gr_gid == group_id(grp.getgrgid(gid).gr_name)


def test_an_unknown_group_is_told():
    with pytest.raises(KeyError):
        group_id("no such group here")
