#include "inspect/Html.h"

namespace pewter::inspect {

// Colours keep a contrast of 4.5 : 1 for text and 3 : 1 for lines, and differ in lightness as well as in hue.
const char* const kPageStyle = R"css(
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --line: #d3d8de; --panel: #f6f8fa; --ground: #f0f2f5;
  --image: #1f66b0; --image-fill: #cfe3f8; --gradient: #b34700; --gradient-fill: #fcdcc4;
  --state: #6f3fb5; --state-fill: #e2d5f7; --scratch: #5f6770; --scratch-fill: #dde1e6;
  --update: #0b6e43; --update-fill: #cdeedd; --peak: #c01c28; --bound: #1b1f24; --live: #9fb3c8; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #12161b; --ink: #e8ecf0; --soft: #a3adb8; --line: #3a434d; --panel: #1b2128; --ground: #1a2027;
  --image: #6cb0f5; --image-fill: #173a5e; --gradient: #f59a5c; --gradient-fill: #5c2c0c;
  --state: #bf9bf2; --state-fill: #412a68; --scratch: #a8b0b9; --scratch-fill: #3c444d;
  --update: #67d49f; --update-fill: #104a30; --peak: #ff7b80; --bound: #e8ecf0; --live: #4d6379; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 20px 16px 48px; background: var(--paper); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; }
main { max-width: 1232px; margin: 0 auto; }
h1 { font-size: 24px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 36px 0 8px; }
p { margin: 0 0 10px; max-width: 980px; }
.soft { color: var(--soft); font-weight: normal; }
dl { display: flex; flex-wrap: wrap; gap: 10px; margin: 16px 0 0; }
dl div { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 7px 13px; }
dt { color: var(--soft); font-size: 12px; }
dd { margin: 0; font-size: 16px; font-variant-numeric: tabular-nums; }
dd .soft { font-size: 12px; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 0 0 10px; padding: 0; list-style: none; }
.legend li { display: flex; align-items: center; gap: 7px; }
svg { display: block; width: 100%; height: auto; }
.legend svg { width: 34px; height: 14px; flex: none; }
svg text { font-size: 12px; fill: var(--ink); }
svg .end { text-anchor: end; } svg .mid { text-anchor: middle; }
svg .soft, svg .tick { fill: var(--soft); font-size: 11px; }
svg .heading { font-size: 13px; font-weight: 600; }
svg .head { font-size: 13px; font-weight: 600; text-anchor: middle; fill: var(--soft); }
svg .name { font-weight: 600; }
.box rect { fill: var(--image-fill); stroke: var(--image); }
.box.backward rect { fill: var(--gradient-fill); stroke: var(--gradient); }
.box.again rect { fill: var(--paper); stroke: var(--image); stroke-dasharray: 5 3; }
.box.input rect { fill: var(--panel); stroke: var(--soft); }
.box.updates rect { stroke: var(--update); stroke-width: 2; }
.box .soft { fill: var(--ink); opacity: .8; }
.box rect.badge { fill: var(--update-fill); stroke: var(--update); stroke-width: 1; stroke-dasharray: none; }
.box.again rect.badge { fill: var(--paper); stroke: var(--image); }
svg text.badge { font-size: 10px; text-anchor: middle; }
.edge { fill: none; stroke-width: 1.5; }
.edge.image { stroke: var(--image); } .edge.gradient { stroke: var(--gradient); }
.edge.state { stroke: var(--state); stroke-dasharray: 6 4; stroke-width: 1.8; }
marker.image { fill: var(--image); } marker.gradient { fill: var(--gradient); } marker.state { fill: var(--state); }
svg .size { font-size: 11px; fill: var(--state); paint-order: stroke; stroke: var(--paper); stroke-width: 4px;
  stroke-linejoin: round; }
.ground { fill: var(--ground); } .grid { stroke: var(--line); fill: none; }
.block rect { stroke-width: .8; }
.block text { font-size: 11px; pointer-events: none; } .block text.soft { fill: var(--ink); opacity: .8; }
.block.image rect { fill: var(--image-fill); stroke: var(--image); }
.block.gradient rect { fill: var(--gradient-fill); stroke: var(--gradient); }
.block.state rect { fill: var(--state-fill); stroke: var(--state); }
.block.scratch rect { fill: var(--scratch-fill); stroke: var(--scratch); }
.peak { stroke: var(--peak); stroke-width: 2; fill: none; }
.bound { stroke: var(--bound); stroke-width: 1.5; stroke-dasharray: 3 3; fill: none; }
.live { fill: var(--live); stroke: var(--soft); stroke-width: 1; }
.column { fill: transparent; } .column:hover, .column.hit { fill: var(--ink); fill-opacity: .15; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 4px 9px; border-bottom: 1px solid var(--line); overflow-wrap: anywhere;
  vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; border-bottom: 2px solid var(--line); }
th.number, td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
i.dot { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 7px; border: 1px solid; }
i.image { background: var(--image-fill); border-color: var(--image); }
i.gradient { background: var(--gradient-fill); border-color: var(--gradient); }
i.state { background: var(--state-fill); border-color: var(--state); }
[data-m] { cursor: pointer; }
.picked .box:not(.hit), .picked .edge:not(.hit), .picked .block:not(.hit), .picked .size:not(.hit) { opacity: .22; }
tr.hit td { background: var(--ground); }
.edge.hit { stroke-width: 2.6; }
@media print { .picked * { opacity: 1; } }
)css";

// Shows what belongs to the thing under the pointer; a click keeps it shown, the next click or Escape ends that. No
// character here needs escaping in XML.
const char* const kPageScript = R"js(
(function () {
  var all = Array.prototype.slice.call(document.querySelectorAll('[data-k]')), kept = '';
  var keys = all.map(function (e) { return ' ' + e.getAttribute('data-k') + ' '; });
  function show(name) {
    document.body.classList.toggle('picked', name !== '');
    all.forEach(function (e, i) {
      e.classList.toggle('hit', name === '' ? false : keys[i].indexOf(' ' + name + ' ') !== -1);
    });
  }
  function nameOf(event) {
    var e = event.target.closest('[data-m]');
    return e ? e.getAttribute('data-m') : '';
  }
  document.addEventListener('mouseover', function (event) { if (kept === '') show(nameOf(event)); });
  document.addEventListener('click', function (event) {
    var name = nameOf(event);
    kept = name === kept ? '' : name;
    show(kept);
  });
  document.addEventListener('keydown', function (event) { if (event.key === 'Escape') show(kept = ''); });
})();
)js";

}  // namespace pewter::inspect
