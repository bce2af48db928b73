//! Expansion: an adapter around each function, and a `main` that passes them to golo.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{AttrStyle, Error, ExprPath, LitStr, Path, Type, spanned::Spanned};

use crate::args::{self, Options, SetupScope};
use crate::fallback::{self, Mistakes};
use crate::module::{Content, Module, ScenarioFunction};
use crate::scenario::ScenarioOptions;
use crate::validate::{self, Function, LoadTest, Parameter, Role};

/// Expands the attribute, and returns the replacement of its item.
pub(crate) fn loadtest(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let options = args::parse(options, &mut mistakes);
    let is_module = |input: ParseStream<'_>| {
        let is_module = Module::is_one(input);
        input.parse::<TokenStream>().map(|_| is_module)
    };
    if is_module.parse2(item.clone()).unwrap_or_default() {
        return match syn::parse2::<Module>(item.clone()) {
            Ok(module) => scenarios(&module, &options, mistakes),
            Err(mistake) => {
                mistakes.push(mistake);
                fallback::item(&item, mistakes)
            }
        };
    }
    let function = match syn::parse2::<Function>(item.clone()) {
        Ok(function) => function,
        Err(mistake) => {
            mistakes.push(mistake);
            return fallback::item(&item, mistakes);
        }
    };
    let loadtest = validate::validate(&function, &options, &mut mistakes);
    if !mistakes.is_empty() {
        return fallback::function(&function, mistakes);
    }
    let conditions = function.conditions();
    let type_name = Ident::new("__Loadtest", Span::mixed_site());
    let adapter = adapter(&type_name, &loadtest, &options.golo);
    let call = call(&loadtest, &options);
    // A function named `main` moves into the generated `main`.
    let (beside, inside) = if function.is_main() { (None, Some(&item)) } else { (Some(&item), None) };
    quote_spanned! {Span::mixed_site()=>
        #beside

        #(#conditions)*
        fn main() -> ::std::process::ExitCode {
            #inside
            #adapter
            #call
        }
    }
}

/// Returns the adapter. Each part has the span of the user's code, so that compiler errors point there.
fn adapter(type_name: &Ident, loadtest: &LoadTest<'_>, golo: &Path) -> TokenStream {
    let function = loadtest.function;
    let trigger = Ident::new("trigger", Span::mixed_site());
    let user = Ident::new("user", Span::mixed_site());

    let state = loadtest.user().map_or_else(|| quote!(()), ToTokens::to_token_stream);
    let user_pattern = if loadtest.user().is_some() { user.to_token_stream() } else { quote!(_) };
    let arguments = loadtest.parameters.iter().map(|parameter| match parameter {
        Parameter::User(_) => user.to_token_stream(),
        Parameter::Shared { whole: ty, .. } | Parameter::Other(ty) => quote_spanned! {place(*ty)=>
            <#ty as #golo::__private::FromTrigger>::from_trigger(&#trigger)
        },
    });
    let returned = match loadtest.returned {
        None => quote!(()),
        Some(ty) if validate::is_opaque(ty) => quote_spanned!(place(ty)=> _),
        Some(ty) => ty.to_token_stream(),
    };
    let respond = quote_spanned! {place(&returned)=> <#returned as #golo::IntoResponse>::into_response };
    let header = quote_spanned! {place(function)=>
        async fn trigger(#trigger: #golo::__private::Trigger, #user_pattern: &mut #state)
            -> ::std::result::Result<#golo::Response, #golo::BoxError>
    };
    quote_spanned! {Span::mixed_site()=>
        struct #type_name;
        impl #golo::__private::Adapter for #type_name {
            type User = #state;
            #header {
                let returned = #function(#(#arguments),*).await;
                #respond(returned, #trigger.into_prepared())
            }
        }
    }
}

fn call(loadtest: &LoadTest<'_>, options: &Options) -> TokenStream {
    let golo = &options.golo;
    let name = &loadtest.name;
    let settings = settings(options, loadtest.shared());
    quote_spanned! {Span::mixed_site()=>
        #golo::__private::main(
            #golo::Loadtest::adapter(#name, __Loadtest) #settings
        )
    }
}

