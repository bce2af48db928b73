//! A page, read as browsers read it.

use scraper::{ElementRef, Html, Selector};
use serde_json::Value;

/// A page.
pub(crate) struct Page {
    pub(crate) html: Html,
}

impl Page {
    pub(crate) fn of(text: &str) -> Self {
        Self { html: Html::parse_document(text) }
    }

    /// What is selected, in its order.
    pub(crate) fn all(&self, what: &str) -> Vec<ElementRef<'_>> {
        self.html.select(&Selector::parse(what).unwrap()).collect()
    }

    /// Their texts.
    pub(crate) fn texts(&self, what: &str) -> Vec<String> {
        self.all(what).into_iter().map(|element| element.text().collect()).collect()
    }

    /// The text of the only one.
    #[track_caller]
    pub(crate) fn text(&self, what: &str) -> String {
        let [text] = &self.texts(what)[..] else { panic!("not one `{what}`") };
        text.clone()
    }

    /// The document that it carries.
    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.text("#document")).unwrap()
    }

    /// The cells of the table in a section: its body's rows, then its foot's.
    pub(crate) fn rows(&self, section: &str) -> Vec<Vec<ElementRef<'_>>> {
        let cell = Selector::parse("td").unwrap();
        let rows = self.all(&format!("#{section} tbody tr, #{section} tfoot tr"));
        rows.into_iter().map(|row| row.select(&cell).collect()).collect()
    }
}

/// The number that a cell stands for.
#[track_caller]
pub(crate) fn number(cell: &ElementRef<'_>) -> f64 {
    cell.attr("data-value").unwrap().parse().unwrap()
}
