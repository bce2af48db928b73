//! Parses the function and validates its signature.
//!
//! The checks here cover only mistakes that the compiler would report badly, twice or not at all. The traits of
//! `golo::__private` check the types.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, LitStr, PatType, PathArguments, Result, ReturnType, Safety,
    Signature, Token, Type, Visibility, token,
};

use crate::args::{Options, scope_without_setup};
use crate::fallback::Mistakes;

/// The item under the attribute. Its body is not parsed, because it may be incomplete while the user types.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: TokenStream,
}

impl Function {
    /// Returns true if the function has the name of the generated function.
    pub(crate) fn is_main(&self) -> bool {
        self.signature.ident == "main"
    }

    /// Returns the `#[cfg]` attributes, which also apply to the generated `main`.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let place = "`#[golo::loadtest]` goes on a free `async fn`, or on a module of scenarios";
        let header = Self::parse_header(input, place)?;
        Ok(Self { body: input.parse()?, ..header })
    }
}

impl Function {
    /// Parses a scenario in a module, and leaves what follows it.
    pub(crate) fn parse_in_module(input: ParseStream<'_>) -> Result<Self> {
        let header = Self::parse_header(input, "`#[golo::scenario]` goes on an `async fn`")?;
        Ok(Self { body: input.parse::<TokenTree>()?.into(), ..header })
    }

    /// Parses everything before the body. `place` says where the attribute goes.
    fn parse_header(input: ParseStream<'_>, place: &str) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !starts_function(&input.fork()) {
            return Err(input.error(format!("this is not a function: {place}")));
        }
        let signature = input.parse::<Signature>()?;
        if !input.peek(token::Brace) {
            let message = format!("this function has no body: {place}");
            return Err(Error::new(signature.ident.span(), message));
        }
        Ok(Self { attributes, visibility, signature, body: TokenStream::new() })
    }

    /// Returns the function as it was written.
    pub(crate) fn tokens(&self) -> TokenStream {
        let Self { attributes, visibility, signature, body } = self;
        quote::quote!(#(#attributes)* #visibility #signature #body)
    }
}

fn starts_function(input: ParseStream<'_>) -> bool {
    while !input.is_empty() && !input.peek(Token![fn]) {
        let qualifier = input.peek(Token![const])
            || input.peek(Token![async])
            || input.peek(Token![unsafe])
            || input.peek(Token![extern])
            || input.peek(LitStr);
        if !qualifier || input.parse::<TokenTree>().is_err() {
            return false;
        }
    }
    input.peek(Token![fn])
}

/// A valid function, with the parts that the expansion needs.
pub(crate) struct LoadTest<'a> {
    pub(crate) name: LitStr,
    pub(crate) function: &'a Ident,
    pub(crate) parameters: Vec<Parameter<'a>>,
    pub(crate) returned: Option<&'a Type>,
}

/// A parameter of a load test, without its pattern.
pub(crate) enum Parameter<'a> {
    /// `&mut S`, with its `S`.
    User(&'a Type),
    /// `Shared<T>`, with its `T`.
    Shared { whole: &'a Type, value: &'a Type },
    /// Any other type.
    Other(&'a Type),
}

impl<'a> LoadTest<'a> {
    pub(crate) fn user(&self) -> Option<&'a Type> {
        self.parameters.iter().find_map(|parameter| match parameter {
            Parameter::User(state) => Some(*state),
            _ => None,
        })
    }

    pub(crate) fn shared(&self) -> Option<&'a Type> {
        self.parameters.iter().find_map(|parameter| match parameter {
            Parameter::Shared { value, .. } => Some(*value),
            _ => None,
        })
    }
}

/// The kind of function that is validated, for messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one function of a load test.
    LoadTest,
    /// One of several in a module.
    Scenario,
}

impl Role {
    /// Returns the word for the function, with its article.
    fn noun(self) -> &'static str {
        match self {
            Self::LoadTest => "a load test",
            Self::Scenario => "a scenario",
        }
    }
}

/// Records all mistakes in the options and the signature of a load test of one function.
pub(crate) fn validate<'a>(function: &'a Function, options: &Options, mistakes: &mut Mistakes) -> LoadTest<'a> {
    validate_options(options, mistakes);
    signature(function, Role::LoadTest, options.name.as_ref(), options.setup.is_some(), mistakes)
}

