//! Options in the parentheses of `#[golo::loadtest(…)]`.

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, ExprPath, Ident, LitStr, Path, Result, Token, parse_quote};

use crate::fallback::Mistakes;

const VALID: &str = "`name`, `setup`, `setup_scope`, `teardown`, `http`, `client` or `crate`";

/// How often `setup` runs.
pub(crate) struct SetupScope {
    /// True if it runs once a run, false if it runs in each process.
    pub(crate) is_run: bool,
    pub(crate) written: LitStr,
}

/// The options that the user set. Omitted ones are `None`, and the crate is then `::golo`.
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) setup: Option<ExprPath>,
    pub(crate) setup_scope: Option<SetupScope>,
    pub(crate) teardown: Option<ExprPath>,
    pub(crate) http: Option<ExprPath>,
    pub(crate) client: Option<ExprPath>,
    pub(crate) golo: Path,
}

/// Parses the options. Invalid ones are recorded and skipped, so that all others are parsed too.
pub(crate) fn parse(tokens: TokenStream, mistakes: &mut Mistakes) -> Options {
    let mut given = Given::default();
    parse_each(tokens, mistakes, |input| given.take_option(input));
    Options {
        name: given.name,
        setup: given.setup,
        setup_scope: given.setup_scope,
        teardown: given.teardown,
        http: given.http,
        client: given.client,
        golo: given.golo.unwrap_or_else(|| parse_quote!(::golo)),
    }
}

