// Light and dark, the filter, links into what is folded, and paper. The page can be read without it.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
  }

  function showTheme(button) {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark() ? "Switch to light colours" : "Switch to dark colours");
  }

  function startTheme() {
    const button = document.getElementById("theme");
    if (!button) return;
    button.hidden = false;
    showTheme(button);
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      showTheme(button);
    });
    dark.addEventListener("change", () => showTheme(button));
  }

  function shows(card, outcome, words) {
    const { dataset } = card;
    const fits = outcome === "" || dataset.outcome === outcome || (outcome === "unsure" && "unsure" in dataset);
    return fits && words.every((word) => dataset.text.includes(word));
  }

  function startFilter() {
    const form = document.getElementById("filter");
    if (!form) return;
    const said = document.getElementById("filter-said");
    const all = [...document.querySelectorAll("[data-text]")];
    const cards = all.filter((each) => each.classList.contains("card"));
    const apply = () => {
      const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const outcome = form.elements.outcome.value;
      for (const each of all) each.hidden = !shows(each, outcome, words);
      const left = cards.filter((each) => !each.hidden).length;
      said.textContent = left === cards.length ? "" : `${left} of ${cards.length} shown`;
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  // A link into what is folded shows it.
  function openTarget() {
    openTo(document.getElementById(location.hash.slice(1)));
  }

  function openTo(target) {
    for (let at = target; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") at.open = true;
      at.hidden = false;
    }
  }

  // Paper folds nothing but tables of what a plot shows.
  function startPrint() {
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = [...document.querySelectorAll("details:not([open], .as-table)")];
      for (const each of closed) each.open = true;
    });
    addEventListener("afterprint", () => {
      for (const each of closed) each.open = false;
    });
  }

  startTheme();
  startFilter();
  startPrint();
  addEventListener("hashchange", openTarget);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (link) openTo(document.getElementById(link.hash.slice(1)));
  });
  openTarget();
})();
