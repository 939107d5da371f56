/* SPDX-License-Identifier: BSD-2-Clause */
/* What the pages of reports share. */
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const text = (id, value) => { document.getElementById(id).textContent = value; };
const count = n => n === null ? "–" : n.toLocaleString("en");
function bytes(n) {
  if (n === null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let u = 0;
  while (n >= 1024 && u < 4) { n /= 1024; u++; }
  return n.toFixed(u ? 1 : 0) + " " + units[u];
}
function element(parent, tag, content, cls) {
  const e = document.createElement(tag);
  e.textContent = content;
  if (cls) e.className = cls;
  parent.appendChild(e);
  return e;
}
function heads(table, names) {
  const row = element(table, "tr", "");
  names.forEach(n => element(row, "th", n));
}