/// Records all mistakes in the signature. `has_setup` tells if there is a `setup` whose value it may take.
pub(crate) fn signature<'a>(
    function: &'a Function,
    role: Role,
    name: Option<&LitStr>,
    has_setup: bool,
    mistakes: &mut Mistakes,
) -> LoadTest<'a> {
    let signature = &function.signature;
    let noun = role.noun();
    validate_attributes(function, role, mistakes);
    validate_qualifiers(signature, noun, mistakes);
    validate_generics(signature, noun, mistakes);
    let mut parameters = Vec::new();
    for input in &signature.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                let message =
                    format!("{noun} is a free function: it takes `&mut S`, where `S: golo::User`, rather than `self`");
                mistakes.push(Error::new_spanned(receiver, message));
            }
            FnArg::Typed(typed) => match parameter(typed, noun, has_setup, &parameters) {
                Ok(parameter) => parameters.push(parameter),
                Err(mistake) => mistakes.push(mistake),
            },
        }
    }
    LoadTest {
        name: name.cloned().unwrap_or_else(|| {
            let name = signature.ident.unraw();
            LitStr::new(&name.to_string(), name.span())
        }),
        function: &signature.ident,
        parameters,
        returned: match &signature.output {
            ReturnType::Default => None,
            ReturnType::Type(_, returned) => Some(returned),
        },
    }
}

/// Returns true if the attribute turns the function into an entry point of its own.
pub(crate) fn is_entry_point(attribute: &Attribute) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|segment| ["main", "test", "loadtest", "scenario"].iter().any(|name| segment.ident == name))
}

fn validate_attributes(function: &Function, role: Role, mistakes: &mut Mistakes) {
    for attribute in function.attributes.iter().filter(|attribute| is_entry_point(attribute)) {
        let is_scenario = attribute.path().segments.last().is_some_and(|segment| segment.ident == "scenario");
        let message = match role {
            Role::Scenario if is_scenario => "this function is a scenario already: remove this attribute",
            _ if is_scenario => {
                "a scenario is in a module with `#[golo::loadtest]`: this function is the whole load test"
            }
            _ => "`#[golo::loadtest]` makes the entry point and the runtime: remove this attribute",
        };
        mistakes.push(Error::new_spanned(attribute, message));
    }
}

fn validate_qualifiers(signature: &Signature, noun: &str, mistakes: &mut Mistakes) {
    if let Some(constness) = &signature.constness {
        mistakes.push(Error::new_spanned(constness, format!("{noun} cannot be `const`")));
    }
    if signature.asyncness.is_none() {
        mistakes.push(Error::new_spanned(signature.fn_token, format!("{noun} is an `async fn`: add `async`")));
    }
    if let Safety::Unsafe(keyword) = &signature.safety {
        mistakes.push(Error::new_spanned(keyword, format!("{noun} cannot be `unsafe`")));
    }
    if let Some(abi) = &signature.abi {
        mistakes.push(Error::new_spanned(abi, format!("{noun} cannot be `extern`")));
    }
    if let Some(variadic) = &signature.variadic {
        mistakes.push(Error::new_spanned(variadic, format!("{noun} cannot be variadic")));
    }
}

fn validate_generics(signature: &Signature, noun: &str, mistakes: &mut Mistakes) {
    let generics = &signature.generics;
    if generics.lt_token.is_some() {
        let message = if generics.params.iter().all(|parameter| matches!(parameter, syn::GenericParam::Lifetime(_))) {
            format!("{noun} cannot have lifetimes: leave them out")
        } else {
            format!("{noun} cannot be generic: use concrete types")
        };
        mistakes.push(Error::new_spanned(generics, message));
    }
    if let Some(clause) = generics.where_clause.as_ref().filter(|_| generics.lt_token.is_none()) {
        mistakes.push(Error::new_spanned(clause, format!("{noun} cannot have a `where` clause: use concrete types")));
    }
}

