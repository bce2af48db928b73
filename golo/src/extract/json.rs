//! Explanations of why there is no value at a JSON pointer.

use serde_json::Value;

use super::error::listed;

/// Parses a body.
///
/// # Errors
///
/// Returns the reason if it is not JSON.
pub(super) fn parse(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// Describes the value next to which a pointer leads nowhere: the one at its longest part that leads somewhere.
pub(super) fn nearest(whole: &Value, pointer: &str) -> String {
    let ends = pointer.match_indices('/').map(|(at, _)| at).rev();
    let known = ends.filter_map(|end| whole.pointer(&pointer[..end]).map(|value| (end, value)));
    // The empty pointer always leads to the whole document.
    let (end, value) = { known }.next().unwrap_or((0, whole));
    let place = match &pointer[..end] {
        "" => "the document".to_owned(),
        place => format!("`{place}`"),
    };
    let text = format!("{place} is {}", described(value));
    let next = pointer[end..].trim_start_matches('/').split('/').next().unwrap_or_default();
    match value {
        Value::Array(items) if !items.is_empty() && next.parse::<usize>().is_err() => {
            format!("{text}, and `{next}` is not an index")
        }
        _ => text,
    }
}

/// Describes the kind of a value, but not the value, which may be a secret.
fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(items) => match items.len() {
            0 => "an empty list".to_owned(),
            1 => "a list of 1 value".to_owned(),
            length => format!("a list of {length} values"),
        },
        Value::Object(fields) if fields.is_empty() => "an empty object".to_owned(),
        Value::Object(fields) => format!("an object with the keys {}", listed(fields.keys().map(String::as_str))),
    }
}

/// Describes why a value is not of a type, without the values in it, which may be secrets.
pub(super) fn mismatch(error: &serde_json::Error) -> String {
    // serde quotes values as in `invalid type: string "text", expected u64` and "invalid type: integer `7`, expected …".
    let text = hidden(&error.to_string(), '"', None);
    if ["missing field", "unknown field", "duplicate field"].iter().any(|start| text.starts_with(start)) {
        // Names, as they are shown elsewhere too.
        return text;
    }
    hidden(&text, '`', text.rfind("`, expected").or_else(|| text.rfind("`, there are no")))
}

/// Returns a text with `…` for what is between its first quote and the one at `end`, or else its last one.
fn hidden(text: &str, quote: char, end: Option<usize>) -> String {
    match (text.find(quote), end.or_else(|| text.rfind(quote))) {
        (Some(start), Some(end)) if start < end => format!("{}{quote}…{}", &text[..start], &text[end..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nearest_describes_the_last_value_on_the_way() {
        let whole = json!({
            "items": [], "list": [{"a/b": 1}, 2], "text": "s3cret", "none": null, "yes": true, "empty": {}, "1": [7],
        });
        for (pointer, text) in [
            ("/items/0/id", "`/items` is an empty list"),
            ("/list/2", "`/list` is a list of 2 values"),
            ("/list/first/id", "`/list` is a list of 2 values, and `first` is not an index"),
            ("/list/0/a", "`/list/0` is an object with the keys `a/b`"),
            ("/list/0/a~1b/c", "`/list/0/a~1b` is a number"),
            ("/text/0", "`/text` is a string"),
            ("/none/x", "`/none` is null"),
            ("/yes/x", "`/yes` is a boolean"),
            ("/empty/x/y/z", "`/empty` is an empty object"),
            ("/1/1", "`/1` is a list of 1 value"),
        ] {
            assert_eq!(nearest(&whole, pointer), text);
        }
        assert_eq!(nearest(&json!([]), "/x"), "the document is an empty list");
        let many: Value =
            (0..20).map(|key| (format!("key{key:02}"), Value::Null)).collect::<serde_json::Map<_, _>>().into();
        assert!(nearest(&many, "/x").ends_with("`key06`, `key07`, …"), "{}", nearest(&many, "/x"));
    }

    #[test]
    fn mismatch_shows_no_values() {
        #[derive(Debug, serde::Deserialize)]
        enum Size {
            #[serde(rename = "small")]
            Small,
            #[serde(rename = "large")]
            Large,
        }
        #[derive(Debug, serde::Deserialize)]
        struct Item {
            #[expect(dead_code, reason = "only its absence matters")]
            id: u64,
        }
        assert!(matches!(serde_json::from_value(json!("small")), Ok(Size::Small)));
        assert!(matches!(serde_json::from_value(json!("large")), Ok(Size::Large)));
        for value in ["4711", "47`11", "4711`, expected `small`", "47\"11\"47"] {
            let error = serde_json::from_value::<Size>(json!(value)).unwrap_err();
            assert_eq!(mismatch(&error), "unknown variant `…`, expected `small` or `large`");
        }
        let error = serde_json::from_value::<String>(json!(4711)).unwrap_err();
        assert_eq!(mismatch(&error), "invalid type: integer `…`, expected a string");
        let error = serde_json::from_value::<u8>(json!(4711)).unwrap_err();
        assert_eq!(mismatch(&error), "invalid value: integer `…`, expected u8");
        let error = serde_json::from_value::<u8>(json!(47.11)).unwrap_err();
        assert_eq!(mismatch(&error), "invalid type: floating point `…`, expected u8");
        let error = serde_json::from_value::<Item>(json!({})).unwrap_err();
        assert_eq!(mismatch(&error), "missing field `id`");
        let error = serde_json::from_value::<u64>(json!("s3 \"cret\"")).unwrap_err();
        assert_eq!(mismatch(&error), "invalid type: string \"…\", expected u64");
        let error = serde_json::from_value::<Vec<u64>>(json!({})).unwrap_err();
        assert_eq!(mismatch(&error), "invalid type: map, expected a sequence");
    }

    proptest::proptest! {
        #[test]
        fn nearest_accepts_any_pointer(pointer in "(/[a-z0-9~é]{0,3}){0,5}") {
            let whole = json!({"a": [{"b": 1}], "é": {"": []}});
            if whole.pointer(&pointer).is_none() {
                proptest::prop_assert!(!nearest(&whole, &pointer).is_empty());
            }
        }
    }
}
