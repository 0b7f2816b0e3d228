//! One argument of a method: a field of its message.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{FnArg, Ident, Pat, Path, Result, Signature, Type, TypeReference, parse_quote};

use crate::attrs::error;

/// An argument.
pub(super) struct Field {
    pub(super) ident: Ident,
    /// The type that the message owns.
    pub(super) ty: Type,
    /// The form that the method borrows, if it does: out of the receive buffer, or of the caller's value.
    pub(super) borrowed: Option<Borrowed>,
}

/// The types that an archive and an owned value both lend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Borrowed {
    /// `&str`, of a `String`.
    Text,
    /// `&[u8]`, of a `Vec<u8>`.
    Bytes,
}

impl Field {
    /// The arguments of a method.
    pub(super) fn of(sig: &Signature) -> Result<Vec<Self>> {
        let mut fields = Vec::new();
        for argument in &sig.inputs {
            let FnArg::Typed(argument) = argument else {
                continue;
            };
            let ident = match &*argument.pat {
                Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
                    pat.ident.clone()
                }
                pat => {
                    let text = "an argument needs a name: it is a field of the message";
                    return error(pat, text);
                }
            };
            let (ty, borrowed) = match &*argument.ty {
                Type::Reference(reference) => match Borrowed::of(reference) {
                    Some(borrowed) => (borrowed.owned(), Some(borrowed)),
                    None => return refuse_reference(reference, "an argument"),
                },
                ty => {
                    check_type(ty, "an argument")?;
                    (ty.clone(), None)
                }
            };
            fields.push(Self {
                ident,
                ty,
                borrowed,
            });
        }
        Ok(fields)
    }

    /// The value for the method, of an archived message.
    pub(super) fn of_archive(&self, message: &Ident, view: &Ident) -> TokenStream {
        let (ident, ty) = (&self.ident, &self.ty);
        match self.borrowed {
            Some(Borrowed::Text) => quote!(#view.#ident.as_str()),
            Some(Borrowed::Bytes) => quote!(#view.#ident.as_slice()),
            None => quote!(#message.field::<#ty>(&#view.#ident)?),
        }
    }

    /// The value for the method, of a message's field that is moved out to a variable.
    pub(super) fn of_value(&self) -> TokenStream {
        let ident = &self.ident;
        match self.borrowed {
            Some(_) => quote!(&#ident),
            None => quote!(#ident),
        }
    }

    /// The argument of the client's method.
    pub(super) fn client_argument(&self) -> TokenStream {
        let (ident, ty) = (&self.ident, &self.ty);
        match self.borrowed {
            Some(_) => quote!(#ident: impl ::core::convert::Into<#ty>),
            None => quote!(#ident: #ty),
        }
    }

    /// The field of the message that the client makes.
    pub(super) fn client_value(&self) -> TokenStream {
        let ident = &self.ident;
        match self.borrowed {
            Some(_) => quote!(#ident: #ident.into()),
            None => quote!(#ident),
        }
    }
}

impl Borrowed {
    fn of(reference: &TypeReference) -> Option<Self> {
        if reference.mutability.is_some() || reference.lifetime.is_some() {
            return None;
        }
        let is = |path: &Path, name| path.is_ident(name);
        match &*reference.elem {
            Type::Path(of) if is(&of.path, "str") => Some(Self::Text),
            Type::Slice(of) => match &*of.elem {
                Type::Path(of) if is(&of.path, "u8") => Some(Self::Bytes),
                _ => None,
            },
            _ => None,
        }
    }

    fn owned(self) -> Type {
        match self {
            Self::Text => parse_quote!(::std::string::String),
            Self::Bytes => parse_quote!(::std::vec::Vec<u8>),
        }
    }
}

fn refuse_reference<T>(reference: &TypeReference, what: &str) -> Result<T> {
    let owned = match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => String::from("String"),
        Type::Slice(slice) => format!("Vec<{}>", text(&slice.elem)),
        other => text(other),
    };
    let text = format!("{what} goes to another process, so it cannot be a reference: use {owned}");
    error(reference, text)
}

/// Refuses types that cannot be a field of a message.
pub(super) fn check_type(ty: &Type, what: &str) -> Result<()> {
    if let Type::Reference(reference) = ty {
        return refuse_reference(reference, what);
    }
    if let Type::ImplTrait(_) = ty {
        return error(
            ty,
            format!("{what} needs a type of its own: its archive is one type"),
        );
    }
    match unfit(ty.to_token_stream()) {
        Some(it) if it == "Self" => error(
            ty,
            format!("{what} needs the name of its type: Self is the endpoint's"),
        ),
        Some(_) => error(
            ty,
            format!("{what} goes to another process, so it cannot borrow"),
        ),
        None => Ok(()),
    }
}

/// The first token that cannot be part of a message's field: a lifetime or `Self`.
fn unfit(tokens: TokenStream) -> Option<String> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Ident(ident) if ident == "Self" => Some(String::from("Self")),
        TokenTree::Punct(punct) if matches!(punct.as_char(), '\'' | '&') => Some(punct.to_string()),
        TokenTree::Group(group) => unfit(group.stream()),
        _ => None,
    })
}

/// A type as it is usually written.
pub(super) fn text(ty: &Type) -> String {
    ty.to_token_stream().to_string().replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_borrows_is_refused_with_what_to_use() {
        let refused = |ty: Type| check_type(&ty, "an argument").unwrap_err().to_string();
        assert!(refused(parse_quote!(&str)).ends_with("use String"));
        assert!(refused(parse_quote!(&[Vec<u8>])).ends_with("use Vec<Vec<u8>>"));
        assert!(refused(parse_quote!(&mut Job)).ends_with("use Job"));
        assert!(refused(parse_quote!(Cow<'_, str>)).ends_with("cannot borrow"));
        assert!(refused(parse_quote!(Vec<Self>)).contains("Self is the endpoint's"));
    }

    #[test]
    fn texts_and_bytes_are_lent() {
        let of = |ty: Type| match ty {
            Type::Reference(reference) => Borrowed::of(&reference),
            _ => None,
        };
        assert_eq!(of(parse_quote!(&str)), Some(Borrowed::Text));
        assert_eq!(of(parse_quote!(&[u8])), Some(Borrowed::Bytes));
        for ty in ["&'static str", "&mut str", "&[u16]", "&String", "&(u8, u8)"] {
            assert_eq!(of(syn::parse_str(ty).unwrap()), None, "{ty}");
        }
    }
}
