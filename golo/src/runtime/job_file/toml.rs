//! Job files in TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{Key, Kind, Mistake, Value};

/// Parses a job file in TOML.
///
/// # Errors
///
/// Returns an error if the text is not TOML.
pub fn toml(text: &str) -> Result<Value, Mistake> {
    let table = DeTable::parse(text).map_err(|error| {
        let place = error.span().unwrap_or(text.len()..text.len());
        Mistake { message: error.message().trim_end().replace('\n', ", "), place: Some(place) }
    })?;
    Ok(Value { place: Some(table.span()), kind: table_of(table.get_ref()) })
}

fn table_of(table: &DeTable<'_>) -> Kind {
    let key = |key: &Spanned<_>| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        Key { name: name.to_string(), place: Some(key.span()) }
    };
    Kind::Table(table.iter().map(|(name, value)| (key(name), value_of(value))).collect())
}

fn value_of(value: &Spanned<DeValue<'_>>) -> Value {
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        // Command line values are decimal.
        DeValue::Integer(number) => {
            let read = i128::from_str_radix(number.as_str(), number.radix());
            Kind::Number(read.map_or_else(|_| number.to_string(), |number| number.to_string()))
        }
        DeValue::Float(number) => Kind::Number(number.to_string()),
        DeValue::Boolean(is) => Kind::Bool(*is),
        DeValue::Array(values) => Kind::List(values.iter().map(value_of).collect()),
        DeValue::Table(table) => table_of(table),
        DeValue::Datetime(_) => Kind::Other,
    };
    Value { kind, place: Some(value.span()) }
}
