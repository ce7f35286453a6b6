//! Prometheus's text format (0.0.4) and OpenMetrics's (1.0.0): families of samples, written as they come.
//!
//! A writer of our own, because libraries for it keep the numbers as well: here they are the broker's, read anew for each scrape, and per object they
//! are too many to be kept twice.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

/// What a family's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only goes up, but for a restart.
    Counter,
    Gauge,
    /// It stands for its labels.
    Untyped,
    Histogram,
}

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A label: its name, and its value as it is.
pub(crate) type Label<'a> = (&'a str, &'a str);

/// Writes families to `out`, up to the first that fails.
pub(crate) struct Text<W> {
    out: W,
    format: Format,
    /// What all names of a scrape begin with.
    prefix: &'static str,
    /// The name of the family that samples are written of.
    family: String,
    line: String,
    failed: Option<io::Error>,
}

impl<W: Write> Text<W> {
    pub(crate) fn new(out: W, format: Format) -> Self {
        Self {
            out,
            format,
            prefix: "",
            family: String::new(),
            line: String::new(),
            failed: None,
        }
    }

    /// What the names of the families begin with from here on.
    pub(crate) fn begin_names_with(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }

    /// Nobody takes what is written: there is no need to go on.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Begins a family.
    pub(crate) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        self.family.clear();
        self.family.push_str(self.prefix);
        self.family.push_str(name);
        let (named, kind) = match (self.format, kind) {
            // There, `_total` belongs to a counter's sample and not to its name, and without it nothing is a counter.
            (Format::OpenMetrics, Kind::Counter) => match self.family.strip_suffix("_total") {
                Some(stem) => (stem, "counter"),
                None => (&*self.family, "unknown"),
            },
            (Format::OpenMetrics, Kind::Untyped) => (&*self.family, "unknown"),
            (Format::Text, Kind::Untyped) => (&*self.family, "untyped"),
            (Format::Text, Kind::Counter) => (&*self.family, "counter"),
            (_, Kind::Gauge) => (&*self.family, "gauge"),
            (_, Kind::Histogram) => (&*self.family, "histogram"),
        };
        self.line.clear();
        writeln!(self.line, "# TYPE {named} {kind}\n# HELP {named} {}", Escaped(help)).ok();
        self.flush();
    }

    /// A sample of the family.
    pub(crate) fn sample(&mut self, labels: &[Label<'_>], value: impl Into<Number>) {
        self.sample_of("", labels, value);
    }

    /// The same of a part of the family, as `_sum` is one of a histogram.
    fn sample_of(&mut self, part: &str, labels: &[Label<'_>], value: impl Into<Number>) {
        let value = value.into();
        self.line.clear();
        self.line.push_str(&self.family);
        self.line.push_str(part);
        for (n, (name, value)) in labels.iter().enumerate() {
            let before = if n == 0 { '{' } else { ',' };
            write!(self.line, "{before}{name}=\"{}\"", Escaped(value)).ok();
        }
        if !labels.is_empty() {
            self.line.push('}');
        }
        writeln!(self.line, " {value}").ok();
        self.flush();
    }

    /// A family with one sample and no labels.
    pub(crate) fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Into<Number>) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// A histogram of the family: how many values are not greater than each bound, then how many there are, and their sum.
    pub(crate) fn histogram(
        &mut self,
        labels: &[Label<'_>],
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: impl Into<Number>,
    ) {
        for (bound, upto) in buckets
            .map(|(bound, upto)| (bound_text(bound), upto))
            .chain([("+Inf".to_owned(), count)])
        {
            let mut all = labels.to_vec();
            all.push(("le", &bound));
            self.sample_of("_bucket", &all, upto);
        }
        self.sample_of("_count", labels, count);
        self.sample_of("_sum", labels, sum);
    }

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.out.write_all(self.line.as_bytes()).err();
        }
    }

    /// Ends the scrape, and gives the writer back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if self.format == Format::OpenMetrics {
            self.line.clear();
            self.line.push_str("# EOF\n");
            self.flush();
        }
        match self.failed {
            None => Ok(self.out),
            Some(error) => Err(error),
        }
    }
}

/// A bound as Prometheus itself writes it, which is how dashboards ask for it: `100.0`, `1e+06`.
fn bound_text(bound: f64) -> String {
    if bound >= 1e6 {
        let exponent = bound.log10().floor();
        format!("{}e+{:02}", bound / 10f64.powf(exponent), exponent)
    } else {
        format!("{bound:?}")
    }
}

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => value.fmt(out),
            Self::Real(value) => write!(out, "{value:?}"),
        }
    }
}

/// A label's value, or a help, in which nothing ends the line or the quotes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['\\', '"', '\n']) {
            let (before, behind) = rest.split_at(at);
            out.write_str(before)?;
            out.write_str(match behind.as_bytes().first() {
                Some(b'\\') => "\\\\",
                Some(b'"') => "\\\"",
                _ => "\\n",
            })?;
            rest = &behind[1..];
        }
        out.write_str(rest)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(format: Format, write: impl FnOnce(&mut Text<Vec<u8>>)) -> String {
        let mut text = Text::new(Vec::new(), format);
        text.begin_names_with("a_");
        write(&mut text);
        String::from_utf8(text.finish().unwrap()).unwrap()
    }

    fn some(text: &mut Text<Vec<u8>>) {
        text.family("acks_total", Kind::Counter, "Acks");
        text.sample(&[("queue", "a\"b\\c\nd"), ("vhost", "/")], 7_u64);
        text.single("age", Kind::Gauge, "How old", 0.5);
        text.single("info", Kind::Untyped, "What it is", true);
        text.family("size", Kind::Histogram, "How large");
        text.histogram(&[("of", "x")], [(100.0, 1), (1e6, 3), (5e7, 3)].into_iter(), 4, 1_000_000_u64);
    }

    #[test]
    fn families_are_written_in_prometheus_text_format() {
        let expected = "# TYPE a_acks_total counter\n# HELP a_acks_total Acks\na_acks_total{queue=\"a\\\"b\\\\c\\nd\",vhost=\"/\"} 7\n\
                        # TYPE a_age gauge\n# HELP a_age How old\na_age 0.5\n\
                        # TYPE a_info untyped\n# HELP a_info What it is\na_info 1\n\
                        # TYPE a_size histogram\n# HELP a_size How large\na_size_bucket{of=\"x\",le=\"100.0\"} 1\na_size_bucket{of=\"x\",le=\"1e+06\"} 3\n\
                        a_size_bucket{of=\"x\",le=\"5e+07\"} 3\na_size_bucket{of=\"x\",le=\"+Inf\"} 4\na_size_count{of=\"x\"} 4\na_size_sum{of=\"x\"} 1000000\n";
        assert_eq!(written(Format::Text, some), expected);
    }

    #[test]
    fn openmetrics_has_other_words_for_it_and_an_end() {
        let text = written(Format::OpenMetrics, some);
        for line in [
            "# TYPE a_acks counter\n# HELP a_acks Acks\na_acks_total{",
            "# TYPE a_info unknown\n",
            "# TYPE a_size histogram\n",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
