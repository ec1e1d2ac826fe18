"""How mail servers say it in English, by theme; one pattern a line, most of them from no one server.

The patterns meet words that ``phrases.normal`` prepared: lower case, one blank between, "@" for an address
and "host" for the name of a machine. {who}, {whose} and {being} stand for what is said in too many ways.
Every repeat has an end ("\\w{0,20}"): otherwise the same word again and again costs the square of its length.
"""

from __future__ import annotations

from bot.audience.bounces.notation import alternatives

_WORDS = {
    "who": r"(?:users?|recipients?|mail ?box|account|address(?:es)?|addressee|person|customer|mail ?drop"
    r"|local[ -]part|alias|member|username|inbox|login|subscriber|userid)",
    "kind": r"(?:(?:e-?mail|mail|local|destination|recipient|target|user|this|that|the|your|such|final|remote"
    r"|delivery|intended|smtp|virtual) ){0,4}",
    "part": r"(?:'s)?(?: name| address| account| id| part| mailbox| e-?mail)?",
    "being": r"(?:[ ,:;=/()\[\]<>-]|@|host|is|was|has|been|does|currently|that|you|we|are|were|trying|tried"
    r"|to|reach|contact|specified|entered|given|in|the|name|'s|'ve|for|this|server|e-?mail|address|here|at|of|on"
    r"|domain|sent|could|can|be|marked|as|listed){0,24}",
    "mail": r"(?:any |e-?|incoming |inbound ){0,3}(?:mail|messages|e-?mails?)",
}
_WORDS["whose"] = _WORDS["kind"] + _WORDS["who"] + _WORDS["part"]


def _theme(lines: str) -> str:
    for name, pattern in _WORDS.items():
        lines = lines.replace(f"{{{name}}}", pattern)
    return alternatives(lines)


# Temporary trouble of the network and of name servers says nothing about an address.
PASSING = _theme(r"""
(?:host|domain|name|dns)[^.;]{0,60}temporar
try again(?: later)?\)?$
host not found,? try again
temporar(?:y|ily) (?:dns|name server|lookup|resolution|unable to (?:resolve|look)|failure in name)
lookup failed temporarily
(?:host ?name|host|name server|mx|dns|a record) lookup (?:failure|timeout|timed out)$
(?:name server|dns server)[^.;]{0,60}(?:lookup failure|timed? ?-?out|not respond|unreachable)
host lookup did not complete|lowest numbered mx record points to local
servfail|name server (?:timeout|time-out|timed out)|dns (?:timeout|server failure)
temporar(?:y|ily) (?:rejected|unavailable|deferred|suspended|blocked)
gr[ea]y[ -]?list
(?:can't|couldn't|cannot|can not|unable to|could not) (?:create|open|chdir|lock|write|append)
""")

