//! `#[ringrail::interface]`: a trait is read (`parse`, `method`, `field`), and its messages (`messages`) and clients (`client`) are
//! written.

mod client;
mod field;
mod messages;
mod method;
mod parse;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Ident, ItemTrait, Path, Result, Visibility};

use crate::attrs::Args;
use method::Method;

/// A trait that is an interface.
struct Interface {
    krate: Path,
    vis: Visibility,
    ident: Ident,
    methods: Vec<Method>,
}

impl Interface {
    /// The name of something that is written for it.
    fn named(&self, suffix: &str) -> Ident {
        format_ident!("{}{suffix}", self.ident)
    }
}

/// The trait, and what is written for it.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args = Args::of_macro(args, &["name", "crate"])?;
    let mut item: ItemTrait = syn::parse2(item)?;
    let interface = parse::interface(&args, &item)?;
    strip(&mut item);
    let messages = messages::write(&interface);
    let clients = client::write(&interface);
    Ok(quote! {
        #[allow(async_fn_in_trait, reason = "endpoints stay on their thread")]
        #item
        #messages
        #clients
    })
}

/// Takes `#[message(..)]` off the methods.
fn strip(item: &mut ItemTrait) {
    let keep = |attr: &Attribute| !attr.path().is_ident("message");
    for it in &mut item.items {
        if let syn::TraitItem::Fn(method) = it {
            method.attrs.retain(keep);
        }
    }
}
