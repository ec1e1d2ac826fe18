"""What an editor wants to know before sending. A check reads items and says findings; it changes nothing."""

from bot.checks.item import check_item
from bot.checks.names import name_findings
from bot.checks.queue_wide import check_queue

__all__ = ["check_item", "check_queue", "name_findings"]