# Who we are, what we sent, how fast: nothing of it is the reader's.
SENDER = _theme(r"""
\b(?:spf|dkim|dmarc|arc|dnssec|dane)\b
(?:authenticat\w{0,20}|authoriz\w{0,20}) (?:is )?(?:required|failed|failure|checks?|requirements|information)
unauthenticated|not authenticated|unauthorized (?:sender|to send)|not authorized to (?:send|relay|use)
\b(?:reverse|r)[ -]?(?:dns|lookup|address|mapping|host)|\b(?:ptr|rdns|fcrdns)\b
(?:no|missing|invalid|bad) (?:hostname|dns|a record|mx) for (?:your|sender|client|the ip|ip)
client host (?:rejected|name|\[)|cannot find your (?:reverse )?host|cannot resolve your
your (?:host|ip|hostname|server) (?:is|has|does|not|name|must)
\b(?:helo|ehlo)\b (?:command|name|argument|rejected|host|domain|invalid|string|is|not)
(?:invalid|bad|need fully.qualified) (?:helo|ehlo|hostname)
(?:starttls|tls|encrypt\w{0,20}) (?:is )?(?:required|mandatory|not (?:offered|supported)|failed|negotiation)
must issue a starttls|certificate (?:verif|has expired|is not trusted)
(?:sender|originator|return[ -]path|mail from|envelope from|from address|
  from domain)(?: ?:)?(?: ?@)?(?: (?:e-?mail|address|domain|name|user|of|host|verif\w{0,20}|is|was|has|been|
  not|an?|@)){0,6}:? ?(?:rejected|refused|denied|invalid|unknown|blocked|banned|does not|doesn't|not exist|
  not found|must|required|verif\w{1,20}|not (?:an? )?(?:allowed|permitted|accepted|valid|local|authorized)|
  couldn't|could not|cannot|undeliverable|is unable)
(?:invalid|unknown|bad|illegal|unresolvable|unroutable|unverif\w{1,20}|blocked|prohibited|
  restricted) (?:sender|return[ -]path|originat|envelope|from\b)
sender(?: ?-? ?id)? (?:verif|callout)|verif\w{0,20} (?:the |your )?sender|callback (?:setup|verif)
\bfrom:? ?-?(?:header|domain|address)|(?:in|of) (?:the )?(?:message |to |from |cc ){0,2}headers?\b
(?:unknown|no such|invalid|non-?existent|bad) (?:user|domain|host|address|mailbox|account|
  recipient):? ?sender\b
(?:your|client|sending|source|originating|ip)(?: ip| e-?mail| mail){0,2} (?:address|account)s?(?: @)? (?:is|
  was|does|has|not|unknown|invalid|isn't|doesn't|cannot)
(?:client|sending|source|originating|ip) (?:ip )?(?:address|domain|host):? (?:unknown|invalid|not)
you are not (?:an? )?(?:valid|known|authori|allowed|permitted)|(?:user ?name|user) or password|password
verif\w{0,20} failed for (?:the )?sender
domain (?:of|in) (?:the )?(?:sender|from)|sender's (?:domain|address|mail)
your (?:domain|sender|e-?mail address|mail server) (?:has been|have been|was|were|is|are|does|did|
  cannot|looks|appears|may|must)
your (?:message|e-?mail|mail|messages) (?:looks|appears|contains?|(?:has been|was|were|is|
  are) (?:blocked|identified|classified|considered|marked|flagged|detected|deemed|infected))
your (?:message|e-?mail|mail|messages) (?:has been|was|were|is) (?:rejected|refused) (?:by|for|because|
  due|as)
open (?:mail )?relay\b|no access from mail server
(?:black|block|deny)[ -]?list|\b(?:rbl|dnsbl|dnsrbl|sbl|xbl|pbl|drbl)\b
blocked (?:by|using|for|due|because|from|at|as)|(?:is|been) blocked|(?<!not )\blisted (?:in|at|by|
  on) (?!.{0,20}(?:director|domino|address|phone ?book|table))
found (?:in|on) .{0,20}(?:block|black|list)|block(?:ed)? (?:sender|ip|connection|message|mail)|banned
reputation|(?:poor|bad|low) (?:sender|ip) score|complaint rate|user complaints|high volume of
bulk (?:mail|e-?mail)|unsolicited|\buce\b|junk (?:mail|e-?mail)
\bspam\w{0,20}(?! ?firewall)\b|phish|virus|malware|infected|suspicious|\bscam\b|hostile|attachment|executable
(?:content|body|subject|header|url|link)s? (?:filter\w{0,20} |content |was |is |has been |
  considered |of |the ){0,5}(?:rejected|not allowed|not accepted|denied|refused|forbidden|unacceptable|
  prohibited|violat)
polic(?:y|ies)|not in (?:the )?(?:allow|white)[ -]?list|violation|violat(?:es|ed|ing)|prohibited
(?:transmission|transaction) (?:refused|rejected)|administrative(?:ly)? (?:prohibit|den|reject|block)
too many|too (?:fast|frequent|quickly)|rate[ -]?limit|throttl|unexpected volume|unusual (?:rate|volume|
  amount)
(?:message|sending|connection|hourly|daily|mail|recipient|receiving) (?:rate|frequency)
(?:concurrent|simultaneous) (?:connection|session)|receiving mail at a rate
exceeded? .{0,40}(?:connection|rate|messages? (?:per|limit)|per (?:hour|minute|day)|recipients)
(?:message|mail|e-?mail|msg|content|data) (?:\w{1,20} ){0,3}(?:too|exceed\w{0,20}) ?(?:big|large|long|fixed|
  maximum|the maximum|the size|size)
(?:message|mail|file) size (?:exceed|limit|is)|size (?:of (?:the|this|your) (?:message|mail))|
  message (?:size|length)
larger than (?:the )?(?:current|maximum|allowed|limit|system|permitted)
(?<!box )(?<!account )(?<!user )exceed\w{0,20} (?:the )?(?:maximum |fixed |administrative |allowed |
  permitted |max\.? ){0,4}(?:message|mail|size|length|file)
not rfc|non[ -]?rfc|rfc ?(?:2822|5322|5321|822|2821)[ -]?(?:compliant|violation|non)
(?:multiple|duplicate|missing|malformed) (?:from|subject|date|message-id|header)|bare (?:lf|cr|newline|
  linefeed)s?
""")