/// Records mistakes in options that contradict each other.
pub(crate) fn validate_options(options: &Options, mistakes: &mut Mistakes) {
    if let (Some(scope), None) = (&options.setup_scope, &options.setup) {
        mistakes.push(scope_without_setup(scope));
    }
    if let (Some(http), Some(_)) = (&options.http, &options.client) {
        let message = "`http` configures golo's transport, and `client` replaces it: requests are sent by only one of \
                       them, so leave one out";
        mistakes.push(Error::new_spanned(http, message));
    }
}

fn parameter<'a>(typed: &'a PatType, noun: &str, has_setup: bool, earlier: &[Parameter<'_>]) -> Result<Parameter<'a>> {
    let is_condition = |attribute: &&Attribute| ["cfg", "cfg_attr"].iter().any(|name| attribute.path().is_ident(name));
    if let Some(attribute) = typed.attrs.iter().find(is_condition) {
        let message = format!("a parameter of {noun} cannot be conditional: write the condition on the function");
        return Err(Error::new_spanned(attribute, message));
    }
    let whole = &*typed.ty;
    let no_parameter = |what| {
        let message = format!(
            "{what} cannot be a parameter of {noun}: expected `golo::Context`, `golo::Response`, `golo::Shared<T>`, \
             or `&mut S` where `S: golo::User`"
        );
        Err(Error::new_spanned(whole, message))
    };
    if is_opaque(whole) {
        return no_parameter("`impl Trait`");
    }
    match peel(whole) {
        Type::Reference(reference) if reference.mutability.is_none() => no_parameter("a shared reference"),
        Type::Reference(reference) => {
            if let Some(lifetime) = reference.lifetime.as_ref().filter(|lifetime| lifetime.ident == "static") {
                let message = "a user is lent for one trigger: leave `'static` out";
                return Err(Error::new_spanned(lifetime, message));
            }
            if borrows(&reference.elem) {
                let message = "the state of a user cannot borrow: use types that own what they hold";
                return Err(Error::new_spanned(&reference.elem, message));
            }
            if earlier.iter().any(|parameter| matches!(parameter, Parameter::User(_))) {
                return Err(Error::new_spanned(whole, format!("{noun} takes one `&mut S`: put both states into one")));
            }
            Ok(Parameter::User(&reference.elem))
        }
        Type::Path(path) => match shared_value(path) {
            Some(value) => {
                if earlier.iter().any(|parameter| matches!(parameter, Parameter::Shared { .. })) {
                    return Err(Error::new_spanned(
                        whole,
                        format!("{noun} takes one `Shared<T>`: put both values into one"),
                    ));
                }
                if !has_setup {
                    let message =
                        "`Shared` is what `setup` returns, and there is none: add `setup = …` to `#[golo::loadtest]`";
                    return Err(Error::new_spanned(whole, message));
                }
                Ok(Parameter::Shared { whole, value })
            }
            None => Ok(Parameter::Other(whole)),
        },
        Type::Macro(_) | Type::Verbatim(_) => Ok(Parameter::Other(whole)),
        _ => no_parameter("this type"),
    }
}

/// Removes the invisible groups that `macro_rules!` puts around types, and parentheses.
fn peel(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            _ => return ty,
        }
    }
}

fn shared_value(path: &syn::TypePath) -> Option<&Type> {
    let last = path.path.segments.last().filter(|segment| segment.ident == "Shared")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(value)) if arguments.args.len() == 1 => Some(value),
        _ => None,
    }
}

/// Returns true if the type contains `impl Trait`, so that it cannot be repeated elsewhere.
pub(crate) fn is_opaque(ty: &Type) -> bool {
    words(ty.to_token_stream()).iter().any(|word| word == "impl")
}

fn borrows(ty: &Type) -> bool {
    words(ty.to_token_stream()).iter().any(|word| word.starts_with('\'') && word != "'static")
}

