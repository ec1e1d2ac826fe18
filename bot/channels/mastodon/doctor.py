"""What ``bot doctor`` says about a Mastodon account."""

from __future__ import annotations

from collections.abc import Sequence

from bot.channels.base import Limits
from bot.channels.mastodon.server import Server
from bot.errors import DeliveryError, PermanentFailure
from bot.model import Finding, Level

NEEDED = ("write:statuses", "write:media", "read:statuses", "read:accounts")


def no_token(name: str) -> Finding:
    message = f"{name}: no access_token is set; create one under Preferences > Development and put it in .env"
    return Finding(level=Level.BLOCK, rule="mastodon.token.missing", message=message)


def refused(name: str, error: DeliveryError) -> Finding:
    """Neither a refusal nor silence lets a post through; which of the two it is, the rule says."""
    rule = "token.refused" if isinstance(error, PermanentFailure) else "server.silent"
    return Finding(level=Level.BLOCK, rule=f"mastodon.{rule}", message=f"{name}: {error.problem}")


def works(name: str, account: str) -> Finding:
    return Finding(level=Level.INFO, rule="mastodon.token.works", message=f"{name}: posts as @{account}")


def scopes(name: str, granted: Sequence[object]) -> list[Finding]:
    """Scopes that are missing, where the server tells which the application has."""
    has = {str(scope) for scope in granted}
    return lacking(name, [scope for scope in NEEDED if not {scope, scope.split(":")[0]} & has])


def lacking(name: str, missing: Sequence[str]) -> list[Finding]:
    """What the token may not do; without writing nothing can be posted at all."""
    if not missing:
        return []
    message = f"{name}: the token lacks {', '.join(missing)}; create one with these scopes"
    level = Level.BLOCK if any(scope.startswith("write") for scope in missing) else Level.WARN
    return [Finding(level=level, rule="mastodon.scopes.missing", message=message)]


def assumptions(limits: Limits, server: Server) -> list[Finding]:
    """What the server did not tell, and what follows where it forgets keys."""
    found = []
    if limits.assumed:
        message = f"the server does not tell {', '.join(limits.assumed)}; Mastodon's defaults are used"
        found.append(Finding(level=Level.WARN, rule="mastodon.limits.assumed", message=message))
    if not server.knows_keys:
        message = f"{server.family}: no idempotency keys; a lost answer is settled by reading own posts"
        found.append(Finding(level=Level.INFO, rule="mastodon.keys.unknown", message=message))
    return found
