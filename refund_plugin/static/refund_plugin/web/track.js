// Follows a refund: asks for the status until it is final, often at first, then less and less; never moves the focus.
const follow = document.getElementById("refund-follow");
const news = document.getElementById("refund-news");

if (follow && news) {
  document.getElementById("refund-refresh")?.remove();
  const SECOND = 1000;
  const started = Date.now();
  let etag = "";
  let timer = 0;

  const pause = () => {
    const age = Date.now() - started;
    if (age < 30 * SECOND) return SECOND;
    return age < 300 * SECOND ? 5 * SECOND : 30 * SECOND;
  };

  const show = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("refund-status");
    const old = document.getElementById("refund-status");
    if (!fresh || !old || fresh.outerHTML === old.outerHTML) return;
    const headline = fresh.querySelector("h1").textContent;
    if (headline !== old.querySelector("h1").textContent) {
      fresh.classList.add("refund-arrived");
      news.textContent = headline;
      document.title = document.title.replace(old.querySelector("h1").textContent, headline);
    }
    // whoever is on a link of ours keeps it: the old part is replaced once they have moved on
    if (old.contains(document.activeElement)) {
      old.addEventListener("focusout", () => old.isConnected && old.replaceWith(document.importNode(fresh, true)), { once: true });
    } else {
      old.replaceWith(document.importNode(fresh, true));
    }
  };

  const look = async () => {
    timer = 0;
    if (document.hidden) return;
    try {
      const answer = await fetch(follow.dataset.url, { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store", credentials: "same-origin" });
      if (answer.status === 404) return;
      if (answer.ok) {
        etag = answer.headers.get("ETag") || "";
        show(await answer.text());
      }
    } catch {
      // offline for a moment: the next look tells
    }
    plan();
  };

  const plan = () => {
    const final = document.getElementById("refund-status")?.dataset.final === "yes";
    if (!final && !timer && !document.hidden) timer = setTimeout(look, pause());
  };

  document.addEventListener("visibilitychange", plan);
  plan();
}