FULL = _theme(r"""
(?:mail ?box|mail ?drop|inbox|mail ?folder|account|user|recipient|quota|disk|spool|storage|space|
  mail ?system|destination|system|maildir)(?:'s)? ?(?:mail ?box |storage |disk |quota |space |for |
  this |of |user |recipient |@ |host |has |is |was |are |been |currently |now |too |at |its |the |
  \w{1,20}'s ){0,6}(?:full|over ?(?:the |its )?quota|exceed\w{0,20}|over ?(?:its |the )?(?:limit|size|allocat|
  drawn)|out of (?:space|disk)|quota|over-?quota|limit exceeded|lacks? .{0,10}(?:space|storage)|
  insufficient)
(?:over|exceed\w{0,20}|above|beyond|out of|reached|at) (?:the |its |their |his |your |allowed |maximum |max |
  user |mail |disk |mailbox |storage |e-?mail |assigned |allocated |size ){0,5}(?:quota|storage|
  mailbox (?:size|limit|quota)|disk space|allocat)
(?:insufficient|not enough|no|out of|lack of|low) (?:available |free |disk |system |storage |mail ?box |
  remaining |more ){0,4}(?:storage|space|room|disk|quota)
(?:quota|storage|mailbox size|mailbox limit|size limit) (?:limit |is |has |been |was |for |
  @ ){0,5}(?:exceed|full|over|reach|violat)
recipient's limit|exceeded the limit|local limit|too much mail data|overdrawn|mailfolder is full
messages in (?:the )?(?:recipient's )?mailbox|exceeds? (?:the )?(?:recipient|user|mailbox)
""")

# Somebody closed it, for now: the words win over any code.
SUSPENDED = _theme(r"""
{who} {being}(?:temporar(?:y|ily) |permanently |administratively |not |locally ){0,2}(?:suspend|
  disabled|deactivat|locked|frozen|on hold|unavailable temporarily|temporarily unavailable|hibernat)
(?:disabled|suspended|deactivated|locked|frozen) (?:due |because |e-?mail |mail |user |
  recipient ){0,3}(?:user|recipient|mailbox|account|address|alias|inbox)
on (?:vacation )?hold|sleeping|not collecting mail|only accept\w{0,20} mail from
""")

# Not used or restricted; a code that calls the address wrong says more.
DORMANT = _theme(r"""
{who} {being}(?:temporar(?:y|ily) |permanently |administratively |not |locally ){0,2}(?:inactiv|blocked|
  not active|expired|restricted|over limit|dormant)
(?:inactive|dormant|expired|restricted|blocked) (?:due |because |e-?mail |mail |user |recipient ){0,3}(?:user|
  recipient|mailbox|account|address|alias|inbox)
has not been used|(?:due to|for|because of) (?:inactivity|abuse|non[ -]?payment)
""")

