//! Draws requests a second over time as SVG, legible on light and on dark.

use std::fmt::Write;

use super::{OUTAGE, Policy, Run, gauge::real};

/// Seconds that are drawn before the return, and after.
const SPAN: (u32, u32) = (600, 900);

/// Seconds that each point is the mean of.
const STEP: u32 = 5;

const LEFT: f64 = 78.0;
const WIDTH: f64 = 740.0;
const TOP: f64 = 76.0;
const HEIGHT: f64 = 210.0;
const GAP: f64 = 78.0;

/// One panel a title: the runs of all policies under the same conditions.
#[must_use]
pub fn plot(panels: &[(String, Vec<&Run>)]) -> String {
    let height = TOP + real(panels.len() as u64) * (HEIGHT + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {height}\" width=\"{w}\" height=\"{height}\" role=\"img\" \
         aria-label=\"Requests a second at a server that comes back after an hour, for three retry policies\">\n{STYLE}",
        w = LEFT + WIDTH + 22.0,
    );
    let _ = writeln!(svg, "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>");
    for (at, policy) in Policy::ALL.into_iter().enumerate() {
        let x = LEFT + 250.0 * real(at as u64);
        let _ = writeln!(svg, "<path class=\"{}\" d=\"M{x} 24h28\"/>", class(policy));
        let _ = writeln!(svg, "<text x=\"{}\" y=\"28\">{}</text>", x + 36.0, policy.name());
    }
    let most = panels.iter().flat_map(|(_, runs)| runs).flat_map(|run| &run.arrivals).max().copied().unwrap_or(1);
    // The axis ends at the power of ten above all.
    let decades = most.max(10).ilog10() + 1;
    for (at, (title, runs)) in panels.iter().enumerate() {
        panel(&mut svg, TOP + real(at as u64) * (HEIGHT + GAP), decades, title, runs);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, top: f64, decades: u32, title: &str, runs: &[&Run]) {
    let bottom = top + HEIGHT;
    let y = |rate: f64| bottom - HEIGHT * rate.max(1.0).log10() / f64::from(decades);
    let _ = writeln!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"{}\">{title}</text>", top - 12.0);
    for decade in 0..=decades {
        let rate = 10_f64.powi(i32::try_from(decade).unwrap_or(0));
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {:.1}h{WIDTH}\"/>", y(rate));
        let _ = writeln!(svg, "<text class=\"tick end\" x=\"{}\" y=\"{:.1}\">{rate}</text>", LEFT - 8.0, y(rate) + 4.0);
    }
    let (before, after) = SPAN;
    for minute in (0..=(before + after) / 60).step_by(5) {
        let x = across(minute * 60);
        let from_return = i64::from(minute) - i64::from(before / 60);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {top}v{HEIGHT}\"/>");
        let _ = writeln!(svg, "<text class=\"tick mid\" x=\"{x:.1}\" y=\"{:.1}\">{from_return}</text>", bottom + 17.0);
    }
    let _ = writeln!(
        svg,
        "<text class=\"tick mid\" x=\"{}\" y=\"{:.1}\">minutes after the return</text>",
        LEFT + WIDTH / 2.0,
        bottom + 35.0
    );
    let middle = top + HEIGHT / 2.0;
    let _ = writeln!(svg, "<text class=\"tick mid\" transform=\"translate(18 {middle}) rotate(-90)\">requests per second</text>");
    let back = across(before);
    let _ = writeln!(svg, "<path class=\"back\" d=\"M{back:.1} {top}v{HEIGHT}\"/>");
    for run in runs.iter().rev() {
        let _ = writeln!(svg, "<path class=\"{}\" d=\"{}\"/>", class(run.scenario.policy), line(run, y));
    }
    if let Some(run) = runs.first() {
        let capacity = run.scenario.capacity();
        let _ = writeln!(svg, "<path class=\"capacity\" d=\"M{back:.1} {:.1}H{}\"/>", y(capacity), LEFT + WIDTH);
        let (x, y) = (LEFT + WIDTH - 4.0, y(capacity) - 6.0);
        let _ = writeln!(
            svg,
            "<text class=\"tick end label\" x=\"{x}\" y=\"{y:.1}\">the server bears {capacity:.0} per second</text>"
        );
    }
}

/// Where a second of the span lies.
fn across(second: u32) -> f64 {
    LEFT + WIDTH * f64::from(second) / f64::from(SPAN.0 + SPAN.1)
}

fn line(run: &Run, y: impl Fn(f64) -> f64) -> String {
    let (before, after) = SPAN;
    let begin = usize::try_from(OUTAGE / 1_000).unwrap_or(0).saturating_sub(before as usize);
    let mut path = String::new();
    for second in (0..before + after).step_by(STEP as usize) {
        let from = begin + second as usize;
        let sum: u32 = run.arrivals.iter().skip(from).take(STEP as usize).sum();
        let letter = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{letter}{:.1} {:.1}", across(second), y(f64::from(sum) / f64::from(STEP)));
    }
    path
}

fn class(policy: Policy) -> &'static str {
    match policy {
        Policy::Ours => "ours",
        Policy::Doubling => "doubling",
        Policy::Fixed(_) => "fixed",
    }
}

const STYLE: &str = "<style>
svg { font: 13px system-ui, sans-serif; }
text { fill: #24292f; }
path { fill: none; }
.paper { fill: #ffffff; }
.title { font-weight: 600; }
.label { paint-order: stroke; stroke: #ffffff; stroke-width: 5; stroke-linejoin: round; }
.tick { font-size: 11px; fill: #57606a; }
.mid { text-anchor: middle; }
.end { text-anchor: end; }
.grid { stroke: #d8dee4; stroke-width: 1; }
.back { stroke: #57606a; stroke-width: 1.5; }
.capacity { stroke: #24292f; stroke-width: 1.5; stroke-dasharray: 6 4; }
.ours { stroke: #0969da; stroke-width: 2.2; }
.doubling { stroke: #bc4c00; stroke-width: 1.4; }
.fixed { stroke: #8250df; stroke-width: 1.4; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .paper { fill: #0d1117; }
  .tick { fill: #9198a1; }
  .label { stroke: #0d1117; }
  .grid { stroke: #2a313c; }
  .back { stroke: #9198a1; }
  .capacity { stroke: #e6edf3; }
  .ours { stroke: #58a6ff; }
  .doubling { stroke: #f0883e; }
  .fixed { stroke: #bc8cff; }
}
</style>
";
