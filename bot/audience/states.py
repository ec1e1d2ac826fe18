"""What a column says of a person's state, in the seven languages of ours and the words of the services.

Two questions, both pure: which aspect of a state does a title speak of, and what does a value mean there?
A value that nobody knows has no meaning: whoever imports the list is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from bot.audience.cells import spoken


class Fate(StrEnum):
    """What becomes of a person of a list; the later, the worse."""

    READS = "reads"
    DISABLED = "disabled"
    UNAGREED = "never agreed"
    LEFT = "left"
    DEAD = "dead"
    BLOCKED = "blocked"

    @property
    def weight(self) -> int:
        """How bad it is: where two columns or rows contradict each other, the worst counts."""
        return _WEIGHTS[self]

    @property
    def is_suppressed(self) -> bool:
        """Whether no later list may bring this person back."""
        return self in (Fate.LEFT, Fate.DEAD, Fate.BLOCKED)


_WEIGHTS = {fate: weight for weight, fate in enumerate(Fate)}
ANSWERS = {
    "reads": Fate.READS,
    "left": Fate.LEFT,
    "dead": Fate.DEAD,
    "never-agreed": Fate.UNAGREED,
}


class Aspect(StrEnum):
    """What a column speaks of."""

    STATE = "state"  # in words
    LEFT = "left"
    BLOCKED = "blocked"
    DEAD = "dead"
    DISABLED = "disabled"
    UNCONFIRMED = "unconfirmed"
    STAYS = "stays"
    CONFIRMED = "confirmed"
    CONSENT = "consent"
    DELIVERABLE = "deliverable"
    UNCLEAR = "unclear"  # of a state, but "yes" may mean either


# What yes and no mean. Where an aspect is not named, nobody knows.
_YES = {
    Aspect.LEFT: Fate.LEFT,
    Aspect.BLOCKED: Fate.BLOCKED,
    Aspect.DEAD: Fate.DEAD,
    Aspect.DISABLED: Fate.DISABLED,
    Aspect.UNCONFIRMED: Fate.UNAGREED,
    Aspect.STAYS: Fate.READS,
    Aspect.CONFIRMED: Fate.READS,
    Aspect.CONSENT: Fate.READS,
    Aspect.DELIVERABLE: Fate.READS,
}
_NO = {
    Aspect.STAYS: Fate.LEFT,
    Aspect.CONFIRMED: Fate.UNAGREED,
    Aspect.CONSENT: Fate.UNAGREED,
    Aspect.DELIVERABLE: Fate.DEAD,
    **dict.fromkeys(
        (Aspect.LEFT, Aspect.BLOCKED, Aspect.DEAD, Aspect.DISABLED, Aspect.UNCONFIRMED), Fate.READS
    ),
}
# Of leaving: here, and only here, an empty cell says that it did not happen.
OF_LEAVING = frozenset((Aspect.LEFT, Aspect.BLOCKED, Aspect.DEAD, Aspect.DISABLED, Aspect.UNCONFIRMED))
OF_CONSENT = frozenset((Aspect.CONFIRMED, Aspect.CONSENT))


def _names(text: str) -> frozenset[str]:
    return frozenset(map(spoken, text.split("|")))


_YES_WORDS = _names(
    "yes|y|1|true|t|on|x|checked|ticked|yes please|i agree|agree|agreed|yes i agree|i consent|yes i consent"
    "|accept|accepted|i accept|granted|given|ja|wahr|ja ich stimme zu|ja gerne|zugestimmt|oui|vrai|j accepte"
    "|oui j accepte|d accord|sí|si|s|verdadero|acepto|sí acepto|de acuerdo|sim|verdadeiro|aceito|sim aceito"
    "|concordo|ใช่|ยินยอม|ตกลง|نعم|أوافق|موافق|صحيح"
)
_YES_SIGNS = frozenset("✓✔☑✅")
_NO_WORDS = _names(
    "no|n|0|false|f|off|unchecked|no thanks|no thank you|i do not agree|disagree|declined|refused|denied"
    "|nein|falsch|nein danke|non|faux|non merci|je refuse|falso|no gracias|no acepto|não|nao|não obrigado"
    "|não aceito|ไม่|ไม่ใช่|ไม่ยินยอม|لا|خطأ|لا أوافق|غير موافق"
)
_NOTHING = _names("|n a|na|none|null|nil|nan|undefined|not applicable")
_NOTHING_SIGNS = frozenset(("", "-", "--", "---", "–", "—", "/", "[]", "{}", "()", '""', "''"))
_is_zero_date = re.compile(r"0{1,4}(?: 0+){2,}").fullmatch
_DATE = re.compile(r"(?:19|20|25)\d\d|(?:\d{1,4}[-/. ]){2}\d{1,4}\b.*+|\d{8}(?:[T ]?\d++)?|\d{9,13}")
_YEAR = re.compile(r"\b(?:19|20|25)\d\d\b")
_DIGIT = re.compile(r"\d")

_READS = _names(
    "active|subscribed|confirmed|enabled|opted in|opt in|optin|double opt in|marketing contact|re subscribed"
    "|resubscribed|activo|activa|suscrito|suscrita|confirmado|confirmada|actif|abonné|abonnée|inscrit"
    "|inscrite"
    "|confirmé|confirmée|aktiv|abonniert|angemeldet|bestätigt|ativo|ativa|inscrito|inscrita|assinante"
    "|สมัครแล้ว|สมัครสมาชิกแล้ว|ใช้งาน|ใช้งานอยู่|ยืนยันแล้ว|مشترك|مشتركة|نشط|مؤكد"
)
_LEFT = _names(
    "unsubscribed|unsubscribe|unsub|opted out|optout|opt out|left|removed|deleted|archived|cancelled|canceled"
    "|do not contact|do not email|do not mail|manually unsubscribed|globally unsubscribed|self unsubscribed"
    "|signed off|user unsubscribed|dado de baja|dada de baja|de baja|baja|cancelado|cancelada|desuscrito"
    "|desuscrita|desinscrito|desinscrita|descadastrado|descadastrada|removido|removida|eliminado|eliminada"
    "|désabonné|désabonnée|désinscrit|désinscrite|desabonne|desinscrit|supprimé|supprimée|annulé|abgemeldet"
    "|ausgetragen|gekündigt|gelöscht|ยกเลิก|ยกเลิกแล้ว|ยกเลิกการสมัคร|ยกเลิกการติดตาม|เลิกรับ"
    "|เลิกติดตาม|ลบแล้ว"
    "|ألغى الاشتراك|إلغاء الاشتراك|تم إلغاء الاشتراك|ملغى|ملغي|محذوف"
)
_DEAD = _names(
    "cleaned|bounced|hard bounced|hard bounce|hardbounce|hardbounced|bounce|bouncing|undeliverable"
    "|undelivered"
    "|invalid|invalid email|invalid address|email bounced|quarantined|by bounce|bybounce|held|dead"
    "|rebotado|rebotada|rebote|rebote duro|inválido|inválida|no entregable|rejeté|invalide|non distribuable"
    "|unzustellbar|ungültig|zurückgewiesen|devolvido|retornado|ตีกลับ|ส่งไม่ถึง|مرتد|مرتجع|غير صالح"
)
_BLOCKED = _names(
    "blocklisted|blacklisted|blocked|suppressed|banned|complained|complaint|complainer|spam|spam complaint"
    "|marked as spam|spam report|reported spam|reported as spam|abuse|junk|user suppressed|bloqueado"
    "|bloqueada"
    "|lista negra|queja|bloqué|bloquée|plainte|liste noire|gesperrt|blockiert|beschwerde|denunciado"
    "|ถูกบล็อก|ถูกระงับ|สแปม|محظور|شكوى"
)
_UNAGREED = _names(
    "nonsubscribed|non subscribed|not subscribed|never subscribed|never|did not subscribe|transactional"
    "|pending|unconfirmed|not confirmed|unactivated|not activated|awaiting confirmation|waiting|invited"
    "|unverified|not verified|not opted in|no permissions set|no permission|non marketing contact"
    "|pendiente|no confirmado|no suscrito|en attente|non confirmé|non confirmée|non inscrit|non abonné"
    "|ausstehend|unbestätigt|nicht bestätigt|nicht abonniert|pendente|não confirmado|não inscrito"
    "|รอยืนยัน|รอการยืนยัน|ยังไม่ยืนยัน|ไม่ได้สมัคร|قيد الانتظار|معلق|غير مؤكد|غير مشترك"
)
_DISABLED = _names(
    "disabled|deactivated|suspended|deaktiviert|désactivé|desactivado|desativado|ปิดใช้งาน|معطل|موقوف"
)
WORDS: Mapping[str, Fate] = {
    word: fate
    for fate, words in (
        (Fate.READS, _READS),
        (Fate.LEFT, _LEFT),
        (Fate.DEAD, _DEAD),
        (Fate.BLOCKED, _BLOCKED),
        (Fate.UNAGREED, _UNAGREED),
        (Fate.DISABLED, _DISABLED),
    )
    for word in words
}
# Words that also stand where no state is spoken of: "left" of a hall, a bounce of a ball.
_EVERYDAY = _names(
    "left|removed|held|dead|never|waiting|invited|bounce|invalid|baja|spam|junk|abuse|blocked|transactional"
    "|complaint|queja|plainte|beschwerde|rebote|inscrit|inscrite|aktiv|confirmed|bloqué|held|archived|deleted"
)
TELLING = frozenset(WORDS) - _EVERYDAY

_STATUS = re.compile(
    r"\b(?:status"
    r"|state|type|statut|état|etat|estado|estatus|situación|situacion|situação|situacao|zustand|stato"
    r"|email preference|delivery mode)\b|สถานะ|ประเภท|حالة|الحالة"
)
# Of something else than the person's wish to be written to.
_ELSEWHERE = re.compile(
    r"\b(?:url|link"
    r"|token|hash|ip|campaign|id|uuid|track|tracking|sms|phone|mobile|whatsapp|push|plan|tier|lead"
    r"|lifecycle|deal|payment|billing|shipping|order|stripe|marital|civil|employment|posting|soft|expiry"
    r"|e ?mail type|file type|content type|html|source|name|rating|score|key|referr\w*|referral|method"
    r"|familienstand|zivilstand)\b"
    r"|\blast (?:active|activity|changed|updated|open|opened|click|clicked|login|seen|engagement)\b"
)
_CHANNEL = re.compile(
    r"\b(?:sms|phone|mobile|whatsapp|push|payment|billing|shipping|order|deal|lead|track|tracking)\b"
)
_PLACES = _names("state|estado|état|etat|stato")
_IS_DATED = re.compile(
    r"\b(?:date|time|timestamp|datetime|since|datum|fecha|data|seit|desde|depuis|when)\b"
    r"|\b(?:at|on|am|le|em|el)$"
    r"|วันที่|تاريخ"
)
_IS_NEGATED = re.compile(
    r"\b(?:not|no|non|never|don t|nicht|kein|keine|pas|não|nao|inactive|inaktiv)\b|ไม่|(?<!\w)لا |غير"
)
_IS_REASON = re.compile(r"\b(?:reason|grund|motivo|motif|raison|razón|razon|why)\b|เหตุผล|سبب")
_ASPECTS = (
    (
        Aspect.DEAD,
        r"bounce|rebot|undeliver|unzustellbar|invalid|inválid|ungültig|\bclean(?:ed)?\b|quarantine"
        r"|ตีกลับ|مرتد",
    ),
    (
        Aspect.BLOCKED,
        r"block ?list|black ?list|\bblocked\b|suppress|\bbann?ed\b|complain|\bspam\b|\babuse|\bjunk\b"
        r"|gesperrt"
        r"|sperrliste|bloque|bloqu|lista negra|liste noire|plainte|queja|denúncia|บล็อก|محظور|حظر|شكوى",
    ),
    (
        Aspect.LEFT,
        r"unsub|opt(?:ed)? ?out|e ?mails? disabled|do ?not ?(?:contact|e ?mail|mail|send|market)"
        r"|do not|\bdate left\b|\bleave\b|\bleaving\b|\bexit\b|austritt|kündig|resign|depart|withdr"
        r"|revok|widerr"
        r"|\bdnc\b|\bno (?:e ?)?mail\b|nomail"
        r"|desuscri|\bbaja\b|désabonn|desabonn|désinscri|desinscri|abgemeldet|abmeld|austrag"
        r"|ausgetragen|gekündigt"
        r"|descadastr|cancel|\b(?:removed|deleted|gelöscht|eliminado|supprimé|removido|archived)\b|^left\b"
        r"|ยกเลิก|เลิกรับ|เลิกติดตาม|إلغاء|ألغى|ملغ",
    ),
    (
        Aspect.UNCONFIRMED,
        r"unconfirmed|unverified|unbestätigt|not confirmed|non confirmé|no confirmado|não confirmado",
    ),
    (Aspect.DISABLED, r"disabled|deactivated|suspended|deaktiviert|désactivé|desactivado|desativado|معطل"),
    (Aspect.CONFIRMED, r"confirm|verif|\bdoi\b|double ?opt|bestätig|validé|ยืนยัน|مؤكد|تأكيد"),
    (
        Aspect.CONSENT,
        r"consent|opt(?:ed)? ?in\b|\boptin|\baccept|permission|gdpr|rgpd|lgpd|dsgvo|\bagree|einwillig|zustimm"
        r"|zugestimmt|erlaubnis|autori[sz]|aceit|acept|acuerdo|accord|permiso|permissão|\bmay we\b"
        r"|\bcan (?:we )?e ?mail"
        r"|\bmarketing\b|\bmailings?\b|mailing ?list|\bsend (?:e ?)?mails?\b|\bwants?\b"
        r"|\bnewsletter\b|infolettre|boletín|boletim|ยินยอม|จดหมายข่าว|موافق|النشرة",
    ),
    (
        Aspect.STAYS,
        r"\bsubscri|\bactive\b|\benabled\b|\babo\b|\bstanding\b|ลงทะเบียน|مفعل|mailable|marketable|contactable|abonn|\binscri|suscri|assina"
        r"|angemeldet"
        r"|\baktiv\b|\bactivo\b|\bactif\b|\bativo\b|\breceives?\b|\binactive\b|\binaktiv\b|สมัคร|ใช้งาน"
        r"|مشترك|اشتراك|نشط",
    ),
    (Aspect.DELIVERABLE, r"\bvalid\b|deliverable|reachable|\bvalide\b|\bválido\b|gültig"),
)
_ASPECT_PATTERNS = tuple((aspect, re.compile(pattern)) for aspect, pattern in _ASPECTS)


def aspect_of(title: str) -> Aspect | None:
    """What a column of that title (as ``spoken``) says of a person's state; None: nothing."""
    if _ELSEWHERE.search(title):
        return None
    found = next((aspect for aspect, pattern in _ASPECT_PATTERNS if pattern.search(title)), None)
    if found is None:
        return Aspect.STATE if _STATUS.search(title) else None
    if found in OF_LEAVING:
        return found
    if _IS_NEGATED.search(title):
        return Aspect.UNCLEAR
    if found is Aspect.STAYS and _IS_DATED.search(title):
        return None
    return found