/// Expands a module of scenarios.
fn scenarios(module: &Module, options: &Options, mut mistakes: Mistakes) -> TokenStream {
    validate::validate_options(options, &mut mistakes);
    let golo = &options.golo;
    let mut names = Vec::<LitStr>::new();
    let mut of_module = None;
    let scenarios: Vec<_> = module
        .scenarios()
        .map(|scenario| {
            let own = scenario.options(&mut mistakes);
            let has_setup = own.setup.is_some() || options.setup.is_some();
            let function = &scenario.function;
            let parsed = validate::signature(function, Role::Scenario, own.name.as_ref(), has_setup, &mut mistakes);
            // Of two under conditions, only one may be there.
            let is_conditional = function.conditions().next().is_some();
            if !is_conditional && names.iter().any(|name| name.value() == parsed.name.value()) {
                let message = format!("two scenarios have the name `{}`: set another `name`", parsed.name.value());
                mistakes.push(Error::new(parsed.name.span(), message));
            }
            if !is_conditional {
                names.push(parsed.name.clone());
            }
            if own.setup.is_none() && (of_module.is_none() || !is_conditional) {
                of_module = of_module.or(parsed.shared());
            }
            register(scenario, &parsed, &own, options)
        })
        .collect();
    module.mistakes.iter().for_each(|mistake| mistakes.push(mistake.clone()));
    if scenarios.is_empty() && module.mistakes.is_empty() {
        let message = "this module has no scenario: put `#[golo::scenario]` on its async functions";
        mistakes.push(Error::new(module.name.span(), message));
    }
    if !mistakes.is_empty() {
        return fallback::module(module, mistakes);
    }
    let Module { attributes, visibility, keyword, name, contents, .. } = module;
    let (outer, inner): (Vec<_>, Vec<_>) =
        attributes.iter().partition(|attribute| matches!(attribute.style, AttrStyle::Outer));
    let contents = contents.iter().map(|content| match content {
        Content::Scenario(scenario) => scenario.function.tokens(),
        Content::Other(other) => other.clone(),
    });
    let load_test = options.name.clone().unwrap_or_else(|| LitStr::new(&name.unraw().to_string(), name.span()));
    let settings = settings(options, of_module);
    let conditions = module.conditions();
    quote_spanned! {Span::mixed_site()=>
        #(#outer)*
        #visibility #keyword #name {
            #(#inner)*
            #(#contents)*

            #[doc(hidden)]
            pub(super) fn __golo_loadtest() -> #golo::Loadtest {
                let mut scenarios = ::std::vec::Vec::<#golo::Scenario>::new();
                #(#scenarios)*
                #golo::Loadtest::of_scenarios(scenarios).name(#load_test) #settings
            }
        }

        #(#conditions)*
        fn main() -> ::std::process::ExitCode {
            #golo::__private::main(#name::__golo_loadtest())
        }
    }
}

