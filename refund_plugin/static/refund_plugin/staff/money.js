// Follows comparisons that are under way, and shows the whole page anew once they end; never moves the focus.
const follow = document.querySelector("[data-refund-progress]");

if (follow && follow.querySelector("progress")) {
  const PAUSE = 3000;
  const ask = async () => {
    try {
      const answer = await fetch(follow.dataset.refundProgress, { credentials: "same-origin" });
      if (answer.ok && !answer.redirected) {
        const text = await answer.text();
        if (!text.includes("<progress")) {
          window.location.reload();
          return;
        }
        follow.innerHTML = text;
      }
    } catch {
      // the server is away for a moment: the next try finds it, and the page says nothing false meanwhile
    }
    window.setTimeout(ask, PAUSE);
  };
  window.setTimeout(ask, PAUSE);
}
