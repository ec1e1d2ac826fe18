"""The bot, the chats and the rights that the stand-in for Telegram starts with."""

from __future__ import annotations

from typing import Any

BOT = {"id": 123456789, "is_bot": True, "first_name": "Weekly Shelf", "username": "weekly_shelf_bot"}
CHANNEL, GROUP, TOPIC = -1001111111111, -1002222222222, 42


def chat_of(number: int, kind: str, **more: Any) -> dict[str, Any]:
    permissions = dict.fromkeys(_MEMBER_RIGHTS, True) if kind != "channel" else None
    gifts = dict.fromkeys(_GIFTS, False)
    chat = {"id": number, "type": kind, "accent_color_id": 1, "max_reaction_count": 11}
    return (
        chat | {"accepted_gift_types": gifts, **more} | ({"permissions": permissions} if permissions else {})
    )


_GIFTS = (
    "unlimited_gifts",
    "limited_gifts",
    "unique_gifts",
    "premium_subscription",
    "gifts_from_channels",
)
_MEMBER_RIGHTS = (
    "can_send_messages",
    "can_send_audios",
    "can_send_documents",
    "can_send_photos",
    "can_send_videos",
    "can_send_video_notes",
    "can_send_voice_notes",
    "can_send_polls",
    "can_send_other_messages",
    "can_add_web_page_previews",
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
    "can_edit_tag",
    "can_react_to_messages",
)
_ADMIN_RIGHTS = (
    "can_be_edited",
    "is_anonymous",
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
)


def administrator() -> dict[str, Any]:
    rights = dict.fromkeys(_ADMIN_RIGHTS, False)
    return {"status": "administrator", "can_post_messages": True, "can_edit_messages": True, **rights}


def member(status: str) -> dict[str, Any]:
    """A chat member without special rights: "member", "left", or "restricted" to reading."""
    if status == "restricted":
        return {"status": status, "is_member": True, "until_date": 0, **dict.fromkeys(_MEMBER_RIGHTS, False)}
    return {"status": status}


def weak_administrator() -> dict[str, Any]:
    """An administrator who may do everything but post."""
    return administrator() | {"can_post_messages": False}
