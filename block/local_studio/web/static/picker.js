// The class picker: rows for the labels in the text above it, a search of the classes, and their hierarchy. The server
// reads and writes the text, so its syntax is defined once. Without this script the text is edited by hand.
"use strict";
(() => {
  const PAUSE_MS = 150; // between the last key and the question to the server
  const find = (id) => document.getElementById(id);
  const picker = find("picker");
  if (!picker) {
    return;
  }
  const form = picker.closest("form");
  const fields = ["field", "model", "confidence", "other"];
  const [text, model, confidence, other] = fields.map((key) => find(picker.dataset[key]));
  const parts = ["rows", "state", "merge", "name", "search", "summary", "found", "tree"];
  const [list, state, merge, mergeName, search, summary, found, tree] = parts.map((key) => find(`picker-${key}`));
  let classes = new Map(); // by name
  let rows = []; // for each entry of the list: what the server said of it, its element, and its fields if it has some
  let turn = 0; // number of questions about the list: only the answer to the last one counts
  let waiting = null; // the last of these questions, until it is answered
  let next = null; // what is asked after the pause
  let timer = 0;
  let searches = 0;

  function make(tag, properties = {}, ...children) {
    const { aria = {}, ...rest } = properties;
    const element = Object.assign(document.createElement(tag), rest);
    for (const [name, value] of Object.entries(aria)) {
      element.setAttribute(`aria-${name}`, value);
    }
    element.append(...children);
    return element;
  }

  async function ask(path, body) {
    const token = document.querySelector('meta[name="csrf-token"]').content;
    const headers = { "Content-Type": "application/json", "X-CSRF-Token": token };
    const options = body ? { method: "POST", headers, body: JSON.stringify(body) } : {};
    const response = await fetch(path, { redirect: "error", ...options }).catch(() => {
      throw new Error("the local Studio does not answer");
    });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
      throw new Error(answer.error || `the local Studio answered ${response.status}`);
    }
    return answer;
  }

  // The list: from the text into rows, and from changed rows into the text

  function check(entries, isEdit) {
    clearTimeout(timer);
    next = null;
    const mine = ++turn;
    const body = { model: model.value, entries, confidence: confidence?.value ?? "", other: other?.value ?? "" };
    waiting = (async () => {
      try {
        const answer = await ask("/actions/labels.json", body);
        if (mine === turn) {
          text.value = isEdit ? answer.text : text.value;
          show(answer.rows);
          const wrong = answer.rows.filter((row) => row.problem).length;
          state.textContent = wrong ? `${wrong} of ${rows.length} can’t be used as written.` : `${rows.length} chosen.`;
        }
      } catch (error) {
        state.textContent = `The list was not checked: ${error.message}.`;
      }
      waiting = mine === turn ? null : waiting;
    })();
  }

  const readText = () => check([text.value], false);

  function writeRows() {
    const entries = rows.map(({ said, fields }) =>
      fields && (fields.name.value !== said.name || fields.threshold.value !== said.threshold)
        ? { className: said.className, name: fields.name.value, threshold: fields.threshold.value }
        : said.text,
    );
    rows.forEach((row, at) => (row.isWritten = typeof entries[at] !== "string"));
    check(entries, true);
  }

  function soon(act) {
    clearTimeout(timer);
    turn++; // what is under way is out of date
    next = act;
    timer = setTimeout(act, PAUSE_MS);
  }

  function show(answered) {
    const before = rows;
    rows = answered.map((said, at) => {
      const old = before.length === answered.length ? before[at] : null;
      const isSame = old?.fields && said.className === old.said.className;
      // What is wrong in a row's fields stays in them until it is right.
      const isWrong = old?.fields && !said.className && (old.isWritten || said.text === old.said.text);
      return isSame || isWrong ? update(old, said, isWrong) : said.className ? makeRow(said) : makeOddRow(said);
    });
    const elements = rows.map((row) => row.element);
    if (elements.length !== list.children.length || elements.some((one, at) => one !== list.children[at])) {
      list.replaceChildren(...elements); // takes the focus from a field
    }
    showMerge();
    showAdded(picker);
  }

  function makeRow(said) {
    const row = { said, fields: {}, box: make("input", { type: "checkbox", aria: { label: `Merge ${said.className}` } }) };
    row.box.addEventListener("change", showMerge);
    const labels = [
      ["name", "Call it", {}],
      ["threshold", "Threshold", { inputMode: "decimal" }],
    ].map(([key, label, properties]) => {
      const input = make("input", { type: "text", autocomplete: "off", spellcheck: false, ...properties });
      input.addEventListener("input", () => soon(writeRows));
      input.addEventListener("change", writeRows);
      row.fields[key] = input;
      const whose = make("span", { className: "visually-hidden" }, `: ${said.className}`);
      return make("label", {}, make("span", {}, label, whose), input);
    });
    const title = make("label", { className: "check" }, row.box, make("strong", {}, said.className));
    row.words = make("div", { className: "words" });
    row.element = make("li", {}, title, ...labels, makeRemove(row, said.className), row.words);
    return update(row, said);
  }

  /** Make a row for an entry that the fields of a row can't stand for: it is shown as it was typed. */
  function makeOddRow(said) {
    const row = { said, words: make("div", { className: "words" }) };
    row.element = make("li", { className: "odd" }, make("code", {}, said.text), makeRemove(row, said.text), row.words);
    const buttons = said.suggestions.map((entry) => {
      const button = make("button", { type: "button" }, entry);
      button.addEventListener("click", () => {
        row.said = { ...said, text: entry };
        writeRows();
      });
      return button;
    });
    update(row, said);
    row.words.append(...(buttons.length ? [make("p", { className: "buttons" }, "Use instead: ", ...buttons)] : []));
    return row;
  }

  function makeRemove(row, name) {
    const button = make("button", { type: "button", className: "plain remove", aria: { label: `Remove ${name}` } }, "×");
    button.addEventListener("click", () => {
      rows = rows.filter((one) => one !== row);
      writeRows();
      search.focus();
    });
    return button;
  }

  function update(row, said, isWrong = false) {
    const { name, threshold } = row.fields ?? {};
    row.isWritten = false;
    row.said = isWrong ? { ...said, className: row.said.className, name: name.value, threshold: threshold.value } : said;
    for (const [key, input] of Object.entries(row.fields ?? {})) {
      if (input !== document.activeElement) {
        input.value = row.said[key];
      }
      input.setAttribute("aria-invalid", Boolean(said.problem));
      input.placeholder = input === name ? row.said.className.replace(/\*$/, "") : (confidence?.value ?? "");
    }
    const words = [["wrong", said.problem], ["hint", said.note]].filter(([, one]) => one);
    row.words.replaceChildren(...words.map(([className, one]) => make("p", { className }, one)));
    return row;
  }

  function showMerge() {
    const chosen = rows.filter((row) => row.box?.checked);
    merge.hidden = chosen.length < 2;
    find("picker-merged").textContent = chosen.map((row) => row.said.className).join("; ");
  }

  find("picker-merge-button").addEventListener("click", () => {
    const chosen = rows.filter((row) => row.box?.checked);
    const name = mergeName.value.trim() || chosen[0].fields.name.value || chosen[0].fields.name.placeholder;
    for (const row of chosen) {
      row.fields.name.value = name;
      row.box.checked = false;
    }
    mergeName.value = "";
    writeRows();
    search.focus();
  });

  // The classes: found by words, or in the hierarchy

  function makeAdd(entry, words) {
    const button = make("button", { type: "button", aria: { pressed: "false" } });
    button.dataset.entry = entry;
    button.dataset.words = words;
    button.addEventListener("click", () => {
      const row = rows.find((one) => one.said.className === entry);
      rows = row ? rows.filter((one) => one !== row) : [...rows, { said: { text: entry, className: entry } }];
      writeRows();
    });
    return button;
  }

  function showAdded(within) {
    const chosen = new Set(rows.map((row) => row.said.className));
    for (const button of within.querySelectorAll("button[data-entry]")) {
      const isChosen = chosen.has(button.dataset.entry);
      button.setAttribute("aria-pressed", String(isChosen));
      button.textContent = isChosen ? "✓ Added" : button.dataset.words;
      button.setAttribute("aria-label", `${button.textContent}: ${button.dataset.entry}`);
    }
  }

  function makeButtons({ name, isClass, total }) {
    const all = isClass ? [`${name}*`, `Add with the ${total === 1 ? "one" : total} below`] : [name, `Add all ${total}`];
    const entries = [...(isClass ? [[name, "Add"]] : []), ...(total ? [all] : [])];
    return make("span", { className: "adds" }, ...entries.map(([entry, words]) => makeAdd(entry, words)));
  }

  const plainName = (one) => (one.isClass ? one.name : one.name.slice(0, -1));

  function makeFound(one) {
    const above = one.groups.filter(Boolean).map((path) => make("p", { className: "hint" }, `in ${path}`));
    const holds = one.holds ? [make("p", { className: "hint" }, one.holds)] : [];
    return make("li", {}, make("strong", {}, plainName(one)), makeButtons(one), ...above, ...holds);
  }

  function makeBranch(one) {
    if (!one.kinds.length) {
      return make("li", {}, make("span", {}, plainName(one)), makeButtons(one));
    }
    const total = make("span", { className: "quiet" }, ` · ${one.total}`);
    const branch = make("details", {}, make("summary", {}, plainName(one), total));
    const open = () => {
      const kinds = make("ul", {}, ...one.kinds.map((name) => makeBranch(classes.get(name))));
      branch.append(make("div", { className: "own" }, makeButtons(one)), make("p", { className: "hint" }, one.holds), kinds);
      showAdded(branch);
    };
    branch.addEventListener("toggle", open, { once: true });
    return make("li", {}, branch);
  }

  async function searchClasses() {
    const mine = ++searches;
    const typed = search.value.trim();
    const query = new URLSearchParams({ model: model.value, text: typed });
    const answer = await ask(`/actions/search.json?${query}`).catch((error) => ({ names: [], error }));
    if (mine !== searches) {
      return; // another search has begun
    }
    found.replaceChildren(...answer.names.map((name) => makeFound(classes.get(name))));
    showAdded(found);
    found.hidden = !answer.names.length;
    summary.textContent = answer.error ? `The search failed: ${answer.error.message}.`
      : !typed ? ""
      : !answer.isGuess ? `${answer.names.length} found, the likeliest first`
      : `Nothing is called “${typed}”. ${answer.names.length ? "Similar:" : "Try another word, or browse all sounds below."}`;
  }

  async function load() {
    // Without classes, as for a model that isn't here, the text is edited by hand.
    const query = new URLSearchParams({ model: model.value });
    const answer = await ask(`/actions/classes.json?${query}`).catch(() => ({ classes: [] }));
    classes = new Map(answer.classes.map((one) => [one.name, one]));
    picker.hidden = !classes.size;
    if (classes.size) {
      tree.replaceChildren(...answer.classes.filter((one) => one.groups.includes("")).map(makeBranch));
      rows = [];
      readText();
      searchClasses();
    }
  }

  text.addEventListener("input", () => soon(readText));
  for (const control of [confidence, other]) {
    control?.addEventListener("change", readText);
  }
  model.addEventListener("change", load);
  let searchTimer = 0;
  search.addEventListener("input", () => {
    clearTimeout(searchTimer);
    searchTimer = setTimeout(searchClasses, PAUSE_MS);
  });
  // Enter in a field here doesn't start a job.
  picker.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input")) {
      event.preventDefault();
      event.target === mergeName ? find("picker-merge-button").click() : event.target.dispatchEvent(new Event("change"));
    }
  });
  form.addEventListener("submit", async (event) => {
    if (!next && !waiting) {
      return;
    }
    event.preventDefault(); // until the text says what the rows do
    next?.();
    await waiting;
    form.requestSubmit(event.submitter);
  });
  addEventListener("pageshow", load); // browsers fill in a form again after it has loaded
})();
