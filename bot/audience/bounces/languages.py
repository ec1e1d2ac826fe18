"""The same in other languages; what the English patterns meet, these meet as well."""

from __future__ import annotations

from bot.audience.bounces.notation import alternatives

FULL = alternatives(r"""
(?:postfach|mailbox|konto|speicher(?:platz)?)\b.{0,40}(?:voll|überfüllt|erschöpft|überschritten)
quota überschritten|kein speicherplatz
bo[iî]te .{0,40}pleine|quota (?:est )?dépassé|espace .{0,20}insuffisant|messagerie .{0,20}pleine
(?:buz[oó]n|casilla|cuenta|cuota)\b.{0,40}(?:llen[oa]|exced|super|sin espacio)
(?:casella|quota)\b.{0,40}(?:pien[ao]|superat|esaurit)|(?:caixa|cota|quota)\b.{0,40}(?:chei[ao]|excedi|
  lotad)
(?:postvak|mailbox|brievenbus)\b.{0,30}\bvol\b|(?:inkorg|brevlåda|postkasse).{0,35}(?:full|fuld)
skrzynk\w{1,20} .{0,30}(?:pełn|przepełn)|przekroczon\w{0,20} (?:limit|pojemno|quota)|kotas?.{0,35}(?:aş|dol)
(?:ящик|квот).{0,55}(?:переполн|превыш|заполн)|(?:превыш|переполн).{0,45}(?:квот|ящик|лимит)
(?:メール|受信|ボックス|容量|ディスク|サイズ).{0,20}(?:いっぱい|一杯|超過|超え|不足|オーバー|満)
(?:邮箱|信箱|空间|容量|郵箱|硬盘|配额).{0,12}(?:满|滿|不足|超|已用完)|(?:사서함|편지함|용량|
  메일함).{0,15}(?:가득|초과|부족|꽉)
""")

SUSPENDED = alternatives(r"""
(?:konto|postfach|benutzer)\b.{0,30}(?:gesperrt|deaktiviert|stillgelegt)
(?:compte|boîte|adresse)\b.{0,30}(?:désactivé|suspendu|bloqué)
(?:cuenta|buz[oó]n|usuario)\b.{0,30}(?:desactivad|suspendid|inactiv|bloquead|deshabilitad)
(?:conta|caixa|usuário)\b.{0,30}(?:desativad|suspens|inativ|bloquead)
(?:account|utente|casella)\b.{0,30}(?:disabilitat|sospes|disattivat|bloccat)
(?:аккаунт|ящик|учетная запись|пользователь).{0,45}(?:заблокир|отключ|неактив|приостанов)
(?:账号|帐号|用户|邮箱|账户|帐户|帳號).{0,10}(?:停用|冻结|锁定|禁用|被禁|暂停|鎖定|凍結)
(?:アカウント|メールボックス|ユーザー?).{0,15}(?:停止|無効|休止|凍結|ロック)
""")

NO_HOST = alternatives(r"""
(?:domäne|rechner|server)\b.{0,30}(?:existiert nicht|unbekannt|nicht gefunden)
(?:domaine|hôte|serveur)\b.{0,30}(?:inconnu|n'existe pas|introuvable)
(?:dominio|servidor)\b.{0,30}(?:no existe|desconocid|non esiste|sconosciut)|dom[ií]nio\b.{0,30}não existe
домен.{0,45}(?:не существует|не найден)|域名.{0,10}不存在|ドメイン.{0,20}(?:存在しません|見つかりません)
""")

