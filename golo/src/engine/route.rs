//! Routes: splits a URL into origin and path, and replaces the variable parts of the path (`/items/{id}`).

use std::{borrow::Cow, ops::Range};

use crate::support::cut;
use crate::support::secrets::without_query_values;

/// Placeholder for a variable part.
const ID: &str = "{id}";
/// Placeholder for text that was cut.
const CUT: &str = "…";
const MAX_SEGMENTS: usize = 20;
const MAX_BYTES: usize = 300;

/// Length of a UUID without its dashes. A shorter segment without a digit is never variable.
const UUID: usize = 32;
const SHORTEST_HASH: usize = 16;
const SHORTEST_TOKEN: usize = 20;

/// Words with more digits than words usually have.
const WORDS: [&str; 7] = ["h264", "h265", "sha224", "sha256", "sha384", "sha512", "x509"];

/// Splits a URL into origin (`http://host:port`) and path, without query and fragment.
///
/// If the text is not an absolute URL, the origin is empty and all of it is the path. If there are a user name and a
/// password, the origin is the part after them. The path is never empty.
pub fn split(url: &str) -> (&str, &str) {
    let Some(authority) = authority(url) else {
        return ("", path(url));
    };
    let end = memchr::memchr3(b'/', b'?', b'#', &url.as_bytes()[authority..]).map_or(url.len(), |at| authority + at);
    let origin = match memchr::memrchr(b'@', &url.as_bytes()[authority..end]) {
        Some(at) => &url[authority + at + 1..end],
        None => &url[..end],
    };
    (origin, path(&url[end..]))
}

/// Returns a path with its variable parts replaced by `{id}`: numbers, dates, UUIDs, hashes and tokens, also as part of
/// a segment (`item-{id}`, `{id}.json`). Words with a digit or two (`v1`, `oauth2`) stay.
///
/// The result has at most 20 segments and 300 bytes; `…` stands for the rest. Applying this function twice changes
/// nothing more.
pub fn template(path: &str) -> Cow<'_, str> {
    let mut template = Template { path, text: String::new(), copied: 0, id: None };
    let mut segments = 0;
    let mut start = 0;
    while start <= path.len() {
        let end = memchr::memchr(b'/', &path.as_bytes()[start..]).map_or(path.len(), |at| start + at);
        if segments == MAX_SEGMENTS {
            template.cut_from(start);
            break;
        }
        if !is_plain(&path[start..end]) {
            template.segment(start..end);
        }
        // The empty text before the first slash is not a segment.
        segments += usize::from(end > 0);
        start = end + 1;
    }
    cut::marked_to_bytes(template.finish(), MAX_BYTES)
}

/// Returns the name of a route, as set by a load test or a threshold, cut like [`bounded`]. Query values in it are
/// replaced by `{…}`.
pub fn name(name: &str) -> Cow<'_, str> {
    match without_query_values(name) {
        Cow::Borrowed(name) => bounded(name),
        Cow::Owned(name) => Cow::Owned(bounded(&name).into_owned()),
    }
}

/// Returns true if a word is an id but not a number: a UUID, a hash, or another token.
pub(super) fn is_id(word: &str) -> bool {
    if is_jwt(word) {
        return true;
    }
    !word.is_empty()
        && word.bytes().all(is_token)
        && (is_uuid(word)
            || is_hash(word) && digits(word) > 0
            || is_long(word) && !is_name(word)
            || is_short_token(word, digits(word)))
}

/// Returns text cut to at most 300 bytes; `…` stands for the rest.
pub fn bounded(name: &str) -> Cow<'_, str> {
    cut::marked_to_bytes(Cow::Borrowed(name), MAX_BYTES)
}

/// Returns the start of the authority of an absolute URL.
fn authority(url: &str) -> Option<usize> {
    let scheme = memchr::memchr(b':', url.as_bytes())?;
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (url[scheme..].starts_with("://") && scheme > 0 && url[..scheme].bytes().all(is_scheme)).then_some(scheme + 3)
}

