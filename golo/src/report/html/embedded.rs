//! What stands in the page as it is: the document as JSON, and the script that draws.

use std::{
    fmt,
    io::{self, Write},
};

use plotly::Plot;
use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};

use crate::report::Document;

/// The document as JSON that no HTML parser takes for its own.
pub(super) struct Json<'a>(pub(super) &'a Document<'a>);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(&mut Serializer::with_formatter(Texts(f), WithoutTags)).map_err(|_| fmt::Error)
    }
}

/// Writes each `<` so that it begins no tag: what is in a script is not escaped, and ends at `</script`.
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

/// What bytes are written to that are text, a whole number of characters at a time, as serde_json does.
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
    /// Scripts with their tags, of which it is one.
    all: String,
}

impl Script {
    /// Plotly's; the other that its crate carries sets formulas, which there are none of.
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
    fn the_script_is_plotlys_and_nothing_else() {
        let script = Script::plotly();
        let text = script.text().unwrap();
        assert!(text.starts_with("/**\n* plotly.js v") && text.len() < 5_000_000, "{}", text.len());
        assert!(!text.contains("</script") && !text.contains("<!--") && !text.contains("MathJax.js"));
    }

    #[test]
    fn a_script_that_is_quoted_does_not_end_it() {
        let mut json = Vec::new();
        let text = "</script><!-- é \" \\";
        text.serialize(&mut Serializer::with_formatter(&mut json, WithoutTags)).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert!(!json.contains('<'), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
