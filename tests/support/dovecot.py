"""A private Dovecot that shows a Maildir over IMAP, with TLS. Loopback only; it needs root for other ids."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.listening import free_port
from support.smtp_server import self_made_certificate

USER, PASSWORD = "bounces", "loopback-only"
OWNER = 65534  # of every Maildir here, as in ``support.postfix``

SETTINGS = """\
base_dir = {folder}/run
state_dir = {folder}/state
protocols = imap
listen = 127.0.0.1
log_path = {folder}/dovecot.log
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
disable_plaintext_auth = {secret}
auth_mechanisms = plain login
auth_failure_delay = 0
default_internal_user = dovecot
default_login_user = dovenull
mail_location = maildir:{maildir}
{capability}
namespace inbox {{
  inbox = yes
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={folder}/home
}}
service imap-login {{
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
    ssl = yes
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class ImapServer:
    """The running server: one port for TLS from the start, one for STARTTLS and for clear text."""

    tls: int
    plain: int
    maildir: Path
    certificate: Path
    folder: Path

    def put(self, name: str, raw: bytes) -> None:
        """A new mail in the inbox."""
        path = self.maildir / "tmp" / f"{name}.{time.time_ns()}"  # a Maildir's names are never used again
        path.write_bytes(raw)
        os.chown(path, OWNER, OWNER)
        path.rename(self.maildir / "new" / path.name)

    def mails(self, folder: str = "") -> list[bytes]:
        """What lies in a folder, read by the disk."""
        place = self.maildir / f".{folder}" if folder else self.maildir
        paths = [path for part in ("new", "cur") for path in (place / part).glob("*")]
        return [path.read_bytes() for path in sorted(paths, key=lambda path: path.name)]

    def unread(self) -> int:
        """How many mails of the inbox nobody has read, by their flags."""
        cur = [path.name.partition(":2,")[2] for path in (self.maildir / "cur").glob("*")]
        return len(list((self.maildir / "new").glob("*"))) + sum("S" not in flags for flags in cur)


@contextmanager
def imap_server(
    maildir: Path | None = None, *, capability: str = "", secret: bool = True
) -> Iterator[ImapServer]:
    """A server for that Maildir, or for an empty one. ``capability``: what it says that it can."""
    folder = Path(tempfile.mkdtemp(prefix="broadside-imap-"))
    folder.chmod(0o755)
    if maildir is None:
        maildir = folder / "Maildir"
        for part in ("tmp", "new", "cur"):
            (maildir / part).mkdir(parents=True)
        for path in (maildir, *maildir.iterdir()):
            os.chown(path, OWNER, OWNER)
    server = ImapServer(
        tls=free_port(),
        plain=free_port(),
        maildir=maildir,
        certificate=self_made_certificate(folder),
        folder=folder,
    )
    (folder / "home").mkdir()
    shutil.chown(folder / "home", OWNER, OWNER)
    (folder / "users").write_text(f"{USER}:{PASSWORD}\n")
    words = {
        "folder": folder,
        "certificate": server.certificate,
        "maildir": maildir,
        "owner": OWNER,
        "plain": server.plain,
        "tls": server.tls,
        "capability": f"imap_capability = {capability}" if capability else "",
        "secret": "yes" if secret else "no",
    }
    (folder / "dovecot.conf").write_text(SETTINGS.format(**words))
    process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(folder / "dovecot.conf")])
    try:
        _wait_for(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def can_run() -> bool:
    """Whether this machine has the server and lets us start it."""
    return os.geteuid() == 0 and Path("/usr/lib/dovecot/imap").exists()


def _wait_for(server: ImapServer, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.tls), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until or process.poll() is not None:
                log = server.folder / "dovecot.log"
                raise AssertionError(log.read_text()[-2000:] if log.exists() else "no log") from None
            time.sleep(0.02)  # it says nowhere that it is ready