fn path(text: &str) -> &str {
    match memchr::memchr2(b'?', b'#', text.as_bytes()).map_or(text, |end| &text[..end]) {
        "" => "/",
        path => path,
    }
}

/// A template while it is built: `path` up to `copied` is in `text`, with its variable parts replaced.
struct Template<'a> {
    path: &'a str,
    text: String,
    copied: usize,
    /// End of the last `{id}` of this segment, or of the text it stands for, in `path`.
    id: Option<usize>,
}

impl<'a> Template<'a> {
    fn segment(&mut self, at: Range<usize>) {
        let segment = &self.path[at.clone()];
        // A cut segment is incomplete: `12…` is not a number.
        if segment.ends_with(CUT) || is_version(segment) {
            return;
        }
        self.id = None;
        if is_jwt(segment) {
            return self.replace(at);
        }
        let mut start = at.start;
        while start < at.end {
            let rest = &self.path[start..at.end];
            let token = rest.bytes().take_while(|&byte| is_token(byte)).count();
            start += if token > 0 {
                self.token(start..start + token);
                token
            } else if rest.starts_with(ID) {
                self.keep(start..start + ID.len());
                ID.len()
            } else {
                separator(rest)
            };
        }
    }

    /// Handles a run of token characters: a token, or words and numbers.
    fn token(&mut self, at: Range<usize>) {
        let text = &self.path[at.clone()];
        let token = text.trim_start_matches(['-', '_']);
        let start = at.start + (text.len() - token.len());
        let token = token.trim_end_matches(['-', '_']);
        if is_uuid(token) || is_long(token) && !is_name(token) {
            return self.replace(start..start + token.len());
        }
        if is_long(token) {
            return;
        }
        let mut start = start;
        for word in token.split(['-', '_']) {
            self.word(start, word);
            start += word.len() + 1;
        }
    }

    fn word(&mut self, start: usize, word: &str) {
        let at = start..start + word.len();
        let digits = digits(word);
        if digits == 0 {
            return;
        }
        let is_time = is_time(word, digits > 2 || self.joins(start).is_some());
        if digits == word.len() || is_time || is_hash(word) || is_short_token(word, digits) {
            self.replace(at);
        } else if digits > 2 && !is_word(word) {
            let mut runs = word.split(|letter: char| !letter.is_ascii_digit()).filter(|run| !run.is_empty());
            match (runs.next(), runs.next()) {
                (Some(run), None) => {
                    let first = start + word.find(run).unwrap_or(0);
                    self.replace(first..first + run.len());
                }
                _ => self.replace(at),
            }
        }
    }

    fn replace(&mut self, at: Range<usize>) {
        match self.joins(at.start) {
            Some(last) => self.copy(last),
            None => {
                self.copy(at.start);
                self.text.push_str(ID);
            }
        }
        self.copied = at.end;
        self.id = Some(at.end);
    }

    /// Keeps an `{id}` that is already there.
    fn keep(&mut self, at: Range<usize>) {
        if self.joins(at.start).is_some() {
            self.replace(at);
        } else {
            self.id = Some(at.end);
        }
    }

    /// Returns the end of the last `{id}` if at most one separator is between it and `start`. Both become one then, as
    /// in 2026-11-25.
    fn joins(&self, start: usize) -> Option<usize> {
        let last = self.id?;
        let between = &self.path[last..start];
        let is_one = || !between.as_bytes()[0].is_ascii_alphanumeric() && separator(between) == between.len();
        (between.is_empty() || between.len() <= 3 && between.is_ascii() && is_one()).then_some(last)
    }

    /// Cuts the path after the slash before `start` and appends `…`.
    fn cut_from(&mut self, start: usize) {
        if &self.path[start..] != CUT {
            self.copy(start);
            self.text.push_str(CUT);
            self.copied = self.path.len();
        }
    }

