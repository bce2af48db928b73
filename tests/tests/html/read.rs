//! Parsing of a page, as browsers do it.

use scraper::{ElementRef, Html, Selector};
use serde_json::Value;

/// A parsed page.
pub(crate) struct Page {
    pub(crate) html: Html,
}

impl Page {
    pub(crate) fn of(text: &str) -> Self {
        Self { html: Html::parse_document(text) }
    }

    /// Returns the selected elements, in order.
    pub(crate) fn all(&self, what: &str) -> Vec<ElementRef<'_>> {
        self.html.select(&Selector::parse(what).unwrap()).collect()
    }

    /// Returns the texts of the selected elements.
    pub(crate) fn texts(&self, what: &str) -> Vec<String> {
        self.all(what).into_iter().map(|element| element.text().collect()).collect()
    }

    /// Returns the text of the only selected element.
    #[track_caller]
    pub(crate) fn text(&self, what: &str) -> String {
        let [text] = &self.texts(what)[..] else { panic!("not one `{what}`") };
        text.clone()
    }

    /// Returns the JSON document embedded in the page.
    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.text("#document")).unwrap()
    }

    /// Returns the table cells of a section: first the rows of the body, then those of the foot.
    pub(crate) fn rows(&self, section: &str) -> Vec<Vec<ElementRef<'_>>> {
        let cell = Selector::parse("td").unwrap();
        let rows = self.all(&format!("#{section} tbody tr, #{section} tfoot tr"));
        rows.into_iter().map(|row| row.select(&cell).collect()).collect()
    }
}

/// Returns the number behind a cell.
#[track_caller]
pub(crate) fn number(cell: &ElementRef<'_>) -> f64 {
    cell.attr("data-value").unwrap().parse().unwrap()
}
