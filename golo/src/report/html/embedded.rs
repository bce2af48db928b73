//! Content that the page embeds verbatim: the document as JSON, and the script that draws the charts.

use std::fmt;
use std::io::{self, Write};

use plotly::Plot;
use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};

use crate::report::Document;

/// The document as JSON that is safe inside an HTML script element.
pub(super) struct Json<'a>(pub(super) &'a Document<'a>);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(&mut Serializer::with_formatter(Texts(f), WithoutTags)).map_err(|_| fmt::Error)
    }
}

/// Formatter that escapes each `<` so that it cannot begin a tag. The content of a script element is not unescaped, and
/// ends at `</script`.
struct WithoutTags;

impl Formatter for WithoutTags {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        for (number, part) in fragment.split('<').enumerate() {
            if number > 0 {
                to.write_all(br"\u003c")?;
            }
            to.write_all(part.as_bytes())?;
        }
        Ok(())
    }
}

/// Writer of bytes that are UTF-8 text. serde_json always writes whole characters.
struct Texts<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Texts<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_str(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The script that draws charts.
pub(super) struct Script {
    /// All scripts of the crate with their tags; the chart script is one of them.
    all: String,
}

impl Script {
    /// Returns the script of Plotly. The crate's other script renders formulas, which the page does not contain.
    pub(super) fn plotly() -> Self {
        Self { all: Plot::offline_js_sources() }
    }

    fn text(&self) -> Option<&str> {
        let scripts = self.all.split("<script type=\"text/javascript\">");
        let script = scripts.map(str::trim_start).find(|script| script.starts_with("/**\n* plotly.js"))?;
        script.split_once("</script>").map(|(script, _)| script)
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_contains_only_plotly() {
        let script = Script::plotly();
        let text = script.text().unwrap();
        assert!(text.starts_with("/**\n* plotly.js v") && text.len() < 5_000_000, "{}", text.len());
        assert!(!text.contains("</script") && !text.contains("<!--") && !text.contains("MathJax.js"));
    }

    #[test]
    fn quoted_script_end_is_escaped() {
        let mut json = Vec::new();
        let text = "</script><!-- é \" \\";
        text.serialize(&mut Serializer::with_formatter(&mut json, WithoutTags)).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert!(!json.contains('<'), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
