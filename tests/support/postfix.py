"""A private pair of Debian's Postfix and Dovecot: STARTTLS, a login, delivery to Maildirs. Loopback only.

Nothing in /etc is touched and no service is started by the system. It needs root, because Postfix does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.listening import free_port
from support.smtp_server import self_made_certificate

USER, PASSWORD = "bot", "loopback-only"

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

MAIN = """\
compatibility_level = 3.6
config_directory = {folder}/etc
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = mx.example.test
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
default_transport = discard
relay_transport = discard
virtual_mailbox_domains = example.test, xn--bcher-kva.example
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = texthash:{folder}/etc/mailboxes
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
message_size_limit = 4000000
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {certificate}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/dovecot/auth
smtputf8_enable = yes
notify_classes =
smtpd_error_sleep_time = 0
"""

DOVECOT = """\
base_dir = {folder}/dovecot/run
state_dir = {folder}/dovecot/state
protocols =
log_path = {folder}/dovecot.log
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
default_internal_user = dovecot
default_login_user = dovenull
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={folder}/mail
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {folder}/dovecot/auth {{
    mode = 0666
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """The running pair."""

    port: int
    folder: Path
    certificate: Path

    def mails(self, box: str, *, count: int) -> list[bytes]:
        """The emails of a Maildir as soon as there are ``count``, in the order of their arrival."""
        fresh = self.folder / "mail" / box / "new"
        until = time.monotonic() + 60
        while len(found := sorted(fresh.glob("*"), key=_arrival)) < count:
            if time.monotonic() > until:
                raise AssertionError(f"{len(found)} of {count} mails; {self.log()[-2000:]}")
            time.sleep(0.02)  # a Maildir has no bell to ring
        return [path.read_bytes() for path in found]

    def log(self) -> str:
        logs = (self.folder / "mail.log", self.folder / "dovecot.log")
        return "\n".join(path.read_text() for path in logs if path.exists())


@contextmanager
def mail_server(boxes: dict[str, str], *, settings: str = "") -> Iterator[MailServer]:
    """Postfix and Dovecot with these mailboxes: address -> name of its Maildir. ``settings`` end main.cf."""
    folder = Path(tempfile.mkdtemp(prefix="broadside-mail-"))
    folder.chmod(0o755)  # Postfix drops its rights and must still get in
    server = MailServer(port=free_port(), folder=folder, certificate=self_made_certificate(folder))
    dovecot = None
    try:
        _write(server, boxes, settings)
        dovecot = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(folder / "dovecot.conf")])
        _postfix(folder, "start")
        yield server
    finally:
        _postfix(folder, "stop", check=False)
        if dovecot is not None:
            dovecot.terminate()
            dovecot.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def can_run() -> bool:
    """Whether this machine has both servers and lets us start them."""
    return os.geteuid() == 0 and all(Path(f"/usr/sbin/{name}").exists() for name in ("postfix", "dovecot"))


def _write(server: MailServer, boxes: dict[str, str], settings: str) -> None:
    folder = server.folder
    for name in ("etc", "queue", "data", "dovecot", "mail"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    shutil.chown(folder / "mail", 65534, 65534)
    words = {"folder": folder, "port": server.port, "certificate": server.certificate}
    (folder / "etc" / "main.cf").write_text(MAIN.format(**words) + settings)
    (folder / "etc" / "master.cf").write_text(MASTER.format(**words))
    (folder / "etc" / "mailboxes").write_text("".join(f"{a} {box}/\n" for a, box in boxes.items()))
    (folder / "dovecot.conf").write_text(DOVECOT.format(**words))
    (folder / "users").write_text(f"{USER}:{PASSWORD}\n")


def _postfix(folder: Path, verb: str, *, check: bool = True) -> None:
    """The daemons keep no pipe of ours open, or we would wait for their end."""
    quiet = subprocess.DEVNULL
    command = ["/usr/sbin/postfix", "-c", str(folder / "etc"), verb]
    subprocess.run(command, check=check, stdin=quiet, stdout=quiet, stderr=quiet, timeout=120)


def _arrival(path: Path) -> int:
    return path.stat().st_mtime_ns
