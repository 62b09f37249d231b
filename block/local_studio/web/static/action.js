// The form of a block: items that depend on another one are shown when that one says so. Without this script all are.
"use strict";
(() => {
  const form = document.getElementById("action");
  const dependent = [...form.querySelectorAll("[data-if]")];
  const ids = document.getElementById("ids");

  function valueOf(name) {
    const control = document.getElementById(name);
    if (!control) {
      return null;
    }
    return control.type === "checkbox" ? String(control.checked) : control.value;
  }

  function show() {
    for (const field of dependent) {
      const value = valueOf(field.dataset.if);
      field.hidden = value !== null && (value === field.dataset.value) !== (field.dataset.equal === "yes");
    }
  }

  form.addEventListener("input", show);
  form.addEventListener("change", show);
  // Typing ids means them.
  ids.addEventListener("input", () => {
    form.querySelector('input[name="which"][value="given"]').checked = true;
  });
  // A link in the summary leads into what may be folded up.
  for (const link of document.querySelectorAll("#problems a")) {
    link.addEventListener("click", (event) => {
      const control = document.getElementById(link.getAttribute("href").slice(1));
      if (control) {
        event.preventDefault();
        control.closest("details")?.setAttribute("open", "");
        control.focus();
      }
    });
  }
  show();
})();
