// Leaving quickly. The link works without this file; here it hides the page at once, leaves no way back to it,
// and does the same when Shift is pressed three times within five seconds.
(() => {
  "use strict";
  const link = document.querySelector("[data-exit]");
  const said = document.querySelector("[data-exit-said]");
  if (!link || !said) return;
  const WITHIN = 5000;
  let presses = [];
  let alone = false; // Shift is down and nothing else was pressed with it

  const show = () => {
    link.dataset.pressed = String(presses.length);
    said.textContent = ["", link.dataset.two, link.dataset.one, link.dataset.leaving][presses.length] || "";
  };

  const leave = () => {
    const veil = document.createElement("div");
    veil.className = "veil";
    veil.textContent = link.dataset.leaving;
    veil.setAttribute("role", "alert");
    document.body.append(veil);
    document.documentElement.classList.add("left");
    document.title = link.dataset.leaving;
    location.replace(link.href);
  };

  link.addEventListener("click", (event) => {
    event.preventDefault();
    leave();
  });

  document.addEventListener("keydown", (event) => {
    if (event.repeat) return;
    alone = event.key === "Shift" && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (!alone && presses.length) {
      presses = [];
      show();
    }
  });

  document.addEventListener("keyup", (event) => {
    if (event.key !== "Shift" || !alone) return;
    alone = false;
    const now = performance.now();
    presses = [...presses.filter((at) => now - at < WITHIN), now];
    show();
    if (presses.length >= 3) leave();
    else setTimeout(() => {
      if (presses.at(-1) === now) { presses = []; show(); }
    }, WITHIN);
  });

  // Whoever comes back on purpose finds the page as it was.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    document.querySelectorAll(".veil").forEach((veil) => veil.remove());
    document.documentElement.classList.remove("left");
    presses = [];
    show();
  });
})();
