//! Expansion of a load test with mistakes. It contains the function, the errors and a `main`, so that no further errors
//! are reported and editors still know the function.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::{AttrStyle, Attribute, Error, parse_quote};

use crate::module::{Content, Module};
use crate::validate::{Function, is_entry_point};

/// The mistakes found so far. All of them are reported together.
#[derive(Default)]
pub(crate) struct Mistakes(Option<Error>);

impl Mistakes {
    pub(crate) fn push(&mut self, mistake: Error) {
        match &mut self.0 {
            Some(mistakes) => mistakes.combine(mistake),
            first => *first = Some(mistake),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn report(self) -> Option<TokenStream> {
        self.0.map(Error::into_compile_error)
    }

    #[cfg(test)]
    pub(crate) fn messages(&self) -> Vec<String> {
        self.0.iter().flatten().map(|mistake| mistake.to_string()).collect()
    }
}

/// Returns the expansion of an item that is not a function.
pub(crate) fn item(item: &TokenStream, mistakes: Mistakes) -> TokenStream {
    let report = mistakes.report();
    let main = main(&[], None);
    quote_spanned! {Span::mixed_site()=> #report #item #main }
}

/// Returns the expansion of a module, without the parts for which the compiler would report a second error.
pub(crate) fn module(module: &Module, mistakes: Mistakes) -> TokenStream {
    let report = mistakes.report();
    let Module { attributes, visibility, keyword, name, contents, .. } = module;
    let contents = contents.iter().map(|content| match content {
        Content::Scenario(scenario) => {
            let function = &scenario.function;
            if function.signature.receiver().is_none() { mend(function) } else { TokenStream::new() }
        }
        Content::Other(other) => other.clone(),
    });
    let (outer, inner): (Vec<_>, Vec<_>) =
        attributes.iter().partition(|attribute| matches!(attribute.style, AttrStyle::Outer));
    let conditions: Vec<_> = module.conditions().collect();
    let main = main(&conditions, None);
    quote_spanned! {Span::mixed_site()=>
        #report
        #(#outer)*
        #[allow(dead_code)]
        #visibility #keyword #name { #(#inner)* #(#contents)* }
        #main
    }
}

/// Returns the expansion of a function, without the parts for which the compiler would report a second error.
pub(crate) fn function(function: &Function, mistakes: Mistakes) -> TokenStream {
    let report = mistakes.report();
    let conditions: Vec<_> = function.conditions().cloned().collect();
    // Without `self` the body does not compile, and only methods may have `self`.
    let kept = function.signature.receiver().is_none().then(|| mend(function));
    if function.is_main() {
        let main = main(&conditions, kept);
        return quote_spanned! {Span::mixed_site()=> #report #main };
    }
    let main = main(&conditions, None);
    quote_spanned! {Span::mixed_site()=> #report #kept #main }
}

fn mend(function: &Function) -> TokenStream {
    let attributes = function.attributes.iter().filter(|attribute| !is_entry_point(attribute));
    let visibility = &function.visibility;
    let mut signature = function.signature.clone();
    signature.constness = None;
    signature.variadic = None;
    signature.asyncness = Some(parse_quote!(async));
    let body = &function.body;
    quote_spanned! {Span::mixed_site()=> #(#attributes)* #visibility #signature #body }
}

fn main(conditions: &[Attribute], function: Option<TokenStream>) -> TokenStream {
    quote_spanned! {Span::mixed_site()=>
        #(#conditions)*
        #[allow(dead_code)]
        fn main() { #function }
    }
}