NO_MAIL_HERE = _theme(r"""
null ?mx|no smtp service
(?:domain|host|server|system|site)(?: @| host)? (?:that |which )?(?:does not|doesn't|do not|is not|
  never|will not|won't|no longer|cannot|isn't) (?:currently |ever |set up to |
  configured to )?(?:accept(?:s|ing)?|receiv\w{1,20}|tak(?:e|ing)|hav\w{1,20}|handl\w{1,20}) {mail}
(?:we|i) (?:do not|don't) accept {mail}$|does not accept {mail}\b(?! from)
no longer (?:accepts?|receiv\w{1,20}) {mail}
""")

MOVED = _theme(r"""
(?:user|recipient|address|mailbox|account|he|she|person|employee|@)(?: @| host)? (?:has |have |
  is )?(?:been )?(?:moved|replaced by|changed (?:his|her|their|its) (?:e-?mail )?address|
  changed address)(?! to (?:a )?(?:folder|junk|spam))
no longer (?:at|with|works?|working|employed|part of|affiliated|attend)|user not local
has left (?:the |our )?(?:company|organi[sz]ation|university|school)
new (?:e-?mail )?address (?:is|:)|address (?:has )?changed|has moved
""")

NO_HOST = _theme(r"""
(?:host|domain|hostname|mail ?server|destination|mx|mail exchanger|site|dns name|system|node|
  nodename)(?: (?:or domain name|name|server|part|of|the|recipient|address|for|@|host|\(?mx\)?|named|
  called|entry|record|records|lookup|was|is|has|could|be|which|this|in|domain|:|
  -)){0,8} ?:? ?(?:not found|unknown|does not exist|doesn't exist|cannot be found|not be found|
  can't be found|isn't in dns|non-?exist\w{0,20}|no such|not exist|unresolvable|cannot be resolved|
  not be resolved|not (?:registered|known|resolv\w{0,20})|invalid|has no (?:mx|a\b|mail|address|dns)|
  has (?:an )?illegal|couldn't be found)
(?:unknown|no such|invalid|non-?existent|bad|unresolv\w{1,20}|can't find|could not find|couldn't find|
  cannot find|unable to find|unable to resolve|could not resolve|cannot resolve|couldn't resolve|
  unrout\w{1,20}) (?:any |the |a |remote |mail |e-?mail |destination |recipient |route to |that |mx |
  address for |\(?mx\)? ){0,4}(?:host|domain|mail ?server|mail exchanger|destination system|hostname|
  dns name|mx record|mx|destination server|nodename)\b(?! (?:said|says|told))
bad destination (?:host|system|domain)|name or service not known|nodename nor servname|nxdomain
non-?exist\w{0,20} (?:domain|host|name)|unrout\w{1,20} (?:mail )?(?:address|domain)|can't be resolved
no (?:mx|a|mail) (?:or a )?(?:record|host)s?|no mx (?:found|or an?\b)|mx records? point\w{0,20} to non
all relevant mx records
no mail (?:server|host|exchanger)|unable to route|cannot route|illegal host
dns.{0,40}(?:non-?existent|not exist|not found|nxdomain)
""")

