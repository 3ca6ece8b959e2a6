//! The report as a picture: two plots over the weeks, in plain SVG. The same report gives the same bytes.

use std::fmt::Write as _;

use super::report::{Quartiles, Report, Week};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 360.0;
const LEARNED: &str = "#1f6fb4";
const GROWTH: &str = "#2e8b57";
const BEST: &str = "#8a6d00";
const UNIFORM: &str = "#777777";

impl Report {
    /// Two plots: how much more readers react by week, and the followers gained.
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\" fill=\"#222222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        self.reactions().draw(&mut svg, 60.0);
        self.followers().draw(&mut svg, 540.0);
        svg.push_str("</svg>\n");
        svg
    }

    fn of_weeks(&self, value: impl Fn(&Week) -> Option<Quartiles>) -> Vec<(f64, Quartiles)> {
        self.weeks.iter().filter_map(|week| Some((f64::from(week.week), value(week)?))).collect()
    }

    fn reactions(&self) -> Plot {
        let percent = |of: Quartiles| {
            let [low, median, high] = [of.low, of.median, of.high].map(|share| 100.0 * share);
            Some(Quartiles { low, median, high })
        };
        Plot {
            title: "Reactions to a post, against choosing uniformly, in %",
            lines: vec![
                Line::new("best kind alone", BEST, self.of_weeks(|week| percent(week.best))).without_band(),
                Line::new("learned", LEARNED, self.of_weeks(|week| percent(week.learned))),
                Line::new("uniform", UNIFORM, self.of_weeks(|_| Some(Quartiles::default()))),
            ],
        }
    }

    fn followers(&self) -> Plot {
        Plot {
            title: "Followers gained",
            lines: vec![
                Line::new("learned, follows count", GROWTH, self.of_weeks(|week| week.followers.with_growth)),
                Line::new("learned", LEARNED, self.of_weeks(|week| Some(week.followers.learned))),
                Line::new("uniform", UNIFORM, self.of_weeks(|week| Some(week.followers.uniform))).without_band(),
            ],
        }
    }
}

struct Line {
    name: &'static str,
    colour: &'static str,
    points: Vec<(f64, Quartiles)>,
    has_band: bool,
}

impl Line {
    fn new(name: &'static str, colour: &'static str, points: Vec<(f64, Quartiles)>) -> Self {
        Self { name, colour, points, has_band: true }
    }

    fn without_band(self) -> Self {
        Self { has_band: false, ..self }
    }

    /// The lowest and the highest value that is drawn.
    fn range(&self) -> impl Iterator<Item = f64> + '_ {
        let of = |(_, at): &(f64, Quartiles)| if self.has_band { [at.low, at.high] } else { [at.median, at.median] };
        self.points.iter().flat_map(of)
    }
}

struct Plot {
    title: &'static str,
    lines: Vec<Line>,
}

/// Where in the picture a value is.
struct Scale {
    left: f64,
    weeks: f64,
    low: f64,
    high: f64,
}

impl Scale {
    const TOP: f64 = 40.0;
    const BOTTOM: f64 = 290.0;
    const WIDE: f64 = 380.0;

    fn x(&self, week: f64) -> f64 {
        self.left + Self::WIDE * (week - 1.0) / (self.weeks - 1.0).max(1.0)
    }

    fn y(&self, value: f64) -> f64 {
        Self::BOTTOM - (Self::BOTTOM - Self::TOP) * (value - self.low) / (self.high - self.low)
    }
}

impl Plot {
    fn draw(&self, svg: &mut String, left: f64) {
        let range = || self.lines.iter().flat_map(Line::range);
        let (low, high) = (range().fold(0.0, f64::min), range().fold(0.0, f64::max));
        let step = step(high - low);
        let weeks = self.lines.iter().flat_map(|line| &line.points).map(|(week, _)| *week).fold(1.0, f64::max);
        let scale = Scale { left, weeks, low: (low / step).floor() * step, high: (high / step).ceil() * step };
        line(
            svg,
            format_args!("<text x=\"{left}\" y=\"24\" font-size=\"14\" font-weight=\"bold\">{}</text>", self.title),
        );
        Self::axes(svg, &scale, step);
        for one in &self.lines {
            one.draw(svg, &scale);
        }
        let mut at = left;
        for one in self.lines.iter().filter(|line| !line.points.is_empty()) {
            line(svg, format_args!("<rect x=\"{at}\" y=\"334\" width=\"14\" height=\"4\" fill=\"{}\"/>", one.colour));
            line(svg, format_args!("<text x=\"{}\" y=\"340\">{}</text>", at + 20.0, one.name));
            at += 36.0 + 6.6 * one.name.len() as f64;
        }
    }

    fn axes(svg: &mut String, scale: &Scale, step: f64) {
        let (left, right) = (scale.left, scale.left + Scale::WIDE);
        let mut value = scale.low;
        while value <= scale.high + step / 2.0 {
            let y = scale.y(value);
            line(svg, format_args!("<path d=\"M{left} {y:.1}H{right}\" stroke=\"#dddddd\"/>"));
            line(
                svg,
                format_args!(
                    "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                    left - 6.0,
                    y + 4.0,
                    label(value)
                ),
            );
            value += step;
        }
        let every = (scale.weeks / 12.0).ceil().max(1.0);
        let mut week = 1.0;
        while week <= scale.weeks {
            line(svg, format_args!("<text x=\"{:.1}\" y=\"308\" text-anchor=\"middle\">{week}</text>", scale.x(week)));
            week += every;
        }
        line(svg, format_args!("<text x=\"{right}\" y=\"322\" text-anchor=\"end\">week</text>"));
    }
}

impl Line {
    fn draw(&self, svg: &mut String, scale: &Scale) {
        let points = |of: fn(&Quartiles) -> f64| {
            self.points.iter().map(move |(week, at)| format!("{:.1},{:.1}", scale.x(*week), scale.y(of(at))))
        };
        if self.points.is_empty() {
            return;
        }
        if self.has_band {
            let mut around: Vec<String> = points(|at| at.high).collect();
            around.extend(points(|at| at.low).collect::<Vec<_>>().into_iter().rev());
            line(
                svg,
                format_args!(
                    "<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"0.15\"/>",
                    around.join(" "),
                    self.colour
                ),
            );
        }
        let median = points(|at| at.median).collect::<Vec<_>>().join(" ");
        line(
            svg,
            format_args!("<polyline points=\"{median}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>", self.colour),
        );
    }
}

fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(svg, "{text}");
}

/// A round step that divides a range into three to eight parts.
fn step(range: f64) -> f64 {
    let rough = (range / 6.0).max(0.01);
    let unit = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * unit).find(|step| *step >= rough).unwrap_or(10.0 * unit)
}

fn label(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    if rounded == 0.0 { "0".into() } else { rounded.to_string() }
}