def is_place(title: str) -> bool:
    """Whether its title may as well mean where somebody lives."""
    return title in _PLACES


def is_of_another_channel(title: str) -> bool:
    """Whether its title speaks of messages or business other than mail: its values are no fates either."""
    return _CHANNEL.search(title) is not None


def is_worded(title: str) -> bool:
    """Whether its title says that words stand there: a status, a type."""
    return _STATUS.search(title) is not None


def is_dated(title: str) -> bool:
    """Whether its title says that a date stands there."""
    return _IS_DATED.search(title) is not None


def is_reason(title: str) -> bool:
    """Whether whatever stands there is why somebody is gone."""
    return _IS_REASON.search(title) is not None


def is_nothing(cell: str) -> bool:
    """Whether the cell says nothing: empty, "n/a", "-", 0000-00-00."""
    text = spoken(cell)
    if not text:
        return cell.strip() in _NOTHING_SIGNS
    return text in _NOTHING or _is_zero_date(text) is not None


def meaning(
    aspect: Aspect, cell: str, words: Mapping[str, Fate] = WORDS, *, reason: bool = False
) -> Fate | None:
    """What a value that says something means in such a column; None: nobody knows."""
    text = spoken(cell)
    if (known := words.get(text)) is not None:
        # "confirmed" below "opt-out" may well be somebody who confirmed that.
        return None if known is Fate.READS and aspect in (*OF_LEAVING, Aspect.UNCLEAR) else known
    if text in _YES_WORDS or cell.strip() in _YES_SIGNS:
        return _YES.get(aspect)
    if text in _NO_WORDS:
        return _NO.get(aspect)
    if _is_date(cell.strip()) and aspect is not Aspect.DELIVERABLE:
        return _YES.get(aspect)
    return _YES[aspect] if reason and aspect in OF_LEAVING else None


