// Buttons that copy a text of the page: `data-copy` names the element that holds it.
"use strict";

/** Where scripts may not write to the clipboard, the text is selected instead, ready for the keyboard. */
async function copyText(button) {
  const source = document.getElementById(button.dataset.copy);
  const news = document.getElementById("news");
  try {
    await navigator.clipboard.writeText(source.textContent);
    news.textContent = button.dataset.done;
    button.classList.add("done");
  } catch {
    getSelection().selectAllChildren(source);
    news.textContent = button.dataset.selected;
  }
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copyText(button));
}
