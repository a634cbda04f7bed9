// Shows how far claiming is while the list is written, then hands the file over; without this script the form downloads by itself.
const form = document.querySelector("[data-refund-claim]");
const claiming = document.querySelector("[data-refund-claiming]");
const told = document.querySelector("[data-refund-told]");
const done = document.querySelector("[data-refund-now]");

const hand = (parts, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
  link.download = name;
  link.click();
};

const claim = async (button) => {
  const body = new FormData(form, button);
  const bar = claiming.querySelector("progress");
  const buttons = form.querySelectorAll("button");
  buttons.forEach((one) => (one.disabled = true));
  form.setAttribute("aria-busy", "true");
  told.textContent = "";
  done.hidden = true;
  bar.removeAttribute("value");
  claiming.hidden = false;
  try {
    const answer = await fetch(window.location.href, { method: "POST", body, credentials: "same-origin" });
    const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") || "");
    if (!answer.ok || !name) {
      window.location.reload(); // not signed in any more, or not allowed: the page itself says so
      return;
    }
    const parts = [];
    let lines = -1; // the head is no refund
    const reader = answer.body.getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      parts.push(read.value);
      lines += read.value.reduce((count, byte) => count + (byte === 10), 0);
      bar.value = Math.max(0, lines);
    }
    hand(parts, name[1]);
    done.hidden = false;
    told.textContent = form.dataset.refundDone;
  } catch {
    told.textContent = form.dataset.refundLost;
  }
  claiming.hidden = true;
  form.removeAttribute("aria-busy");
  buttons.forEach((one) => (one.disabled = false));
  button.focus();
};

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    claim(event.submitter);
  });
}
