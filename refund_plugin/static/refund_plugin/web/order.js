// Shows the server's own amounts as soon as something is ticked, or a quantity or the reason changes; there is no second calculation here.
for (const form of document.querySelectorAll("form[data-refund-live]")) {
  const update = form.querySelector("[data-refund-update]");
  if (!update) continue;
  update.hidden = true;
  let running = null;

  const refresh = async () => {
    running?.abort();
    running = new AbortController();
    const data = new FormData(form);
    data.set("update", "1");
    try {
      const answer = await fetch(form.action, { method: "POST", body: data, signal: running.signal, credentials: "same-origin" });
      if (!(answer.headers.get("Content-Type") || "").startsWith("text/html")) throw new TypeError("no page");
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of form.querySelectorAll("[data-live][id]")) {
        const fresh = page.getElementById(part.id);
        if (fresh && fresh.innerHTML !== part.innerHTML) part.innerHTML = fresh.innerHTML;
      }
    } catch (error) {
      if (error.name !== "AbortError") update.hidden = false; // the way without script
    }
  };

  form.addEventListener("change", (event) => {
    if (event.target.matches("input[type=checkbox], select[name^=quantity], select[name=reason]")) refresh();
  });
}
