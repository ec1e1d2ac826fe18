// nodemailer's pool: PORT COUNT FOLDER [KEY]. FOLDER holds the words, KEY is a DKIM key in PEM.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const nodemailer = createRequire(process.cwd() + "/")("nodemailer");
const [port, count, folder, key] = process.argv.slice(2);
const html = readFileSync(`${folder}/html`, "utf8");
const text = readFileSync(`${folder}/text`, "utf8");
const names = ["Ana", "สมชาย", "ليلى الأحمد", "Jean-Baptiste de la Tour", ""];
const host = "news.shelf.ngo";

const transport = nodemailer.createTransport({
  host: "127.0.0.1",
  port: Number(port),
  secure: false,
  ignoreTLS: true,
  pool: true,
  maxConnections: 10,
  maxMessages: Infinity,
  ...(key && { dkim: { domainName: host, keySelector: "s1", privateKey: readFileSync(key, "utf8") } }),
});

function letter(n) {
  const link = `https://${host}/u/weekly/${String(n).padStart(43, "x")}`;
  return {
    envelope: { from: `bounce+${n}@${host}`, to: `reader${n}@example${n % 50}.com` },
    from: { name: "The Shelf", address: `weekly@${host}` },
    to: { name: names[n % 5], address: `reader${n}@example${n % 50}.com` },
    subject: "The Shelf: 30 items, 20 November 2026",
    messageId: `<${String(n).padStart(32, "0")}@${host}>`,
    headers: {
      "List-Unsubscribe": `<${link}>`,
      "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
      "List-Id": `The Shelf <weekly.${host}>`,
    },
    text: text.replaceAll("@TOKEN@", link),
    html: html.replaceAll("@TOKEN@", link),
    textEncoding: "quoted-printable",
  };
}

// Hands over as many as the pool asks for, so that memory does not grow with the list.
let next = 0, sent = 0;
function feed() {
  while (transport.isIdle() && next < Number(count)) {
    transport.sendMail(letter(next++)).then(() => {
      if (++sent === Number(count)) transport.close();
    });
  }
}
transport.on("idle", feed);
feed();
