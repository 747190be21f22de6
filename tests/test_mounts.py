"""Which file system a path is on, by texts as Linux gives them."""

from pathlib import Path, PurePosixPath

import pytest

from histq.mounts import Mount, mount, mount_of

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:35 / /data rw,relatime shared:1 - nfs4 filer:/export rw,vers=4.2,addr=10.0.0.9
41 40 8:1 / /data/local rw,relatime - xfs /dev/sda1 rw
42 27 0:36 / /mnt/my\040share rw,relatime master:2 - cifs //nas/share rw
43 27 0:37 / /home/me/far rw,nosuid - fuse.sshfs me@host:/ rw
44 27 0:38 / /home/me/vault rw,nosuid - fuse.gocryptfs vault rw
45 27 0:39 / /over rw,relatime - nfs filer:/old rw
46 27 0:40 / /over rw,relatime - tmpfs tmpfs rw
47 27 0:41 / /win rw,noatime - 9p drvfs rw
"""


@pytest.mark.parametrize(
    ("path", "point", "kind", "network", "uncertain"),
    [
        ("/home/me/histq.db", "/", "ext4", False, False),
        ("/data/histq.db", "/data", "nfs4", True, False),
        ("/data", "/data", "nfs4", True, False),
        ("/database/histq.db", "/", "ext4", False, False),
        ("/data/local/histq.db", "/data/local", "xfs", False, False),
        ("/mnt/my share/histq.db", "/mnt/my share", "cifs", True, False),
        ("/home/me/far/histq.db", "/home/me/far", "fuse.sshfs", True, False),
        ("/home/me/vault/histq.db", "/home/me/vault", "fuse.gocryptfs", False, True),
        ("/over/histq.db", "/over", "tmpfs", False, False),
        ("/win/histq.db", "/win", "9p", True, False),
    ],
    ids=[
        *("a disk", "NFS", "the mount itself", "a name that begins alike", "a disk below NFS"),
        *("a blank in the name", "sshfs", "some other FUSE", "mounted over", "a folder of Windows"),
    ],
)
def test_a_path_is_on_the_innermost_mount(
    path: str, point: str, kind: str, network: bool, uncertain: bool
) -> None:
    found = mount_of(MOUNTINFO, PurePosixPath(path))

    assert found == Mount(point, kind)
    assert (found.network, found.uncertain) == (network, uncertain)


@pytest.mark.parametrize("text", ["", "nonsense\n", "1 2 3:4 /\n"], ids=["empty", "a word", "cut"])
def test_a_text_that_names_no_mount_says_nothing(text: str) -> None:
    assert mount_of(text, PurePosixPath("/histq.db")) is None


def test_a_system_without_mountinfo_says_nothing(tmp_path: Path) -> None:
    assert mount(tmp_path / "histq.db", tmp_path / "absent") is None


def test_a_link_is_followed_to_where_the_file_would_be(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    mountinfo = tmp_path / "mountinfo"
    far = (tmp_path / "far").resolve()
    mountinfo.write_text(f"1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / {far} rw - nfs b rw\n")

    found = mount(tmp_path / "near" / "histq.db", mountinfo)

    assert found == Mount(str(far), "nfs")
