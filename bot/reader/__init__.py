"""The queue: item files to items and back (docs/organisers.md describes the format)."""

from bot.reader.editing import set_fields
from bot.reader.folder import Queue, read_queue, stray_files
from bot.reader.items import line_of, parse_item, read_item
from bot.reader.names import item_id
from bot.reader.writer import item_text

__all__ = [
    "Queue",
    "item_id",
    "item_text",
    "line_of",
    "parse_item",
    "read_item",
    "read_queue",
    "set_fields",
    "stray_files",
]
