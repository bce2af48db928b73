//! Options in the parentheses of `#[golo::scenario(…)]`.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Error, ExprPath, LitInt, LitStr, Result, Token, bracketed, token};

use crate::args::{SetupScope, expected_option, name, parse_each, scope_without_setup, set_once, set_setup_scope};
use crate::fallback::Mistakes;

const VALID: &str = "`name`, `weight`, `users`, `rate`, `stages`, `start`, `duration`, `iterations`, `pace`, \
                     `arrivals`, `max_users`, `setup`, `setup_scope`, `teardown` or `thresholds`";

/// Options that give a scenario a load of its own, with an example of each.
const LOAD: [(&str, &str); 9] = [
    ("users", "5"),
    ("rate", "\"10/s\""),
    ("stages", "\"30s:100,10s:0\""),
    ("start", "\"30s\""),
    ("duration", "\"1m\""),
    ("iterations", "100"),
    ("pace", "\"1s\""),
    ("arrivals", "\"poisson\""),
    ("max_users", "100"),
];

/// The options that the user set.
#[derive(Default)]
pub(crate) struct ScenarioOptions {
    pub(crate) name: Option<LitStr>,
    pub(crate) setup: Option<ExprPath>,
    pub(crate) setup_scope: Option<SetupScope>,
    pub(crate) teardown: Option<ExprPath>,
    pub(crate) thresholds: Option<Vec<LitStr>>,
    /// Keys and values of the weight and of the scenario's own load.
    pub(crate) settings: Vec<(Ident, LitStr)>,
}

/// Parses the options. Invalid ones are recorded and skipped, so that all others are parsed too.
pub(crate) fn parse(tokens: TokenStream, mistakes: &mut Mistakes) -> ScenarioOptions {
    let mut options = ScenarioOptions::default();
    parse_each(tokens, mistakes, |input| options.take(input));
    if let (Some(scope), None) = (&options.setup_scope, &options.setup) {
        mistakes.push(scope_without_setup(scope));
    }
    let is_load = |(key, _): &&(Ident, LitStr)| *key != "weight";
    if let (Some((weight, _)), Some((load, _))) =
        (options.settings.iter().find(|(key, _)| *key == "weight"), options.settings.iter().find(is_load))
    {
        let message = format!("`weight` has no effect beside `{load}`, which is a load of its own: remove one of them");
        mistakes.push(Error::new(weight.span(), message));
    }
    options
}

impl ScenarioOptions {
    fn take(&mut self, input: ParseStream<'_>) -> Result<()> {
        if !input.peek(Ident::peek_any) {
            return Err(expected_option(input, VALID));
        }
        let option = input.call(Ident::parse_any)?;
        let (function, text) = ("the path of a function", option.to_string());
        match text.as_str() {
            "name" => set_once(&mut self.name, &option, "a string that is not empty", "\"checkout\"", name, input),
            "setup" => set_once(&mut self.setup, &option, function, "prepare", syn::parse::Parse::parse, input),
            "setup_scope" => set_setup_scope(&mut self.setup_scope, &option, input),
            "teardown" => set_once(&mut self.teardown, &option, function, "clean_up", syn::parse::Parse::parse, input),
            "thresholds" => {
                let (kind, example) = ("a string, or a list of strings", "[\"http_req_duration p(95)<200ms\"]");
                set_once(&mut self.thresholds, &option, kind, example, strings, input)
            }
            "weight" => self.setting(option, "a whole number", "70", number, input),
            key => match LOAD.iter().find(|(known, _)| *known == key) {
                Some((_, example)) if example.starts_with('"') => {
                    self.setting(option, "a string", example, string_or_number, input)
                }
                Some((_, example)) => self.setting(option, "a whole number", example, number, input),
                None => Err(Error::new(option.span(), format!("unknown option `{option}`, expected one of {VALID}"))),
            },
        }
    }

