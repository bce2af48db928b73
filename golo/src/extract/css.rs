//! Attributes and texts of HTML elements, found by CSS selectors.

use std::rc::Rc;
use std::sync::Mutex;

use scraper::error::SelectorErrorKind;
use scraper::{ElementRef, Html, Selector};

use super::error::{Error, has};
use super::kept::Kept;
use super::{Document, excerpt};
use crate::support::lock::lock;

thread_local! {
    static SELECTORS: Kept<Selector> = const { Kept::new() };
}

/// The body as HTML, once it has been parsed. The lock only makes it possible to share the document between threads.
#[derive(Default)]
pub(super) struct Parsed(Mutex<Option<Html>>);

fn selector(text: &str) -> Result<Rc<Selector>, Error> {
    SELECTORS.with(|kept| kept.get(text, Selector::parse)).map_err(|error| {
        let reason = match error {
            // Its text has several lines, and asks to report a mistake of the crate.
            SelectorErrorKind::UnexpectedSelectorParseError(reason) => format!("{reason:?}"),
            error => error.to_string().to_lowercase(),
        };
        Error::pattern(format!("invalid CSS selector `{text}`: {reason}"))
    })
}

/// Returns the text of an element and the elements in it, with single spaces.
fn text_of(element: ElementRef<'_>) -> String {
    let text: String = element.text().collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg_attr(docsrs, doc(cfg(feature = "css")))]
impl Document {
    /// Returns the value of an attribute of the first element that matches a CSS selector.
    ///
    /// Any body can be read as HTML. It is parsed once, and each selector is compiled once.
    ///
    /// # Errors
    ///
    /// Returns an error if no element matches, if the first one has no such attribute, or if the selector is invalid.
    ///
    /// ```no_run
    /// # async fn load_test() -> Result<(), golo::BoxError> {
    /// # let journey = golo::new_sequence_id();
    /// let response = golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/sign-in")).await?;
    /// let page = golo::extract::Document::read(response).await?;
    /// let csrf = page.css("form input[name=csrf]", "value")?;
    /// # Ok(()) }
    /// ```
    pub fn css(&self, selector: &str, attribute: &str) -> Result<String, Error> {
        self.first(selector, |element| match element.attr(attribute) {
            Some(value) => Ok(value.to_owned()),
            None => {
                let what = format!("no attribute `{attribute}` in the first element that matches `{selector}`");
                let names = element.value().attrs().map(|(name, _)| name);
                Err(self.missing(what, has(names, "no attributes")))
            }
        })
    }

    /// Returns the text of the first element that matches a CSS selector, and of the elements in it. Any white space
    /// becomes a single space.
    ///
    /// # Errors
    ///
    /// Returns an error if no element matches, or if the selector is invalid.
    ///
    /// ```no_run
    /// # async fn load_test(page: golo::extract::Document) -> Result<(), golo::BoxError> {
    /// golo::check("the page greets", page.css_text("h1")?.starts_with("Welcome"));
    /// # Ok(()) }
    /// ```
    pub fn css_text(&self, selector: &str) -> Result<String, Error> {
        self.first(selector, |element| Ok(text_of(element)))
    }

    /// Returns the values of an attribute of all elements that match a CSS selector, in the order of the page. Elements
    /// without the attribute are left out.
    ///
    /// # Errors
    ///
    /// Returns an error if the selector is invalid. If no element matches, the list is empty.
    ///
    /// ```no_run
    /// # async fn load_test(page: golo::extract::Document) -> Result<(), golo::BoxError> {
    /// for image in page.css_all("img", "src")? {
    ///     let image = page.url().join(&image)?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn css_all(&self, selector: &str, attribute: &str) -> Result<Vec<String>, Error> {
        self.all(selector, |element| element.attr(attribute).map(str::to_owned))
    }

    /// Returns the texts of all elements that match a CSS selector, in the order of the page, as
    /// [`css_text`](Self::css_text) does.
    ///
    /// # Errors
    ///
    /// Returns an error if the selector is invalid. If no element matches, the list is empty.
    ///
    /// ```no_run
    /// # async fn load_test(page: golo::extract::Document) -> Result<(), golo::BoxError> {
    /// golo::check("three prices are shown", page.css_texts("td.price")?.len() == 3);
    /// # Ok(()) }
    /// ```
    pub fn css_texts(&self, selector: &str) -> Result<Vec<String>, Error> {
        self.all(selector, |element| Some(text_of(element)))
    }

    fn first<T>(&self, text: &str, take: impl FnOnce(ElementRef<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let selector = selector(text)?;
        self.with_html(|html| match html.select(&selector).next() {
            Some(element) => take(element),
            None => Err(self.missing(format!("no element matches `{text}` in the body"), excerpt::begins(self.body()))),
        })
    }

    fn all<T>(&self, text: &str, take: impl Fn(ElementRef<'_>) -> Option<T>) -> Result<Vec<T>, Error> {
        let selector = selector(text)?;
        Ok(self.with_html(|html| html.select(&selector).filter_map(take).collect()))
    }

    fn with_html<T>(&self, use_it: impl FnOnce(&Html) -> T) -> T {
        let mut html = lock(&self.html.0);
        use_it(html.get_or_insert_with(|| Html::parse_document(&self.text())))
    }
}
