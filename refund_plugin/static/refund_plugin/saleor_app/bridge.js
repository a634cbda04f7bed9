/* Talks with Saleor's dashboard, in whose frame this page stands: takes its pass and its look, tells it how tall we are.
   Without this script the panels work as well; only the App's own page needs it, because the dashboard hands its pass to a script. */
(() => {
  const root = document.documentElement;
  const dashboard = root.dataset.dashboard;
  if (window.parent === window || !dashboard) return;

  const tell = (type, payload = {}) => {
    window.parent.postMessage({ type, payload: { ...payload, actionId: crypto.randomUUID?.() ?? String(Math.random()) } }, dashboard);
  };

  const takeToken = (token) => {
    const shell = document.querySelector("form[data-shell]");
    if (shell) {
      if (!shell.elements.accessToken.value) {
        shell.elements.accessToken.value = token;
        shell.submit();
      }
      return;
    }
    for (const form of document.forms) {
      let field = form.elements.accessToken;
      if (!field) {
        field = Object.assign(document.createElement("input"), { type: "hidden", name: "accessToken" });
        form.append(field);
      }
      field.value = token;
    }
  };

  const takeTheme = (theme) => {
    if (theme !== "light" && theme !== "dark") return;
    root.dataset.theme = theme;
    for (const form of document.forms) if (form.elements.theme) form.elements.theme.value = theme;
  };

  window.addEventListener("message", (event) => {
    if (event.origin !== dashboard || event.source !== window.parent) return;
    const { type, payload } = event.data ?? {};
    if ((type === "handshake" || type === "tokenRefresh") && typeof payload?.token === "string") takeToken(payload.token);
    if (type === "theme") takeTheme(payload?.theme);
  });

  if (document.querySelector("form[data-shell]")) tell("notifyReady");
  if ("widget" in root.dataset) {
    new ResizeObserver(() => tell("widgetResize", { height: Math.ceil(document.body.getBoundingClientRect().height) })).observe(document.body);
  }

  // one click is one request; the server would take the second for the first anyway
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
    });
  }
})();
