//! List of endpoints: for the help text, and for the counter's route names.

/// An entry of [`ENDPOINTS`].
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// The HTTP method, or `any`.
    pub method: &'static str,
    /// The path with its parameters, such as `/slow?ms=N`.
    pub path: &'static str,
    /// Description of the answer.
    pub answer: &'static str,
}

impl Endpoint {
    const fn new(method: &'static str, path: &'static str, answer: &'static str) -> Self {
        Self { method, path, answer }
    }

    /// Returns the path without its query, such as `/slow` or `/items/{id}`.
    ///
    /// This is the key in [`Counts::routes`](crate::Counts::routes), except for `/counter` and the paths below it,
    /// which are not counted.
    pub fn route(&self) -> &'static str {
        self.path.split_once('?').map_or(self.path, |(route, _)| route)
    }
}

/// All endpoints of the service. A 4xx answer has the body `{"error": "…"}`.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint::new("GET", "/", "12 bytes of text"),
    Endpoint::new("GET", "/items", "100 items: id, name, price in cents"),
    Endpoint::new("GET", "/items/{id}", "one item; 404 unless 1 to 100"),
    Endpoint::new("GET", "/slow?ms=N", "after N ms, 60000 at most"),
    Endpoint::new("any", "/status/{code}", "that status, 200 to 599"),
    Endpoint::new("GET", "/flaky?percent=N", "500 for exactly N in 100, else 200"),
    Endpoint::new("POST", "/login", "{\"user\", \"password\": \"secret\"}: cookie, token"),
    Endpoint::new("GET", "/account", "{\"user\"}; 401 without cookie or bearer"),
    Endpoint::new("POST", "/buy", "{\"item\": 1}: 201 {\"order\"}; 401, 404"),
    Endpoint::new("GET", "/sign-in", "a page with a form and its token `csrf`"),
    Endpoint::new("POST", "/session", "that form: cookie, page; 401, 403"),
    Endpoint::new("POST", "/graphql", "operation `Item`, 200 also with errors"),
    Endpoint::new("POST", "/upload", "a form with files: 201 {\"files\"}; 400"),
    Endpoint::new("GET", "/redirect?times=N", "N redirects that end at /; 100 at most"),
    Endpoint::new("POST", "/echo", "the body it was sent, 64 MiB at most"),
    Endpoint::new("GET", "/bytes/{n}", "n zero bytes, 64 MiB at most"),
    Endpoint::new("GET", "/counter", "what it saw and answered; not counted"),
    Endpoint::new("POST", "/counter/reset", "204, the counts are 0; not counted"),
];
