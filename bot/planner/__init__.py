"""What is due now, what is not, and why: items, schedules, what the ledger knows and a moment make a plan.

Pure: the same input gives the same plan, byte for byte, and a plan that is thrown away changes nothing. The
caller records what it carried out; ``History`` then keeps a later plan from doing it again.
"""

from bot.planner.outlook import Outlook, forecast
from bot.planner.plans import next_items, plan, played

__all__ = ["Outlook", "forecast", "next_items", "plan", "played"]