/// Calls `take` for each option in a list with commas. If it fails, records the mistake and skips the option.
pub(crate) fn parse_each(
    tokens: TokenStream,
    mistakes: &mut Mistakes,
    mut take: impl FnMut(ParseStream<'_>) -> Result<()>,
) {
    let every_option = |input: ParseStream<'_>| {
        while !input.is_empty() {
            if let Err(mistake) = take(input) {
                mistakes.push(mistake);
                skip_to_comma(input)?;
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(())
    };
    if let Err(mistake) = every_option.parse2(tokens) {
        mistakes.push(mistake);
    }
}

#[derive(Default)]
struct Given {
    name: Option<LitStr>,
    setup: Option<ExprPath>,
    setup_scope: Option<SetupScope>,
    teardown: Option<ExprPath>,
    http: Option<ExprPath>,
    client: Option<ExprPath>,
    golo: Option<Path>,
}

impl Given {
    fn take_option(&mut self, input: ParseStream<'_>) -> Result<()> {
        if !input.peek(Ident::peek_any) {
            return Err(expected_option(input, VALID));
        }
        let option = input.call(Ident::parse_any)?;
        let function = "the path of a function";
        match option.to_string().as_str() {
            "name" => set_once(&mut self.name, &option, "a string that is not empty", "\"checkout\"", name, input),
            "setup" => set_once(&mut self.setup, &option, function, "prepare", ExprPath::parse, input),
            "setup_scope" => set_setup_scope(&mut self.setup_scope, &option, input),
            "teardown" => set_once(&mut self.teardown, &option, function, "clean_up", ExprPath::parse, input),
            "http" => set_once(&mut self.http, &option, function, "configure", ExprPath::parse, input),
            "client" => set_once(&mut self.client, &option, function, "make_client", ExprPath::parse, input),
            "crate" => set_once(&mut self.golo, &option, "the path of a crate", "::golo", Path::parse_mod_style, input),
            _ => Err(Error::new(option.span(), format!("unknown option `{option}`, expected one of {VALID}"))),
        }
    }
}

/// Returns the mistake of something that is not an option, of which `valid` lists all.
pub(crate) fn expected_option(input: ParseStream<'_>, valid: &str) -> Error {
    input.error(format!("expected an option, one of {valid}"))
}

/// Parses `= value` of an option. It is a mistake to set an option twice.
pub(crate) fn set_once<T>(
    slot: &mut Option<T>,
    option: &Ident,
    kind: &str,
    example: &str,
    parse: fn(ParseStream<'_>) -> Result<T>,
    input: ParseStream<'_>,
) -> Result<()> {
    let expected = || format!("`{option}` takes {kind}, as in `{option} = {example}`");
    input.parse::<Token![=]>().map_err(|_| Error::new(option.span(), expected()))?;
    let start = if input.is_empty() { option.span() } else { input.span() };
    let value = parse(input).map_err(|_| Error::new(start, expected()))?;
    if !input.is_empty() && !input.peek(Token![,]) {
        return Err(input.error(expected()));
    }
    if slot.replace(value).is_some() {
        return Err(Error::new(option.span(), format!("`{option}` is given twice")));
    }
    Ok(())
}

/// Parses `= "process"` or `= "run"` of the option `setup_scope`.
pub(crate) fn set_setup_scope(slot: &mut Option<SetupScope>, option: &Ident, input: ParseStream<'_>) -> Result<()> {
    set_once(slot, option, "`\"process\"` or `\"run\"`", "\"run\"", setup_scope, input)
}

fn setup_scope(input: ParseStream<'_>) -> Result<SetupScope> {
    let written = input.parse::<LitStr>()?;
    match written.value().as_str() {
        "process" => Ok(SetupScope { is_run: false, written }),
        "run" => Ok(SetupScope { is_run: true, written }),
        _ => Err(Error::new(written.span(), "unknown scope")),
    }
}

/// Returns the mistake of a `setup_scope` without `setup`.
pub(crate) fn scope_without_setup(scope: &SetupScope) -> Error {
    let message =
        "`setup_scope` decides how often `setup` runs, but there is none: add `setup = prepare`, or leave it out";
    Error::new(scope.written.span(), message)
}

/// Parses a name.
pub(crate) fn name(input: ParseStream<'_>) -> Result<LitStr> {
    let name = input.parse::<LitStr>()?;
    if name.value().trim().is_empty() { Err(Error::new(name.span(), "empty")) } else { Ok(name) }
}

/// Skips the rest of an option.
fn skip_to_comma(input: ParseStream<'_>) -> Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use quote::{ToTokens, quote};

    use super::*;

    fn mistakes(tokens: TokenStream) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        parse(tokens, &mut mistakes);
        mistakes.messages()
    }

    #[test]
    fn missing_options_have_defaults() {
        let options = parse(quote!(), &mut Mistakes::default());
        assert!(options.name.is_none() && options.setup.is_none());
        assert_eq!(options.golo.to_token_stream().to_string(), ":: golo");
    }

    #[test]
    fn every_option_and_a_trailing_comma_are_accepted() {
        let mut mistakes = Mistakes::default();
        let options = parse(
            quote!(
                name = "a b",
                setup = hooks::prepare::<Db, 3>,
                setup_scope = "run",
                teardown = <Db as Hooks>::clean,
                http = self::configure,
                client = self::make,
                crate = crate,
            ),
            &mut mistakes,
        );
        assert!(mistakes.messages().is_empty());
        assert_eq!(options.name.unwrap().value(), "a b");
        assert_eq!(options.setup.unwrap().to_token_stream().to_string(), "hooks :: prepare :: < Db , 3 >");
        assert!(options.setup_scope.unwrap().is_run);
        assert!(options.teardown.is_some() && options.http.is_some() && options.client.is_some());
        assert_eq!(options.golo.to_token_stream().to_string(), "crate");
    }

    #[test]
    fn every_mistake_is_found() {
        assert_eq!(
            mistakes(quote!(
                nmae = "x",
                name = 3,
                setup = "prepare",
                setup,
                client = make(),
                "journey",
                name = "a",
                name = "b"
            )),
            [
                "unknown option `nmae`, expected one of `name`, `setup`, `setup_scope`, `teardown`, `http`, `client` or `crate`",
                "`name` takes a string that is not empty, as in `name = \"checkout\"`",
                "`setup` takes the path of a function, as in `setup = prepare`",
                "`setup` takes the path of a function, as in `setup = prepare`",
                "`client` takes the path of a function, as in `client = make_client`",
                "expected an option, one of `name`, `setup`, `setup_scope`, `teardown`, `http`, `client` or `crate`",
                "`name` is given twice",
            ]
        );
    }

    #[test]
    fn setup_scope_is_process_or_run() {
        assert!(!parse(quote!(setup_scope = "process"), &mut Mistakes::default()).setup_scope.unwrap().is_run);
        let expected = ["`setup_scope` takes `\"process\"` or `\"run\"`, as in `setup_scope = \"run\"`"];
        for wrong in [quote!(setup_scope = "fleet"), quote!(setup_scope = run), quote!(setup_scope)] {
            assert_eq!(mistakes(wrong), expected);
        }
    }

    #[test]
    fn empty_name_is_a_mistake() {
        assert_eq!(mistakes(quote!(name = "")).len(), 1);
        assert_eq!(mistakes(quote!(name = " ")).len(), 1);
        assert_eq!(mistakes(quote!(name =)).len(), 1);
    }
}