    fn copy(&mut self, end: usize) {
        self.text.push_str(&self.path[self.copied..end]);
        self.copied = end;
    }

    fn finish(mut self) -> Cow<'a, str> {
        if self.copied == 0 {
            return Cow::Borrowed(self.path);
        }
        self.copy(self.path.len());
        Cow::Owned(self.text)
    }
}

/// Returns the length of the separator at the start of `text`: one character, or one that is percent-encoded.
fn separator(text: &str) -> usize {
    match text.as_bytes() {
        [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 3,
        _ => text.chars().next().map_or(0, char::len_utf8),
    }
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// Returns true if no part of the segment can vary. A cheap first check.
fn is_plain(segment: &str) -> bool {
    segment.len() < UUID && !segment.bytes().any(|byte| byte.is_ascii_digit() || byte == b'{')
}

/// Returns true for API versions such as `v1.43` and `1.1`. Without a `v`, only the shortest match, since 10.25 is a
/// number.
fn is_version(segment: &str) -> bool {
    let numbers = segment.strip_prefix(['v', 'V']);
    let (longest, most) = if numbers.is_some() { (3, 3) } else { (2, 2) };
    let numbers = numbers.unwrap_or(segment);
    let is_number = |number: &str| (1..=longest).contains(&number.len()) && digits(number) == number.len();
    (2..=most).contains(&numbers.split('.').count())
        && numbers.split('.').all(is_number)
        && (longest == 3 || numbers.as_bytes()[1] == b'.')
}

/// Returns true if the segment is a JSON Web Token, which begins with `{"` in base64.
fn is_jwt(segment: &str) -> bool {
    segment.starts_with("eyJ")
        && segment.len() >= SHORTEST_TOKEN
        && segment.contains('.')
        && segment.bytes().all(|byte| is_token(byte) || byte == b'.')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_uuid(token: &str) -> bool {
    match token.len() {
        UUID => is_hex(token),
        36 => token.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && token.split('-').all(is_hex),
        _ => false,
    }
}

fn is_hash(word: &str) -> bool {
    word.len() >= SHORTEST_HASH && is_hex(word)
}

/// Returns true if the text is long enough for a token and has letters and digits.
fn is_long(token: &str) -> bool {
    token.len() >= SHORTEST_TOKEN
        && token.bytes().any(|byte| byte.is_ascii_digit())
        && token.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Returns true for text that is as long as a token but made of words: `oauth2-authorization-server`,
/// `ListObjectsV2WithContinuation`.
fn is_name(token: &str) -> bool {
    if digits(token) > 2 {
        return false;
    }
    let upper = token.bytes().filter(u8::is_ascii_uppercase).count();
    let is_word = |word: &str| (1..=14).contains(&(word.len() - digits(word)));
    let mut parts = token.split(['-', '_']);
    if upper == 0 && parts.clone().count() > 1 {
        return parts.all(is_word);
    }
    let is_of_version = |pair: &[u8]| !pair[1].is_ascii_digit() || matches!(pair[0], b'v' | b'V');
    upper * 3 <= token.len() && token.as_bytes().windows(2).all(is_of_version) && !token.as_bytes()[0].is_ascii_digit()
}

/// Returns true for part of an ISO 8601 time: `25T10`, `00Z`. `expected` is true if the position or the number of
/// digits suggests a time, since `3t` may be a word.
fn is_time(word: &str, expected: bool) -> bool {
    expected
        && word.as_bytes()[0].is_ascii_digit()
        && word.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'T' | b't' | b'Z' | b'z'))
}

/// Returns true for words with many digits: those of [`WORDS`], and versions such as `v1p1beta1`.
fn is_word(word: &str) -> bool {
    let version =
        |rest: &str| word.len() <= 10 && rest.split(|letter: char| !letter.is_ascii_digit()).all(|run| run.len() < 3);
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
        || word.strip_prefix('v').is_some_and(|rest| rest.as_bytes()[0].is_ascii_digit() && version(rest))
}

/// Returns true for tokens such as `dQw4w9WgXcQ`, which are too mixed to be words.
fn is_short_token(word: &str, digits: usize) -> bool {
    let adjacent = word.as_bytes().windows(2).any(|pair| pair[0].is_ascii_digit() && pair[1].is_ascii_digit());
    digits == 2
        && !adjacent
        && word.len() >= 8
        && word.bytes().any(|byte| byte.is_ascii_lowercase())
        && word.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_split() {
        for (url, origin, path) in [
            ("http://localhost:8080/items/7?full=true#top", "http://localhost:8080", "/items/7"),
            ("https://shop.example", "https://shop.example", "/"),
            ("https://shop.example?next=/a", "https://shop.example", "/"),
            ("https://shop.example#/a", "https://shop.example", "/"),
            ("https://shop.example/", "https://shop.example", "/"),
            ("http://[::1]:80/a", "http://[::1]:80", "/a"),
            ("http+unix://%2Fvar%2Frun%2Fa.sock/info", "http+unix://%2Fvar%2Frun%2Fa.sock", "/info"),
            ("http://me:secret@shop.example:81/a@b", "shop.example:81", "/a@b"),
            ("http://me:p@ss@shop.example", "shop.example", "/"),
            ("http:///a", "http://", "/a"),
            ("/redirect?to=http://elsewhere/", "", "/redirect"),
            ("/redirect/http://elsewhere/", "", "/redirect/http://elsewhere/"),
            ("connect to the cache", "", "connect to the cache"),
            ("localhost:8080/a", "", "localhost:8080/a"),
            ("://a", "", "://a"),
            ("?a", "", "/"),
            ("", "", "/"),
            ("http://münchen.example/straße?ü", "http://münchen.example", "/straße"),
        ] {
            assert_eq!(split(url), (origin, path), "{url}");
        }
    }

    #[test]
    fn words_stay() {
        for path in [
            "/",
            "",
            "/items",
            "/items/",
            "//items",
            "/v1/items",
            "/v2/api2/oauth2/2fa",
            "/V3/http2/ipv6/web3auth/mp4",
            "/api/v1.43/containers/json",
            "/1.1/statuses/update.json",
            "/v1.2.3/docs",
            "/apis/apps/v1beta1/deployments",
            "/google.cloud.speech.v1p1beta1.Speech/Recognize",
            "/helloworld.v1.Greeter/SayHello",
            "/s3/ListObjectsV2WithContinuation",
            "/.well-known/oauth2-authorization-server",
            "/.well-known/openid-configuration",
            "/realms/main/protocol/openid-connect/token",
            "/a-rather-long-segment-that-has-no-digit-at-all",
            "/logo@2x.png",
            "/caf%C3%A9/%E2%9C%93/a%20b",
            "/straße/北京",
            "/search;color=red",
            "/i18n/l10n/k8s/b2b/log4j2/x86/a11y/ec2",
            "/users/{id}/orders/{id}.json",
            "/users/{user}/item-{id}",
            "/deadbeef",
            "/favicon.ico",
            "connect to the cache",
            "/%/%zz",
        ] {
            assert_eq!(template(path), path);
            assert!(matches!(template(path), Cow::Borrowed(_)), "{path}");
        }
    }

    #[test]
    fn variable_parts_are_replaced() {
        for (path, expected) in [
            ("/items/7", "/items/{id}"),
            ("/items/7/", "/items/{id}/"),
            ("/7", "/{id}"),
            ("7", "{id}"),
            ("/items/7.json", "/items/{id}.json"),
            ("/items/7.mp4", "/items/{id}.mp4"),
            ("/v2/users/42/orders/99/lines", "/v2/users/{id}/orders/{id}/lines"),
            ("/users/item-12345", "/users/item-{id}"),
            ("/users/user_17", "/users/user_{id}"),
            ("/users/user17001", "/users/user{id}"),
            ("/users/123abc", "/users/{id}abc"),
            ("/orders/2026-11-25", "/orders/{id}"),
            ("/orders/2026/11/25", "/orders/{id}/{id}/{id}"),
            ("/orders/2026-11-25T10:00:00Z", "/orders/{id}"),
            ("/orders/2026-11-25T10%3A00%3A00.123Z", "/orders/{id}"),
            ("/orders/2026-11-25T10:00:00+01:00", "/orders/{id}"),
            ("/orders/20261125T100000Z", "/orders/{id}"),
            ("/reports/report_2026-11-25.csv", "/reports/report_{id}.csv"),
            ("/photos/IMG_20240101_120000.jpg", "/photos/IMG_{id}.jpg"),
            ("/u/550e8400-e29b-41d4-a716-446655440000", "/u/{id}"),
            ("/u/550E8400-E29B-41D4-A716-446655440000.pdf", "/u/{id}.pdf"),
            ("/u/550e8400e29b41d4a716446655440000/x", "/u/{id}/x"),
            ("/u/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "/u/{id}"),
            ("/u/urn:uuid:550e8400-e29b-41d4-a716-446655440000", "/u/urn:uuid:{id}"),
            ("/u/00000000-0000-0000-0000-000000000000", "/u/{id}"),
            ("/docs/507f1f77bcf86cd799439011", "/docs/{id}"),
            ("/docs/abcdefabcdefabc1", "/docs/{id}"),
            ("/v2/app/blobs/sha256:9f86d081884c7d659a2feaa0c55ad015", "/v2/app/blobs/sha256:{id}"),
            ("/ulid/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/ulid/{id}"),
            ("/pay/ch_3MmlLrLkdIwHu7ix0snN0B15/refund", "/pay/{id}/refund"),
            ("/n/V1StGXR8_Z5jdHi6B-myT", "/n/{id}"),
            ("/verify/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.dozjgNryP4J3jVmNHl0w5N_XgL0", "/verify/{id}"),
            ("/watch/dQw4w9WgXcQ", "/watch/{id}"),
            ("/booking/X7K2P9", "/booking/{id}"),
            ("/commit/3f2a9c1", "/commit/{id}"),
            ("/static/app.3f2a9c1b.js", "/static/app.{id}.js"),
            ("/static/jquery-3.7.1.min.js", "/static/jquery-{id}.min.js"),
            ("/npm/lodash@4.17.21/lodash.js", "/npm/lodash@{id}/lodash.js"),
            ("/hosts/10.0.0.1/ports/443", "/hosts/{id}/ports/{id}"),
            ("/geo/48.1371,11.5754", "/geo/{id}"),
            ("/users(42)/name", "/users({id})/name"),
            ("/user%3A42", "/user%3A{id}"),
            ("/caf%C3%A9/17", "/caf%C3%A9/{id}"),
            ("/北京-17/日本", "/北京-{id}/日本"),
            ("/blog/how-to-do-it-in-2024", "/blog/{id}"),
            ("/-1", "/-{id}"),
            ("/100%", "/{id}%"),
            ("/%2", "/%{id}"),
            ("/items/{id}-{id}", "/items/{id}"),
            ("/items/{id}17", "/items/{id}"),
            ("/items/17{id}", "/items/{id}"),
        ] {
            assert_eq!(template(path), expected, "{path}");
            assert_eq!(template(expected), expected);
            assert!(matches!(template(expected), Cow::Borrowed(_)), "{path}");
        }
    }

    #[test]
    fn length_is_bounded() {
        let twenty = "/a".repeat(20);
        assert!(matches!(template(&twenty), Cow::Borrowed(_)));
        let more = template(&"/a".repeat(21)).into_owned();
        assert_eq!(more, twenty.clone() + "/…");
        assert!(matches!(template(&more), Cow::Borrowed(_)));
        assert_eq!(template(&"/7".repeat(5_000)), "/{id}".repeat(20) + "/…");
        assert_eq!(template(&twenty[1..]), twenty[1..]);
        assert_eq!(template(&"/a".repeat(21)[1..]), twenty[1..].to_owned() + "/…");

        assert!(matches!(bounded(&"a".repeat(300)), Cow::Borrowed(_)));
        assert_eq!(bounded(&"a".repeat(301)), "a".repeat(297) + "…");
        assert_eq!(bounded(&"ü".repeat(301)), "ü".repeat(148) + "…");
        assert_eq!(template(&format!("/{}", "ü-1".repeat(200))).len(), 300);
        assert_eq!(bounded("pay"), "pay");
    }

    fn part() -> impl Strategy<Value = String> {
        let fixed = [
            "/",
            "/",
            "-",
            "_",
            ".",
            "%",
            "%3A",
            "%C3%A9",
            "{id}",
            "{",
            "}",
            "…",
            "ü",
            "v",
            "T",
            "Z",
            "sha256",
            "x509",
            "beta",
            "eyJ",
            "v1",
            "abcdefabcdefabcd",
            "ListObjects",
            "some-plain-words",
            "550e8400-e29b-41d4-a716-446655440000",
        ];
        prop_oneof![
            4 => prop::sample::select(fixed.to_vec()).prop_map(str::to_owned),
            2 => "[0-9]{1,6}",
            2 => "[A-Za-z]{1,8}",
            1 => "[A-Za-z0-9]{1,24}",
            1 => "[a-f0-9]{1,36}",
            1 => any::<String>(),
        ]
    }

    /// Generates paths similar to those that clients send, and some that are not.
    fn paths() -> impl Strategy<Value = String> {
        let long = prop::collection::vec(part(), 0..120);
        prop_oneof![3 => prop::collection::vec(part(), 0..12), 1 => long]
            .prop_map(|parts| format!("/{}", parts.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn template_is_bounded_and_its_own_template(path in paths()) {
            let once = template(&path);
            prop_assert!(once.len() <= MAX_BYTES);
            prop_assert!(once.split('/').count() <= MAX_SEGMENTS + 2);
            prop_assert!(once.split('/').all(|segment| segment.is_empty() || digits(segment) < segment.len()), "{}", once);
            prop_assert_eq!(matches!(once, Cow::Borrowed(_)), once == path);
            let twice = template(&once);
            prop_assert!(matches!(twice, Cow::Borrowed(_)), "{} {} {}", path, once, twice);
        }

        #[test]
        fn numbers_never_separate_routes(one in 0_u64.., other in 0_u64..) {
            for shape in ["/items/#", "/items/#.json", "/items/item-#/lines/#", "/users/user_#", "/o/a:#:b", "/#/#"] {
                let template = |number: u64| template(&shape.replace('#', &number.to_string())).into_owned();
                prop_assert_eq!(template(one), template(other));
            }
        }

        #[test]
        fn any_text_is_split(url in any::<String>(), path in paths()) {
            let (origin, rest) = split(&url);
            prop_assert!(url.contains(origin) && (url.contains(rest) || rest == "/"));
            prop_assert!(!rest.is_empty());
            let path = path.split(['?', '#']).next().unwrap();
            let url = format!("http://h:1{path}?q=/1#f");
            prop_assert_eq!(split(&url), ("http://h:1", path));
            prop_assert!(bounded(&url).len() <= MAX_BYTES);
        }
    }

    #[test]
    fn page_naming_routes_agrees() {
        let page = include_str!("../../docs/naming-routes.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `/")?.strip_suffix("` |")?.split_once("` | `"));
        let mut count = 0;
        for (requested, expected) in rows {
            let url = format!("http://127.0.0.1:8765/{requested}");
            assert_eq!(template(split(&url).1), expected);
            count += 1;
        }
        assert_eq!(count, 10);
    }
}
