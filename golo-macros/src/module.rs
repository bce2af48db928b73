//! Parses a module and finds its scenarios. Everything else in it is passed on as it is.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{AttrStyle, Attribute, Error, Ident, Meta, Result, Token, Visibility, braced, token};

use crate::fallback::Mistakes;
use crate::scenario::{self, ScenarioOptions};
use crate::validate::Function;

/// The module under the attribute.
pub(crate) struct Module {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) keyword: Token![mod],
    pub(crate) name: Ident,
    pub(crate) contents: Vec<Content>,
    /// Items with `#[golo::scenario]` that cannot be scenarios.
    pub(crate) mistakes: Vec<Error>,
}

/// A part of a module.
pub(crate) enum Content {
    Scenario(Box<ScenarioFunction>),
    /// Anything else.
    Other(TokenStream),
}

/// A function with `#[golo::scenario]`, which is left out of its attributes.
pub(crate) struct ScenarioFunction {
    pub(crate) attribute: Attribute,
    pub(crate) function: Function,
}

impl Module {
    /// Returns true if the tokens are a module, after its attributes.
    pub(crate) fn is_one(input: ParseStream<'_>) -> bool {
        let input = input.fork();
        input.call(Attribute::parse_outer).is_ok() && input.parse::<Visibility>().is_ok() && input.peek(Token![mod])
    }

    /// Returns the `#[cfg]` attributes, which also apply to the generated `main`.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = Attribute> {
        let conditions = self.attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
        conditions.map(|condition| Attribute { style: AttrStyle::Outer, ..condition.clone() })
    }

    /// Returns the scenarios.
    pub(crate) fn scenarios(&self) -> impl Iterator<Item = &ScenarioFunction> {
        self.contents.iter().filter_map(|content| match content {
            Content::Scenario(scenario) => Some(&**scenario),
            Content::Other(_) => None,
        })
    }
}

impl Parse for Module {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let keyword = input.parse()?;
        let name: Ident = input.parse()?;
        if !input.peek(token::Brace) {
            let message = "`#[golo::loadtest]` goes on a module with its contents in braces, as in `mod shop { … }`";
            return Err(Error::new(name.span(), message));
        }
        let braced;
        braced!(braced in input);
        attributes.extend(braced.call(Attribute::parse_inner)?);
        let (mut contents, mut mistakes) = (Vec::new(), Vec::new());
        let mut other = TokenStream::new();
        while !braced.is_empty() {
            let mut found = if braced.peek(Token![#]) { braced.call(Attribute::parse_outer)? } else { Vec::new() };
            if let Some(place) = found.iter().position(is_scenario) {
                let attribute = found.remove(place);
                match Function::parse_in_module(&braced.fork()) {
                    Ok(_) => {
                        if !other.is_empty() {
                            contents.push(Content::Other(std::mem::take(&mut other)));
                        }
                        let function = scenario_function(attribute, found, &braced)?;
                        contents.push(Content::Scenario(Box::new(function)));
                        continue;
                    }
                    // The rest of the module is still parsed.
                    Err(mistake) => mistakes.push(mistake),
                }
            }
            found.iter().for_each(|attribute| attribute.to_tokens(&mut other));
            if !braced.is_empty() {
                braced.parse::<TokenTree>()?.to_tokens(&mut other);
            }
        }
        if !other.is_empty() {
            contents.push(Content::Other(other));
        }
        Ok(Self { attributes, visibility, keyword, name, contents, mistakes })
    }
}

fn is_scenario(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == "scenario")
}

fn scenario_function(
    attribute: Attribute,
    mut attributes: Vec<Attribute>,
    input: ParseStream<'_>,
) -> Result<ScenarioFunction> {
    let mut function = Function::parse_in_module(input)?;
    attributes.append(&mut function.attributes);
    function.attributes = attributes;
    Ok(ScenarioFunction { attribute, function })
}

impl ScenarioFunction {
    /// Parses the options of the attribute, and records its mistakes.
    pub(crate) fn options(&self, mistakes: &mut Mistakes) -> ScenarioOptions {
        match &self.attribute.meta {
            Meta::List(list) => scenario::parse(list.tokens.clone(), mistakes),
            Meta::Path(_) => ScenarioOptions::default(),
            Meta::NameValue(value) => {
                let message = "the options of a scenario are in parentheses, as in `#[golo::scenario(weight = 70)]`";
                mistakes.push(Error::new_spanned(value, message));
                ScenarioOptions::default()
            }
        }
    }
}
