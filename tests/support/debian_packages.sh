#!/bin/sh
# The system packages that the tests drive: a real mail server, a real browser, fonts for many scripts.
set -e
missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || missing="$missing $2"; }
need /usr/sbin/postfix postfix
need /usr/sbin/dovecot "dovecot-imapd dovecot-lmtpd dovecot-sieve"
need /usr/lib/dovecot/imap dovecot-imapd
need /usr/sbin/opendkim opendkim
need /usr/bin/chromium chromium
need /usr/lib/postgresql postgresql
need /usr/share/fonts/truetype/noto/NotoSansThai-Regular.ttf fonts-noto-core
need /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf fonts-noto-color-emoji
/sbin/ldconfig -p | grep -q libatomic.so.1 || missing="$missing libatomic1"  # for the browser's driver
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
    echo "The tests need these packages: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "Installing for the tests:$missing"
echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