NOBODY = alternatives(r"""
(?:empfänger|adresse|postfach|benutzer|konto|teilnehmer|adressat).{0,75}(?:unbekannt|
  existiert nicht|nicht (?:gefunden|bekannt|vorhanden|gültig)|ungültig|gelöscht|gibt es nicht|nicht mehr)
unbekannter? (?:empfänger|benutzer|nutzer|adress)|keine? (?:solche[rs]? )?(?:benutzer|postfach|
  empfänger|konto)
(?:utilisateur|destinataire|adresse|boîte|compte|abonné)\b.{0,60}(?:inconnu|n'existe (?:pas|plus)|
  introuvable|invalide|pas (?:été )?trouvé|incorrect|supprimé|inexistant)
(?:usuario|destinatario|direcci[oó]n|buz[oó]n|cuenta|casilla)\b.{0,60}(?:desconocid|no existe|
  inexistente|no (?:se )?(?:ha |pudo |ha podido )?(?:ser )?encontr|no v[aá]lid|inv[aá]lid|incorrect|
  eliminad)
(?:non esiste|nessun|no existe|não existe|aucune?|n'existe pas)\b.{0,20}\b(?:utente|casella|indirizzo|
  destinatario|usuari|usuári|persona|cuenta|conta\b|buz[oó]n|utilisateur|compte|abonné|destinataire)
(?:utente|destinatario|indirizzo|casella)\b.{0,60}(?:sconosciut|non esist|inesistent|
  non (?:è stato )?trovat|non valid|errat|cancellat)
(?:usuário|destinatário|endereço|caixa|conta)\b.{0,60}(?:desconhecid|não exist|inexistent|
  não (?:foi )?(?:possível )?encontrad|inválid|excluíd)
(?:gebruiker|ontvanger|adres|postvak|geadresseerde)\b.{0,50}(?:onbekend|bestaat niet|niet gevonden|
  ongeldig|niet bekend)|onbekende (?:gebruiker|ontvanger)
(?:användare|mottagare|adress|bruger|modtager|bruker|mottaker).{0,55}(?:okänd|finns (?:inte|ej)|
  ukendt|findes ikke|ukjent|finnes ikke|eksisterer ikke)|(?:okänd|ukendt|ukjent) (?:användare|mottagare|
  bruger|modtager|bruker|mottaker)
(?:käyttäj|vastaanottaj|osoit).{0,55}(?:tuntematon|ei löydy|ei ole olemassa)
(?:пользовател|получател|адресат|адрес|ящик|учетн|аккаунт|абонент).{0,65}(?:не найден|не существует|
  неизвест|недействит|не зарегистр|отсутствует|удален|неверн|несуществ)
(?:нет (?:такого|такой|почтового)|неизвестн\w{1,20}|несуществующ\w{1,20}|неверн\w{1,20}|
  недействительн\w{1,20}) (?:пользовател|получател|адрес|ящик|учетн|почтов)
(?:користувач|одержувач|скриньк).{0,55}(?:не (?:знайден|існує)|невідом)
(?:użytkownik|adresat|adres|skrzynk|konto).{0,55}(?:nie istnieje|nieznan|nie znalezion|nieprawidłow)|
  nieznany (?:użytkownik|adresat|odbiorca)
(?:uživatel|příjemce|adres|schránk|používateľ).{0,55}(?:neexist|neznám|nenalezen|nebyl)
(?:kullanıcı|alıcı|adres|hesap).{0,55}(?:bulunamad|mevcut değil|bilinmiyor|geçersiz)
(?:felhasználó|címzett|postafiók).{0,55}(?:ismeretlen|nem (?:létez|található))
(?:χρήστης|παραλήπτης|διεύθυνση).{0,40}(?:άγνωστ|δεν (?:υπάρχει|βρέθηκε))
(?:المستخدم|المستلم|العنوان|البريد|الحساب).{0,40}(?:غير (?:موجود|معروف|صالح)|لا يوجد)
(?:ผู้ใช้|ผู้รับ|ที่อยู่|บัญชี).{0,30}(?:ไม่พบ|ไม่มี|ไม่รู้จัก)|ไม่พบ(?:ผู้ใช้|ผู้รับ|ที่อยู่)
(?:người (?:dùng|nhận)|địa chỉ|tài khoản|hộp thư).{0,40}(?:không (?:tồn tại|tìm thấy|hợp lệ))
(?:pengguna|penerima|alamat|akun).{0,40}(?:tidak (?:ditemukan|dikenal|ada|valid))
(?:宛先|ユーザー?|アドレス|受信者|メールボックス|アカウント|あて先).{0,40}(?:存在しません|存在しない|
  不明|見つかりません|みつかりません|ありません|見つからな|登録されて(?:い|お)|間違|誤り|解約|
  正しくありません)
(?:用户|用戶|收件人|邮箱|郵箱|信箱|地址|账号|帐号|帳號|账户|帐户|使用者|收件者).{0,20}(?:不存在|未找到|
  找不到|未注册|无效|無效|错误|錯誤|不正确|有误|已注销|不可用)
(?:无此|無此|没有(?:这个|该|此)|查无|查無|不存在的?|找不到) ?(?:用户|用戶|收件人|收件者|邮箱|信箱|地址|
  账号|帐号|使用者|此人)
(?:사용자|수신자|수신인|받는 ?사람|계정|주소).{0,25}(?:없습니다|존재하지|찾을 수 없|잘못|없는)|
  존재하지 않는|없는 (?:사용자|주소|계정)
""")
