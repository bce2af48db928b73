//! Suggestions for misspelled names.

use strsim::osa_distance;

/// Returns the one of `names` that is most similar to `word`, if any is similar enough.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_within(word, names, (word.chars().count() / 3).max(1))
}

/// Returns the one of `names` that is most similar to `word`, if at most `most` letters differ.
pub(crate) fn nearest_within<'a>(word: &str, names: impl IntoIterator<Item = &'a str>, most: usize) -> Option<&'a str> {
    let word = word.to_lowercase();
    let near = names.into_iter().map(|name| (osa_distance(&word, &name.to_lowercase()), name));
    near.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Lists names as in a sentence: `` `a`, `b` or `c` ``.
pub(crate) fn one_of(names: &[&str]) -> String {
    let quoted = |name: &&str| format!("`{name}`");
    match names {
        [] => String::new(),
        [one] => quoted(one),
        [first @ .., last] => {
            format!("{} or {}", first.iter().map(quoted).collect::<Vec<_>>().join(", "), quoted(last))
        }
    }
}

/// Suggests a replacement for `word`: the most similar name, or else all of them.
pub(crate) fn instead(word: &str, names: &[&str]) -> String {
    match nearest(word, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected {}", one_of(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_returns_a_similar_name_only() {
        let names = ["http_reqs", "http_req_duration", "vus"];
        let near = |word| nearest(word, names);
        assert_eq!(near("htp_reqs"), Some("http_reqs"));
        assert_eq!(near("http_duration"), Some("http_req_duration"));
        assert_eq!(near("HTTP_REQS"), Some("http_reqs"));
        assert_eq!([near("vu"), near("latency"), near("")], [Some("vus"), None, None]);
    }

    #[test]
    fn one_of_and_instead_list_names() {
        assert_eq!([one_of(&[]), one_of(&["a"]), one_of(&["a", "b", "c"])], ["", "`a`", "`a`, `b` or `c`"]);
        assert_eq!(instead("x", &["count", "rate"]), "expected `count` or `rate`");
    }
}