/// Returns the identifiers and lifetimes of a type, at any depth.
fn words(tokens: TokenStream) -> Vec<String> {
    let mut words = Vec::new();
    let mut quote = "";
    for token in tokens {
        match &token {
            TokenTree::Group(group) => words.extend(self::words(group.stream())),
            TokenTree::Ident(ident) => words.push(format!("{quote}{ident}")),
            _ => {}
        }
        quote = if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\'') { "'" } else { "" };
    }
    words
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;
    use crate::args;

    fn mistakes(options: TokenStream, item: TokenStream) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        let options = args::parse(options, &mut mistakes);
        validate(&syn::parse2(item).unwrap(), &options, &mut mistakes);
        mistakes.messages()
    }

    /// Returns the type as a `macro_rules!` macro passes it on.
    fn grouped(ty: TokenStream) -> TokenStream {
        TokenTree::Group(proc_macro2::Group::new(proc_macro2::Delimiter::None, ty)).into()
    }

    #[test]
    fn kinds_of_parameters_are_recognised() {
        let (user, shared) = (grouped(quote!(&mut Shopper)), grouped(quote!(golo::Shared<Db>)));
        let function =
            syn::parse2(quote!(async fn f(_: Context, (mut user): #user, (shared): (#shared), _: Alias) {})).unwrap();
        let options = args::parse(quote!(setup = prepare), &mut Mistakes::default());
        let mut mistakes = Mistakes::default();
        let loadtest = validate(&function, &options, &mut mistakes);
        assert_eq!(mistakes.messages(), [""; 0]);
        assert_eq!(loadtest.user().unwrap().to_token_stream().to_string(), "Shopper");
        assert_eq!(loadtest.shared().unwrap().to_token_stream().to_string(), "Db");
        assert_eq!(loadtest.parameters.len(), 4);
    }

    #[test]
    fn unusual_legal_functions_are_accepted() {
        let legal = [
            quote!(
                pub(crate) async fn f(_: &'_ mut Shopper<&'static str>) -> impl golo::IntoResponse {}
            ),
            quote!(
                async fn f(Context { job_name, .. }: Context, #[allow(unused)] mut second: Context) {}
            ),
            quote!(
                async fn f(_: own::Shared) {}
            ),
            quote!(
                async fn f(_: <Own as Types>::Context, _: context!()) {}
            ),
            quote!(async fn f() { not ! rust @ }),
        ];
        for function in legal {
            assert_eq!(mistakes(quote!(), function), [""; 0]);
        }
    }

    #[test]
    fn every_mistake_is_found() {
        let function = quote! {
            #[tokio::main]
            const unsafe extern "C" fn f<'a, T>(self, a: &T, b: &mut T, c: &mut T, d: Shared<T>, e: impl Any, f: [u8; 2], ...) where T: Any {}
        };
        let found = mistakes(quote!(), function);
        let begins = [
            "`#[golo::loadtest]` makes the entry point",
            "a load test cannot be `const`",
            "a load test is an `async fn`",
            "a load test cannot be `unsafe`",
            "a load test cannot be `extern`",
            "a load test cannot be variadic",
            "a load test cannot be generic",
            "a load test is a free function",
            "a shared reference cannot be a parameter",
            "a load test takes one `&mut S`",
            "`Shared` is what `setup` returns",
            "`impl Trait` cannot be a parameter",
            "this type cannot be a parameter",
        ];
        assert_eq!(found.len(), begins.len(), "{found:#?}");
        for (message, begin) in found.iter().zip(begins) {
            assert!(message.starts_with(begin), "{message}");
        }
    }

    #[test]
    fn user_state_that_borrows_is_a_mistake() {
        assert!(
            mistakes(
                quote!(),
                quote!(
                    async fn f(_: &'static mut Shopper) {}
                )
            )[0]
            .contains("leave `'static` out")
        );
        assert!(
            mistakes(
                quote!(),
                quote!(
                    async fn f(_: &mut Shopper<'_>) {}
                )
            )[0]
            .contains("cannot borrow")
        );
    }

    #[test]
    fn item_that_is_not_a_function_is_reported() {
        let other = [
            quote!(
                struct S;
            ),
            quote!(
                const C: u8 = 1;
            ),
            quote!(
                unsafe trait T {}
            ),
            quote!(
                extern "C" {}
            ),
            quote!(),
        ];
        for item in other {
            assert!(syn::parse2::<Function>(item).is_err_and(|mistake| mistake.to_string().contains("not a function")));
        }
        assert!(
            syn::parse2::<Function>(quote!(
                async fn f();
            ))
            .is_err_and(|mistake| mistake.to_string().contains("no body"))
        );
    }
}
