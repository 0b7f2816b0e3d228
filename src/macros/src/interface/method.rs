//! One method of an interface: the message that it stands for, and what answers it.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{
    Attribute, GenericArgument, Ident, ItemTrait, PathArguments, Result, ReturnType, Signature,
    TraitItemFn, Type, parse_quote,
};

use super::field::{Field, check_type};
use crate::attrs::{Args, error};

/// The methods that every client has.
const RESERVED: [&str; 7] = [
    "new",
    "connect",
    "connect_blocking",
    "with_timeout",
    "with_interceptors",
    "target",
    "as_local",
];

/// A method.
pub(super) struct Method {
    pub(super) args: Args,
    /// Its documentation.
    pub(super) docs: Vec<Attribute>,
    pub(super) ident: Ident,
    /// The type of its message.
    pub(super) message: Ident,
    /// The message's name on the wire, without the module's path if [`is_local`](Self::is_local).
    pub(super) name: String,
    pub(super) name_span: Span,
    /// Whether the module's path belongs in front of the name.
    pub(super) is_local: bool,
    pub(super) fields: Vec<Field>,
    pub(super) reply: Type,
    /// It returns a `Result` of the reply.
    pub(super) is_fallible: bool,
    pub(super) is_async: bool,
}

impl Method {
    pub(super) fn parse(interface: &Args, item: &ItemTrait, method: &TraitItemFn) -> Result<Self> {
        let args = Args::of_attributes(&method.attrs, "message", &["name", "one_way", "lane"])?;
        let sig = &method.sig;
        check_signature(sig)?;
        let plain = sig.ident.unraw();
        let (name, is_local) = match (&args.name, &interface.name) {
            (Some(name), _) => (name.value(), false),
            (None, Some(prefix)) => (format!("{}.{plain}", prefix.value()), false),
            (None, None) => (format!("{}.{plain}", item.ident.unraw()), true),
        };
        let name_span = args
            .name
            .as_ref()
            .map_or(sig.ident.span(), |name| name.span());
        let (reply, is_fallible) = reply(&sig.output)?;
        if args.one_way && !matches!(&reply, Type::Tuple(tuple) if tuple.elems.is_empty()) {
            let text = "nobody waits for a reply to a one-way message: it returns nothing, or Result<(), _>";
            return error(&sig.output, text);
        }
        let docs = method
            .attrs
            .iter()
            .filter(|attr| attr.path().is_ident("doc"));
        Ok(Self {
            docs: docs.cloned().collect(),
            message: format_ident!(
                "{}{}",
                item.ident.unraw(),
                camel_case(&plain.to_string()),
                span = sig.ident.span()
            ),
            ident: sig.ident.clone(),
            name,
            name_span,
            is_local,
            fields: Field::of(sig)?,
            reply,
            is_fallible,
            is_async: sig.asyncness.is_some(),
            args,
        })
    }

    /// The expression of the message's name on the wire.
    pub(super) fn wire_name(&self) -> TokenStream {
        let name = &self.name;
        if !self.is_local {
            return quote!(#name);
        }
        let suffix = format!("::{name}");
        quote!(::core::concat!(::core::module_path!(), #suffix))
    }
}

fn check_signature(sig: &Signature) -> Result<()> {
    if let Some(parameter) = sig.generics.params.first() {
        return error(
            parameter,
            "a method of an interface cannot be generic: its message is one type",
        );
    }
    let by_reference =
        |receiver: &syn::Receiver| matches!(receiver.kind, syn::ReceiverKind::Reference(..));
    if !sig.receiver().is_some_and(by_reference) {
        return error(
            sig,
            "a method of an interface takes &self or &mut self: the endpoint stays where it is",
        );
    }
    if let Some(keyword) = &sig.constness {
        return error(
            keyword,
            "a method of an interface runs in another process: it cannot be const",
        );
    }
    if RESERVED.contains(&sig.ident.to_string().as_str()) {
        let text = format!(
            "the client has a method {} of its own: call this one something else",
            sig.ident
        );
        return error(&sig.ident, text);
    }
    Ok(())
}

/// The reply's type, and whether the method returns a `Result` of it.
fn reply(output: &ReturnType) -> Result<(Type, bool)> {
    let ReturnType::Type(_, ty) = output else {
        return Ok((parse_quote!(()), false));
    };
    let (reply, is_fallible) = match result_of(ty) {
        Some(reply) => (reply, true),
        None => (&**ty, false),
    };
    check_type(reply, "a reply")?;
    Ok((reply.clone(), is_fallible))
}

/// The `T` of a `Result<T, ..>`, by whatever path.
fn result_of(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else {
        return None;
    };
    let last = path
        .path
        .segments
        .last()
        .filter(|last| last.ident == "Result")?;
    let PathArguments::AngleBracketed(of) = &last.arguments else {
        return None;
    };
    of.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn camel_case(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
            first.to_uppercase() + rest
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::field;

    #[test]
    fn names_become_types() {
        for (name, wanted) in [
            ("add", "Add"),
            ("add_all", "AddAll"),
            ("_x__y", "XY"),
            ("größe", "Größe"),
        ] {
            assert_eq!(camel_case(name), wanted);
        }
    }

    #[test]
    fn a_result_is_known_by_its_name() {
        let of = |ty: Type| result_of(&ty).map(field::text);
        assert_eq!(
            of(parse_quote!(Result<u64, Failure>)).as_deref(),
            Some("u64")
        );
        assert_eq!(
            of(parse_quote!(std::io::Result<Vec<u8>>)).as_deref(),
            Some("Vec<u8>")
        );
        assert_eq!(of(parse_quote!(Option<u64>)), None);
    }
}