def _is_date(cell: str) -> bool:
    """Digits in the form of a date, or a year with another number beside it on one line."""
    if _DATE.fullmatch(cell):
        return True
    years = [found.span() for found in _YEAR.finditer(cell)] if "\n" not in cell else []
    if not years:
        return False
    is_day_first = _DIGIT.match(cell) is not None and years[-1][0] > 0
    return is_day_first or _DIGIT.search(cell, years[0][1]) is not None


def is_word_of_a_state(cell: str) -> bool:
    """Whether the whole cell is a word that only states are told with."""
    return spoken(cell) in TELLING


def telling_word(cell: str) -> bool:
    """Whether a value speaks of a state, whatever the column is called."""
    if is_word_of_a_state(cell) or _says_in_passing(cell.casefold()):
        return True
    return any(spoken(part) in TELLING for part in re.split(r"[,;|/\n]", cell))


_says_in_passing = re.compile(
    r"unsubscri|opt(?:ed)?[ -]?out|remove me|off the list|do not (?:e-?)?mail|do not contact|d[ée]sabonn"
    r"|désinscri"
    r"|abmeld|abgemeldet|de baja|desuscri|descadastr|bounced|ยกเลิก|إلغاء الاشتراك"
).search
_FILE = re.compile(
    r"unsub|opt(?:ed)? ?out|suppress|bounce|\bcleaned|block ?list|black ?list|blocked|complain|\bspam"
    r"|unconfirmed"
    r"|non ?subscri|not subscribed|inactive|deleted|removed|do not (?:mail|email|contact)|\bleft\b"
    r"|\bbaja|desuscri"
    r"|descadastr|cancelad|désabonn|desabonn|désinscri|desinscri|abgemeld|abmeld|ausgetragen|gesperrt"
    r"|sperrliste"
    r"|rebot|unzustellbar|lista negra|liste noire|bloquead|bloqué|pending|pendiente|ยกเลิก|ตีกลับ|บล็อก"
    r"|إلغاء|ملغ|محظور|مرتد"
)


def names_the_gone(file_name: str) -> bool:
    """Whether the name of a file says that its people do not read."""
    return _FILE.search(spoken(file_name)) is not None
