//! The arguments of the macros, and of the attributes beside them.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Attribute, Ident, LitStr, Path, Result, Type, parse_quote};

/// The longest name of a message, in bytes: what an env tells its peers.
pub(crate) const MAX_NAME_LEN: usize = 255;

/// The arguments of a message, a payload, an interface or a method; each macro says which of them it takes.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) name: Option<LitStr>,
    pub(crate) reply: Option<Type>,
    pub(crate) lane: Option<Ident>,
    pub(crate) one_way: bool,
    krate: Option<Path>,
}

impl Args {
    /// Of an attribute macro.
    pub(crate) fn of_macro(tokens: TokenStream, takes: &[&str]) -> Result<Self> {
        let mut args = Self::default();
        syn::meta::parser(|meta| args.take(&meta, takes)).parse2(tokens)?;
        Ok(args)
    }

    /// Of the attributes of this name.
    pub(crate) fn of_attributes(attrs: &[Attribute], name: &str, takes: &[&str]) -> Result<Self> {
        let mut args = Self::default();
        for attr in attrs.iter().filter(|attr| attr.path().is_ident(name)) {
            attr.parse_nested_meta(|meta| args.take(&meta, takes))?;
        }
        Ok(args)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>, takes: &[&str]) -> Result<()> {
        let key = meta
            .path
            .get_ident()
            .map(Ident::to_string)
            .unwrap_or_default();
        if !takes.contains(&key.as_str()) {
            return Err(meta.error(format!("unknown argument: there are {}", takes.join(", "))));
        }
        match key.as_str() {
            "name" => self.name = Some(checked_name(meta.value()?.parse()?)?),
            "reply" => self.reply = Some(meta.value()?.parse()?),
            "lane" => self.lane = Some(lane(meta.value()?.parse()?)?),
            "crate" => self.krate = Some(meta.value()?.call(Path::parse_mod_style)?),
            _ => self.one_way = true,
        }
        Ok(())
    }

    /// The path of the crate `ringrail`.
    pub(crate) fn krate(&self) -> Path {
        self.krate
            .clone()
            .unwrap_or_else(|| parse_quote!(::ringrail))
    }

    /// The constant of the lane, unless it is the usual one.
    pub(crate) fn lane(&self, krate: &Path) -> Option<TokenStream> {
        let lane = self.lane.as_ref()?;
        Some(quote!(const LANE: #krate::rpc::Lane = #krate::rpc::Lane::#lane;))
    }
}

fn checked_name(name: LitStr) -> Result<LitStr> {
    match name.value().len() {
        1..=MAX_NAME_LEN => Ok(name),
        len => Err(syn::Error::new(
            name.span(),
            format!("a message's name has 1 to {MAX_NAME_LEN} bytes, this one has {len}"),
        )),
    }
}

fn lane(lane: Ident) -> Result<Ident> {
    let variant = match lane.to_string().as_str() {
        "normal" => "Normal",
        "liveness" => "Liveness",
        _ => {
            return Err(syn::Error::new(
                lane.span(),
                "the lanes are normal and liveness",
            ));
        }
    };
    Ok(Ident::new(variant, lane.span()))
}

/// Whether a field has `#[schema(opaque)]`.
pub(crate) fn is_opaque(attrs: &[Attribute]) -> Result<bool> {
    let mut opaque = false;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("schema")) {
        attr.parse_nested_meta(|meta| {
            if !meta.path.is_ident("opaque") {
                return Err(meta.error("unknown argument: there is opaque"));
            }
            opaque = true;
            Ok(())
        })?;
    }
    Ok(opaque)
}

/// The arguments of a field's `#[rkyv(with = ..)]`, as they stand there.
pub(crate) fn rkyv_with(attrs: &[Attribute]) -> Result<Option<TokenStream>> {
    let mut with = None;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("rkyv")) {
        let list = attr.meta.require_list()?;
        if list
            .tokens
            .clone()
            .into_iter()
            .any(|token| token.to_string() == "with")
        {
            with = Some(list.tokens.clone());
        }
    }
    Ok(with)
}

/// An error at a piece of code.
pub(crate) fn error<T>(at: &impl Spanned, text: impl std::fmt::Display) -> Result<T> {
    Err(syn::Error::new(at.span(), text))
}