NOBODY = _theme(r"""
(?:no|unknown|invalid|non-?exist\w{0,20}|bad|illegal|incorrect|wrong|undefined|unrecogni[sz]ed|unrout\w{1,20}|
  undeliverable|unresolv\w{1,20}|not a (?:valid|known|local)|no such|no valid|no local|no matching|
  unable to find|could not find|couldn't find|can't find|cannot find|not our|obsolete|deleted|
  terminated|closed|discontinued|former) (?:@ )?(?:an? |any )?{whose}\b(?! (?:full|has moved))
{who}\b(?:'s)? ?{being}(?:unknown|not known|not (?:be )?found|(?:couldn't|can't|could not|cannot) be (?:found|
  located|verified|identified)|not exist|doesn't exist|don't exist|
  no longer exist\w{0,20}|not (?:a |an )?(?:valid|local|real|recogni[sz]ed|registered|listed|existing|
  present|defined|deliverable|available here|correct|customer)|invalid|non-?exist\w{0,20}|un(?:recogni[sz]ed|
  registered|deliverable|routeable|routable)|no such|no longer (?:valid|in use|available|active|used|
  recogni[sz]ed|here|on (?:this |our |the )?(?:server|system|host|domain)|with us)|
  (?:been )?(?:deleted|removed|closed|terminated|cancell?ed|
  discontinued|retired|purged)|isn't (?:valid|registered|known|listed)|can't be found|wasn't found|
  wrong|incorrect\b|not in (?:our|use)|obsolete)
@[ .,:;)]{1,5}(?:is |was |user |address ){0,2}(?:unknown|not known|not found|does not exist|doesn't exist|
  no longer here|no longer exist|not (?:a )?valid)\b
\brcpt[ :(<]{0,3}@[ :)>]{0,3}(?:does not|doesn't|is not|not (?:found|known)|unknown)
wasn't found at (?:host|@)|unknown to address|@ (?:was not|wasn't) found
no such (?:person|one|name)|nobody (?:by|with|named|here)|there is no one|no (?:one|body) (?:here )?(?:by|
  with) th(?:is|at) name
doesn't have an? .{0,30}account|do(?:es)? not have an? .{0,30}account|not our (?:customer|user)
(?:not|isn't|wasn't) (?:listed |found |present |known |defined |registered )?(?:in|on) (?:the |our |my |this |
  its |any |public |global |local |ldap |name & |list of |valid |known |e-?mail ){0,6}(?:director|domino|
  address ?(?:book|list)|user (?:database|list|table)|users\b|recipients\b|mailboxes|validrcptto|ldap)
not listed in .{0,30}(?:directory|domino|address book)|not found in (?:domino|ldap)
(?:do not|don't|does not|doesn't) (?:have|know|recogni[sz]e|handle) (?:an? |any |such |this |that |the |
  mail |for |who ){0,4}(?:user|recipient|mailbox|account|person|addressee)
cannot (?:find|locate) (?:the )?(?:user|recipient|mailbox)|recipient name is not recogni[sz]ed
recipient (?:address(?:es)? )?(?:rejected ?)?: ?(?:access denied|undeliverable|user (?:unknown|not|invalid)|
  invalid|no such|unknown)
5\.1\.[01] address rejected
recipient address rejected\.?(?: \[ host \])?$|no mailbox (?:here )?by that name
(?:recipient|exrecip|recip) ?not ?found|resolver[. ]adr[. ]\w{0,20}(?:notfound|invalid)
mailbox (?:not (?:found|available|exist|known)|unavailable|name not allowed|does not|isn't)
address (?:unknown|not found|lookup failed)|name not (?:found|recogni[sz]ed)|user id (?:unknown|not found)
this (?:address|user|account|mailbox) (?:no longer|does not|doesn't|isn't|has been (?:closed|deleted|
  removed))
ex-?(?:employee|user|member)|(?:we|i) (?:have no|don't know) (?:such |this |that )?(?:user|recipient|
  mailbox|account)
""")

# No word of a person or a cause: weak signs that we were refused.
REFUSED = _theme(r"""
access (?:is )?(?:denied|prohibited)|permission denied|not (?:allowed|permitted|authorized|accepted)
(?:message|mail|connection|sender|session|e-?mail|service|client) (?:was |is |has been |
  been )?(?:rejected|refused|denied|discarded|dropped|blocked)
refused (?:by|to accept)|security|block|denied by|unacceptable|restricted
""")

UNREACHED = _theme(r"""
time[d -]? ?out|expired|connection (?:refused|reset|closed|lost|dropped|failed|died)
(?:unable to|could not|couldn't|cannot) (?:connect|contact)|no route|unreachable|not reach|
  network (?:error|is)
giving up|too long|retr(?:y|ies)|loop|too many hops|mail (?:server )?(?:is )?(?:down|unavailable)
out of memory|(?:system|internal|local|mailer|i/o|read) (?:error|failure|problem)|config\w{0,20} (?:error|
  problem)
service (?:unavailable|not available)|relay|command (?:failed|output|time|line)
""")
