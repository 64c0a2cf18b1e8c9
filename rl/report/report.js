// Theme switch, and the section that is being read. Without it the page still shows everything but the problems.
(() => {
  const root = document.documentElement;
  const remember = (value) => { try { localStorage.setItem("ucoder-theme", value); } catch { /* file:// may refuse */ } };
  const recall = () => { try { return localStorage.getItem("ucoder-theme"); } catch { return null; } };
  const asked = new URLSearchParams(location.search).get("theme") || recall();
  if (asked === "dark" || asked === "light") root.dataset.theme = asked;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remember(root.dataset.theme);
  });

  const links = [...document.querySelectorAll("nav a")];
  const spy = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) links.forEach((a) => a.classList.toggle("here", a.hash === "#" + entry.target.id));
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  document.querySelectorAll("main section").forEach((section) => spy.observe(section));
})();
