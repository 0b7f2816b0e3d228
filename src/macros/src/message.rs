//! Messages: `#[derive(Message)]`, `#[ringrail::message]` and `#[ringrail::payload]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Ident, Path, Result, Type, parse_quote};

use crate::attrs::{Args, error};
use crate::schema;

/// The arguments of a message.
const TAKES: [&str; 4] = ["name", "reply", "lane", "crate"];

/// `#[derive(Message)]`.
pub(crate) fn derive(item: &DeriveInput) -> Result<TokenStream> {
    let args = Args::of_attributes(&item.attrs, "message", &TAKES)?;
    let implementations = implementations(item, &args)?;
    let (krate, ident) = (args.krate(), &item.ident);
    // Without rkyv's derives the compiler speaks of rkyv's traits alone; this says what to do.
    Ok(quote! {
        #implementations
        const _: () = {
            const fn travels<T: #krate::rpc::Payload>() {}
            travels::<#ident>()
        };
    })
}

/// `#[ringrail::message]`.
pub(crate) fn attribute(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args = Args::of_macro(args, &TAKES)?;
    let mut item: DeriveInput = syn::parse2(item)?;
    let implementations = implementations(&item, &args)?;
    add_rkyv(&mut item, &args.krate());
    schema::strip(&mut item);
    Ok(quote!(#item #implementations))
}

/// `#[ringrail::payload]`.
pub(crate) fn payload(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let krate = Args::of_macro(args, &["crate"])?.krate();
    let mut item: DeriveInput = syn::parse2(item)?;
    let schema = schema::implementation(&item, &krate)?;
    add_rkyv(&mut item, &krate);
    schema::strip(&mut item);
    Ok(quote!(#item #schema))
}

/// rkyv's derives, which are told where rkyv is.
pub(crate) fn rkyv_attributes(krate: &Path) -> TokenStream {
    quote! {
        #[derive(#krate::rkyv::Archive, #krate::rkyv::Serialize, #krate::rkyv::Deserialize)]
        #[rkyv(crate = #krate::rkyv)]
    }
}

/// In front of all other attributes: rkyv's own come after the derives that know them.
fn add_rkyv(item: &mut DeriveInput, krate: &Path) {
    let derives = parse_quote! {
        #[derive(#krate::rkyv::Archive, #krate::rkyv::Serialize, #krate::rkyv::Deserialize)]
    };
    item.attrs.insert(0, derives);
    item.attrs.push(parse_quote!(#[rkyv(crate = #krate::rkyv)]));
}

fn implementations(item: &DeriveInput, args: &Args) -> Result<TokenStream> {
    if let Some(parameter) = item.generics.params.first() {
        let text = "a message cannot be generic: its name stands for one type on the wire";
        return error(parameter, text);
    }
    let (krate, ident) = (args.krate(), &item.ident);
    let schema = schema::implementation(item, &krate)?;
    let name = match &args.name {
        Some(name) => quote!(#name),
        None => {
            let suffix = format!("::{}", syn::ext::IdentExt::unraw(ident));
            quote!(::core::concat!(::core::module_path!(), #suffix))
        }
    };
    let reply = args.reply.clone().unwrap_or_else(|| parse_quote!(()));
    let lane = args.lane(&krate);
    let message = implementation(&krate, ident, &name, &reply, lane);
    Ok(quote!(#schema #message))
}

/// `impl Message`.
pub(crate) fn implementation(
    krate: &Path,
    ident: &Ident,
    name: &TokenStream,
    reply: &Type,
    lane: Option<TokenStream>,
) -> TokenStream {
    quote! {
        #[automatically_derived]
        impl #krate::rpc::Message for #ident {
            type Reply = #reply;
            const NAME: &'static str = #name;
            const SCHEMA: u64 = #krate::rpc::message_schema::<#ident, #reply>();
            #lane
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(args: TokenStream, item: TokenStream) -> String {
        attribute(args, item).unwrap_err().to_string()
    }

    #[test]
    fn arguments_that_do_not_exist_are_told_with_those_that_do() {
        let text = refused(
            quote!(nme = "x"),
            quote!(
                struct Add;
            ),
        );
        assert_eq!(text, "unknown argument: there are name, reply, lane, crate");
        let text = refused(
            quote!(lane = fast),
            quote!(
                struct Add;
            ),
        );
        assert_eq!(text, "the lanes are normal and liveness");
    }

    #[test]
    fn names_that_cannot_travel_are_refused() {
        for (len, fits) in [(0, false), (1, true), (255, true), (256, false)] {
            let name = "x".repeat(len);
            let written = attribute(
                quote!(name = #name),
                quote!(
                    struct Add;
                ),
            );
            assert_eq!(written.is_ok(), fits, "{len}");
        }
    }

    #[test]
    fn a_message_is_not_generic() {
        let text = refused(
            quote!(),
            quote!(
                struct Add<T>(T);
            ),
        );
        assert!(text.starts_with("a message cannot be generic"), "{text}");
    }

    #[test]
    fn the_crate_may_be_elsewhere() {
        let written = attribute(
            quote!(crate = my::rail),
            quote!(
                struct Add;
            ),
        )
        .unwrap();
        assert!(!written.to_string().contains(":: ringrail"), "{written}");
    }
}
