"""How fast an account may go: what a person allows, what it has used, and what its answers say about it.

Pure: the clock and what was used before are arguments (the store keeps them). Only ``Allowance``, the local
side of what was reserved, changes in place.
"""

from bot.pace.account import AHEAD, FRONT, KEPT, Account
from bot.pace.allowance import Allowance
from bot.pace.health import Noted, Outcome, judged, outcome_of, resumed
from bot.pace.quota import EVERY_OTHER, Guard, PaceRules, Quota, Ramp, next_midnight
from bot.pace.slots import Grant, Reservation, reserve

__all__ = [
    "AHEAD",
    "EVERY_OTHER",
    "FRONT",
    "KEPT",
    "Account",
    "Allowance",
    "Grant",
    "Guard",
    "Noted",
    "Outcome",
    "PaceRules",
    "Quota",
    "Ramp",
    "Reservation",
    "judged",
    "next_midnight",
    "outcome_of",
    "reserve",
    "resumed",
]
