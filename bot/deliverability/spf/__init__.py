"""SPF (RFC 7208): whether a domain lets an address send in its name.

Ours, because what there is either does not evaluate (checkdmarc) or has had no release since 2020 and keeps
its state in module globals (pyspf). ``benchmarks/spf_conformance.py`` runs the suite of RFC 7208.
"""

from bot.deliverability.spf.evaluate import LOOKUPS, VOIDS, Check, Result, Verdict
from bot.deliverability.spf.record import is_spf

__all__ = ["LOOKUPS", "VOIDS", "Check", "Result", "Verdict", "is_spf"]