/// Returns the statement that registers a scenario.
fn register(
    scenario: &ScenarioFunction,
    parsed: &LoadTest<'_>,
    own: &ScenarioOptions,
    options: &Options,
) -> TokenStream {
    let golo = &options.golo;
    let type_name = Ident::new("__Scenario", Span::mixed_site());
    let adapter = adapter(&type_name, parsed, golo);
    let conditions = scenario.function.conditions();
    let name = &parsed.name;
    let values = own.settings.iter().map(|(key, value)| {
        let key = key.to_string();
        quote!(.set(#key, #value))
    });
    let thresholds = own.thresholds.iter().flatten().map(|threshold| quote!(.threshold(#threshold)));
    let shared = parsed.shared().map_or_else(|| quote!(()), ToTokens::to_token_stream);
    let setup = own.setup.as_ref().map(|path| setup(path, own.setup_scope.as_ref(), &shared));
    let teardown = own.teardown.as_ref().map(|path| quote_spanned!(place(path)=> .teardown::<#shared, _>(#path)));
    // The type of `Shared` is checked against the function that returns its value.
    let check = match (&own.setup, &options.setup, parsed.shared()) {
        (None, Some(path), Some(ty)) => Some(quote_spanned!(place(ty)=> #golo::__private::shares::<#ty>(&#path);)),
        _ => None,
    };
    quote_spanned! {Span::mixed_site()=>
        #(#conditions)*
        {
            #adapter
            #check
            scenarios.push(#golo::Scenario::adapter(#name, #type_name) #(#values)* #(#thresholds)* #setup #teardown);
        }
    }
}

/// Returns the calls that pass on the options of the load test. `shared` is what its triggers share.
fn settings(options: &Options, shared: Option<&Type>) -> TokenStream {
    let shared = shared.map_or_else(|| quote!(()), ToTokens::to_token_stream);
    let setup = options.setup.as_ref().map(|path| setup(path, options.setup_scope.as_ref(), &shared));
    let teardown = options.teardown.as_ref().map(|path| quote_spanned!(place(path)=> .teardown::<#shared, _>(#path)));
    let client = options.client.as_ref().map(|path| quote_spanned!(place(path)=> .client(#path)));
    let http = options.http.as_ref().map(|path| quote_spanned!(place(path)=> .http(#path)));
    quote_spanned! {Span::mixed_site()=>
        #setup #teardown #client #http
        .version(::std::option_env!("CARGO_PKG_VERSION").unwrap_or("unknown"))
    }
}

/// Returns the call that passes on a `setup`. `shared` is the type of its value, with the span of the user's code.
fn setup(path: &ExprPath, scope: Option<&SetupScope>, shared: &TokenStream) -> TokenStream {
    match scope {
        Some(SetupScope { is_run: true, .. }) => quote_spanned!(place(path)=> .setup_of_run::<#shared>(#path)),
        _ => quote_spanned!(place(path)=> .setup::<#shared>(#path)),
    }
}

/// Expands `#[golo::scenario]` outside of a module with `#[golo::loadtest]`, which is a mistake.
pub(crate) fn scenario_alone(item: TokenStream) -> TokenStream {
    let mistake = "`#[golo::scenario]` goes on an `async fn` in a module with `#[golo::loadtest]`";
    let report = Error::new(Span::call_site(), mistake).into_compile_error();
    quote!(#report #item)
}

/// Returns the span of the user's code, with hygiene of the macro for names.
fn place(written: impl Spanned) -> Span {
    Span::mixed_site().located_at(written.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(options: TokenStream, item: TokenStream) -> String {
        loadtest(options, item).to_string()
    }

    /// Asserts equality except for whitespace between tokens, which may change.
    fn assert_same(left: &str, right: &TokenStream) {
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(squeeze(left), squeeze(&right.to_string()));
    }

    #[test]
    fn smallest_function_expands() {
        let expected = quote! {
            async fn journey() {}

            fn main() -> ::std::process::ExitCode {
                struct __Loadtest;
                impl ::golo::__private::Adapter for __Loadtest {
                    type User = ();
                    async fn trigger(trigger: ::golo::__private::Trigger, _: &mut ())
                        -> ::std::result::Result<::golo::Response, ::golo::BoxError>
                    {
                        let returned = journey().await;
                        <() as ::golo::IntoResponse>::into_response(returned, trigger.into_prepared())
                    }
                }
                ::golo::__private::main(
                    ::golo::Loadtest::adapter("journey", __Loadtest)
                        .version(::std::option_env!("CARGO_PKG_VERSION").unwrap_or("unknown"))
                )
            }
        };
        assert_same(
            &text(
                quote!(),
                quote!(
                    async fn journey() {}
                ),
            ),
            &expected,
        );
    }

    #[test]
    fn function_with_all_options_expands() {
        let function = quote! {
            /// Buys.
            #[cfg(unix)]
            pub async fn journey(_: Context, shopper: &mut Shopper, db: load::Shared<Db>) -> Result<(), String> { Ok(()) }
        };
        let options = quote!(name = "buy", setup = prepare, teardown = clean, client = make, crate = load);
        let expected = quote! {
            #function

            #[cfg(unix)]
            fn main() -> ::std::process::ExitCode {
                struct __Loadtest;
                impl load::__private::Adapter for __Loadtest {
                    type User = Shopper;
                    async fn trigger(trigger: load::__private::Trigger, user: &mut Shopper)
                        -> ::std::result::Result<load::Response, load::BoxError>
                    {
                        let returned = journey(
                            <Context as load::__private::FromTrigger>::from_trigger(&trigger),
                            user,
                            <load::Shared<Db> as load::__private::FromTrigger>::from_trigger(&trigger)
                        ).await;
                        <Result<(), String> as load::IntoResponse>::into_response(returned, trigger.into_prepared())
                    }
                }
                load::__private::main(
                    load::Loadtest::adapter("buy", __Loadtest)
                        .setup::<Db>(prepare)
                        .teardown::<Db, _>(clean)
                        .client(make)
                        .version(::std::option_env!("CARGO_PKG_VERSION").unwrap_or("unknown"))
                )
            }
        };
        assert_same(&text(options, function), &expected);
    }

    #[test]
    fn setup_of_a_run_is_passed_on() {
        let function = quote!(
            async fn journey(token: golo::Shared<Token>) {}
        );
        let expansion = |scope| text(quote!(setup = prepare, setup_scope = #scope), function.clone());
        assert!(expansion("run").contains(". setup_of_run :: < Token > (prepare)"));
        assert!(expansion("process").contains(". setup :: < Token > (prepare)"));
    }

    #[test]
    fn function_that_configures_http_is_passed_on() {
        let expansion = text(
            quote!(http = self::configure),
            quote!(
                async fn journey() {}
            ),
        );
        assert!(expansion.contains(". http (self :: configure)"), "{expansion}");
    }

    #[test]
    fn function_named_main_moves_inside() {
        let expansion = text(
            quote!(),
            quote!(
                async fn main() {
                    work().await
                }
            ),
        );
        let outer = expansion.find("fn main () -> :: std").unwrap();
        let inner = expansion.find("async fn main () { work () . await }").unwrap();
        assert!(outer < inner);
    }

    #[test]
    fn raw_identifier_becomes_plain_name() {
        assert!(
            text(
                quote!(),
                quote!(
                    async fn r#type() {}
                )
            )
            .contains("adapter (\"type\"")
        );
    }

    #[test]
    fn opaque_return_type_is_inferred() {
        let expansion = text(
            quote!(),
            quote!(
                async fn journey() -> Result<impl golo::IntoResponse, String> {
                    Ok(())
                }
            ),
        );
        assert!(expansion.contains("< _ as :: golo :: IntoResponse >"));
    }

    #[test]
    fn unfinished_body_expands() {
        let body = quote!(async fn journey() { golo:: });
        assert!(text(quote!(), body).contains("golo :: }"));
    }

    #[test]
    fn mistake_leaves_function_and_main() {
        let expected = quote! {
            ::core::compile_error! { "a load test is an `async fn`: add `async`" }
            async fn journey(count: u32) { step().await }
            #[allow(dead_code)]
            fn main() {}
        };
        assert_same(
            &text(
                quote!(),
                quote!(
                    fn journey(count: u32) {
                        step().await
                    }
                ),
            ),
            &expected,
        );
    }

    #[test]
    fn mistake_in_main_leaves_it_inside_generated_main() {
        let item = quote! {
            #[cfg(unix)]
            #[tokio::main]
            const async fn main() {}
        };
        let expected = quote! {
            ::core::compile_error! { "`#[golo::loadtest]` makes the entry point and the runtime: remove this attribute" }
            ::core::compile_error! { "a load test cannot be `const`" }
            #[cfg(unix)]
            #[allow(dead_code)]
            fn main() {
                #[cfg(unix)]
                async fn main() {}
            }
        };
        assert_same(&text(quote!(), item), &expected);
    }

    #[test]
    fn mistake_leaves_other_item() {
        let expansion = text(
            quote!(),
            quote!(
                pub struct Shopper;
            ),
        );
        assert!(expansion.contains("compile_error") && expansion.contains("pub struct Shopper ; "), "{expansion}");
    }

    #[test]
    fn module_of_scenarios_expands() {
        let item = quote! {
            /// A shop.
            #[cfg(unix)]
            mod shop {
                use super::Db;
                const ITEMS: u8 = 3;
                /// Looks around.
                #[golo::scenario(weight = 9)]
                async fn browse(db: Shared<Db>) {}
                #[golo::scenario(rate = "5/s", setup = prices, thresholds = "a")]
                #[cfg(test)]
                async fn buy() { incomplete. }
            }
        };
        let version = quote!(.version(::std::option_env!("CARGO_PKG_VERSION").unwrap_or("unknown")));
        let expected = quote! {
            /// A shop.
            #[cfg(unix)]
            mod shop {
                use super::Db;
                const ITEMS: u8 = 3;
                /// Looks around.
                async fn browse(db: Shared<Db>) {}
                #[cfg(test)]
                async fn buy() { incomplete. }

                #[doc(hidden)]
                pub(super) fn __golo_loadtest() -> ::golo::Loadtest {
                    let mut scenarios = ::std::vec::Vec::<::golo::Scenario>::new();
                    {
                        struct __Scenario;
                        impl ::golo::__private::Adapter for __Scenario {
                            type User = ();
                            async fn trigger(trigger: ::golo::__private::Trigger, _: &mut ())
                                -> ::std::result::Result<::golo::Response, ::golo::BoxError>
                            {
                                let returned = browse(
                                    <Shared<Db> as ::golo::__private::FromTrigger>::from_trigger(&trigger)
                                ).await;
                                <() as ::golo::IntoResponse>::into_response(returned, trigger.into_prepared())
                            }
                        }
                        ::golo::__private::shares::<Db>(&prepare);
                        scenarios.push(::golo::Scenario::adapter("browse", __Scenario).set("weight", "9"));
                    }
                    #[cfg(test)]
                    {
                        struct __Scenario;
                        impl ::golo::__private::Adapter for __Scenario {
                            type User = ();
                            async fn trigger(trigger: ::golo::__private::Trigger, _: &mut ())
                                -> ::std::result::Result<::golo::Response, ::golo::BoxError>
                            {
                                let returned = buy().await;
                                <() as ::golo::IntoResponse>::into_response(returned, trigger.into_prepared())
                            }
                        }
                        scenarios.push(
                            ::golo::Scenario::adapter("buy", __Scenario)
                                .set("rate", "5/s").threshold("a").setup::<()>(prices)
                        );
                    }
                    ::golo::Loadtest::of_scenarios(scenarios).name("shop") .setup::<Db>(prepare) #version
                }
            }

            #[cfg(unix)]
            fn main() -> ::std::process::ExitCode {
                ::golo::__private::main(shop::__golo_loadtest())
            }
        };
        assert_same(&text(quote!(setup = prepare), item), &expected);
    }

    #[test]
    fn mistakes_leave_the_module_without_scenarios() {
        let item = quote! {
            mod shop {
                #[golo::scenario]
                fn browse() { step().await }
                #[golo::scenario]
                struct Shopper;
            }
        };
        let expected = quote! {
            ::core::compile_error! { "a scenario is an `async fn`: add `async`" }
            ::core::compile_error! { "this is not a function: `#[golo::scenario]` goes on an `async fn`" }
            #[allow(dead_code)]
            mod shop {
                async fn browse() { step().await }
                struct Shopper;
            }
            #[allow(dead_code)]
            fn main() {}
        };
        assert_same(&text(quote!(), item), &expected);
    }
}
