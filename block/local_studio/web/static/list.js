// Choosing recordings by ranges and all together, and a file to import: all of it works without, only slower.
"use strict";
(() => {
  const form = document.getElementById("choice");
  if (form) {
    const boxes = [...form.querySelectorAll('input[name="id"]')];
    const all = document.getElementById("all");
    const told = document.getElementById("chosen");
    let last = null;

    const tell = () => {
      const count = boxes.filter((box) => box.checked).length;
      all.checked = count === boxes.length;
      all.indeterminate = count > 0 && count < boxes.length;
      told.textContent = count ? `${count} chosen` : "";
    };

    boxes.forEach((box, at) => {
      box.addEventListener("click", (event) => {
        if (event.shiftKey && last !== null) {
          const [from, to] = last < at ? [last, at] : [at, last];
          for (let i = from; i <= to; i++) {
            boxes[i].checked = box.checked;
          }
        }
        last = at;
        tell();
      });
    });
    all.addEventListener("change", () => {
      for (const box of boxes) {
        box.checked = all.checked;
      }
      tell();
    });
    form.addEventListener("submit", (event) => {
      if (!boxes.some((box) => box.checked)) {
        event.preventDefault();
        told.textContent = "Check at least one recording first.";
      }
    });
    all.hidden = false;
    // Browsers keep what was chosen when a page is gone back to.
    addEventListener("pageshow", tell);
    tell();
  }

  const into = document.getElementById("import");
  if (into) {
    const file = document.getElementById("file");
    const text = document.getElementById("labels");
    document.getElementById("of-file").hidden = false;
    into.addEventListener("submit", async (event) => {
      if (!file.files.length) {
        return;
      }
      event.preventDefault();
      // A field that is not shown: megabytes in a text area take a browser seconds to lay out.
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = "labels";
      try {
        field.value = await file.files[0].text();
      } catch (error) {
        document.getElementById("import-problem").textContent = `The file cannot be read: ${error.message}`;
        return;
      }
      text.disabled = true;
      into.append(field);
      into.submit();
      // Gone back to, the form is as it was.
      field.remove();
      text.disabled = false;
    });
  }
})();
