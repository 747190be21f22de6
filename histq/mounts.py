"""Which file system a path is on, as Linux tells in mountinfo (proc(5)). Elsewhere nobody tells."""

import re
from pathlib import Path, PurePath
from typing import Final, NamedTuple

MOUNTINFO: Final = Path("/proc/self/mountinfo")

# WAL needs memory that all processes of the file share, and locks that hold: not so across hosts.
# https://www.sqlite.org/wal.html and https://www.sqlite.org/howtocorrupt.html
NETWORK: Final = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "coda", "ceph"),
        *("lustre", "gpfs", "beegfs", "orangefs", "pvfs2", "gfs2", "ocfs2", "vboxsf", "vmhgfs"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs"),
        *("fuse.rclone", "fuse.juicefs", "fuse.mfs", "fuse.davfs", "fuse.vmhgfs-fuse"),
    )
)


class Mount(NamedTuple):
    """What holds a path: where it is mounted, and its type as in /proc/filesystems."""

    point: str
    kind: str

    @property
    def network(self) -> bool:
        return self.kind in NETWORK

    @property
    def uncertain(self) -> bool:
        """Whether a program of somebody's serves it, from a disk or from another host."""
        return not self.network and self.kind.split(".")[0] in ("fuse", "fuseblk", "virtiofs")


def mount_of(mountinfo: str, path: PurePath) -> Mount | None:
    """The mount that holds the absolute path, by the text of mountinfo; None where it says none."""
    found: Mount | None = None
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = _unescaped(fields[4])
        # As long as the longest so far, too: what is mounted later over the same place hides it.
        if path.is_relative_to(point) and (found is None or len(point) >= len(found.point)):
            found = Mount(point, after.split(" ")[0])
    return found


def mount(path: Path, mountinfo: Path = MOUNTINFO) -> Mount | None:
    """The mount of a path, whether there is a file yet or not; None where the system keeps silent.

    Links are followed. Raises OSError where one leads in a circle.
    """
    try:
        text = mountinfo.read_text(errors="replace")
    except OSError:
        return None
    return mount_of(text, path.resolve())


def _unescaped(field: str) -> str:
    """Blanks, tabs, line ends and backslashes stand as octal numbers: \\040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