    fn setting(
        &mut self,
        option: Ident,
        kind: &str,
        example: &str,
        parse: fn(ParseStream<'_>) -> Result<LitStr>,
        input: ParseStream<'_>,
    ) -> Result<()> {
        let mut slot = self.settings.iter().find(|(key, _)| *key == option).map(|(_, value)| value.clone());
        set_once(&mut slot, &option, kind, example, parse, input)?;
        self.settings.extend(slot.map(|value| (option, value)));
        Ok(())
    }
}

fn strings(input: ParseStream<'_>) -> Result<Vec<LitStr>> {
    if !input.peek(token::Bracket) {
        return Ok(vec![input.parse()?]);
    }
    let list;
    bracketed!(list in input);
    Ok(Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect())
}

/// Parses a whole number, as text.
fn number(input: ParseStream<'_>) -> Result<LitStr> {
    let number = input.parse::<LitInt>()?;
    let value = number.base10_parse::<u64>()?;
    Ok(LitStr::new(&value.to_string(), number.span()))
}

/// Parses a string, a list of strings, or a whole number, as text.
fn string_or_number(input: ParseStream<'_>) -> Result<LitStr> {
    if input.peek(LitInt) {
        return number(input);
    }
    let span = input.span();
    let texts = strings(input)?;
    Ok(match &texts[..] {
        [one] => one.clone(),
        all => LitStr::new(&all.iter().map(LitStr::value).collect::<Vec<_>>().join(","), span),
    })
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn mistakes(tokens: TokenStream) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        parse(tokens, &mut mistakes);
        mistakes.messages()
    }

    #[test]
    fn every_option_is_accepted() {
        let mut mistakes = Mistakes::default();
        let options = parse(
            quote!(
                name = "a b",
                setup = hooks::prepare,
                setup_scope = "process",
                teardown = clean,
                thresholds = ["a", "b"],
                users = 5,
                rate = "10/s",
                stages = ["1s:5", "2s:0"],
                start = 3,
                duration = "1m",
                iterations = 1_000,
                pace = "1s",
                arrivals = "poisson",
                max_users = 9,
            ),
            &mut mistakes,
        );
        assert_eq!(mistakes.messages(), [""; 0]);
        let settings: Vec<_> = options.settings.iter().map(|(key, value)| format!("{key}={}", value.value())).collect();
        let expected = "users=5 rate=10/s stages=1s:5,2s:0 start=3 duration=1m iterations=1000 pace=1s \
                        arrivals=poisson max_users=9";
        assert_eq!(settings.join(" "), expected);
        assert_eq!(options.thresholds.unwrap().len(), 2);
        assert_eq!(parse(quote!(weight = 0x10), &mut Mistakes::default()).settings[0].1.value(), "16");
    }

    #[test]
    fn every_mistake_is_found() {
        let found = mistakes(quote!(
            wieght = 1,
            weight = "70",
            weight = -1,
            users = "5",
            rate = 10.5,
            thresholds = 5,
            users = 3,
            users = 4
        ));
        let begins = [
            "unknown option `wieght`, expected one of `name`, `weight`",
            "`weight` takes a whole number, as in `weight = 70`",
            "`weight` takes a whole number, as in `weight = 70`",
            "`users` takes a whole number, as in `users = 5`",
            "`rate` takes a string, as in `rate = \"10/s\"`",
            "`thresholds` takes a string, or a list of strings, as in `thresholds = [",
            "`users` is given twice",
        ];
        assert_eq!(found.len(), begins.len(), "{found:#?}");
        for (message, begin) in found.iter().zip(begins) {
            assert!(message.starts_with(begin), "{message}");
        }
    }

    #[test]
    fn weight_beside_a_load_is_a_mistake() {
        assert_eq!(
            mistakes(quote!(weight = 5, start = "3s")),
            ["`weight` has no effect beside `start`, which is a load of its own: remove one of them"]
        );
    }

    #[test]
    fn scope_without_setup_is_a_mistake() {
        assert!(mistakes(quote!(setup_scope = "run"))[0].contains("but there is none: add `setup = prepare`"));
        assert_eq!(mistakes(quote!(setup_scope = "run", setup = prepare)), [""; 0]);
    }
}
