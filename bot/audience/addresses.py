"""Mail addresses as people type them -> one form that can be compared and sent to."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from bot.errors import AudienceError


def valid_address(text: str) -> str:
    """The address, its domain in lower case and composed; AudienceError says what is wrong with it.

    Only the form is checked, never by asking a server: a dead address shows in its first bounce.
    """
    try:
        checked = validate_email(text.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise AudienceError(f"{text.strip()!r} is not a mail address: {error}") from error
    return checked.normalized
