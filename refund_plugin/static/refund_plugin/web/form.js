// Every form works without this. It sends a form once, however often its button is pressed, and leads to what is to be put right.
document.querySelector("[data-refund-focus]")?.focus();

for (const form of document.querySelectorAll("form[data-refund-once]")) {
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) {
      event.preventDefault();
      return;
    }
    sent = true;
    event.submitter?.setAttribute("aria-disabled", "true");
  });
  // Back from the browser's memory: the form may be sent again; its key still makes it one request.
  window.addEventListener("pageshow", () => {
    sent = false;
    for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
  });
}
