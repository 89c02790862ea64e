//! Latency against rate, drawn: a line a percentile and server; latency on a logarithmic axis.

use std::path::Path;

use plotters::prelude::*;

use crate::Failure;
use crate::report::{Latency, Open};

/// A percentile: its name, which it is, and how strongly it is drawn.
type Percentile = (&'static str, fn(&Latency) -> f64, f64);

/// The percentiles that are drawn.
const PERCENTILES: [Percentile; 3] = [
    ("p50", |latency| latency.p50_us, 1.0),
    ("p99", |latency| latency.p99_us, 0.65),
    ("p99.9", |latency| latency.p999_us, 0.35),
];
/// The servers that are drawn.
const SERVERS: [(&str, RGBColor); 2] = [("guildhall", RGBColor(0, 90, 181)), ("echo", RGBColor(220, 50, 32))];

/// Draws what was measured in open loops into an SVG file.
///
/// # Errors
/// If the file cannot be written.
pub fn draw(path: &Path, open: &[Open]) -> Result<(), Failure> {
    let Some(first) = open.first() else { return Ok(()) };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let latencies = || open.iter().flat_map(|open| PERCENTILES.map(|(_, of, _)| drawn(of(&open.figures.latency))));
    // From one power of ten to another, so that both ends are labelled.
    let least = 10_f64.powf(latencies().fold(f64::INFINITY, f64::min).log10().floor());
    let most = 10_f64.powf(latencies().fold(1.0, f64::max).log10().ceil());
    let rate_max = open.iter().map(|open| open.rate).fold(0.0, f64::max);
    let area = SVGBackend::new(path, (900, 560)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(&first.what, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..rate_max * 1.1, (least..most).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("calls meant to begin a second")
        .y_desc("latency")
        .x_label_formatter(&|rate| format!("{rate:.0}"))
        .y_label_formatter(&|micros| match micros {
            ..1_000.0 => format!("{micros:.0} µs"),
            _ => format!("{:.0} ms", micros / 1e3),
        })
        .draw()?;
    for (name, color) in SERVERS {
        for (percentile, of, strength) in PERCENTILES {
            let points = || {
                let mine = open.iter().filter(|open| open.target == name);
                mine.map(|open| (open.rate, drawn(of(&open.figures.latency))))
            };
            let style = color.mix(strength).stroke_width(2);
            chart
                .draw_series(LineSeries::new(points(), style))?
                .label(format!("{name} {percentile}"))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            chart.draw_series(points().map(|point| Circle::new(point, 3, color.mix(strength).filled())))?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

/// Returns a latency as it can be drawn: a logarithmic axis has no zero.
fn drawn(micros: f64) -> f64 {
    micros.max(1.0)
}
