//! `#[derive(Schema)]`: the fingerprint of a type's fields.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Field, Fields, Ident, Path, Result};

use crate::attrs::{Args, error, is_opaque, rkyv_with};

/// `#[derive(Schema)]`.
pub(crate) fn derive(item: &DeriveInput) -> Result<TokenStream> {
    implementation(item, &Args::default().krate())
}

/// `impl Schema`.
pub(crate) fn implementation(item: &DeriveInput, krate: &Path) -> Result<TokenStream> {
    let parts = match &item.data {
        Data::Struct(data) => {
            let fields = fields(&data.fields, &item.ident)?;
            quote!(new("struct") #fields)
        }
        Data::Enum(data) => {
            let mut parts = quote!(new("enum"));
            for variant in &data.variants {
                let name = variant.ident.unraw().to_string();
                let count = variant.fields.len() as u64;
                let fields = fields(&variant.fields, &item.ident)?;
                parts.extend(quote!(.text(#name).number(#count) #fields));
            }
            parts
        }
        Data::Union(data) => return error(&data.union_token, "a union has no schema"),
    };
    let mut generics = item.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter
            .bounds
            .push(syn::parse_quote!(#krate::rpc::Schema));
    }
    let (ident, (of, with, bounds)) = (&item.ident, generics.split_for_impl());
    Ok(quote! {
        #[automatically_derived]
        impl #of #krate::rpc::Schema for #ident #with #bounds {
            const FINGERPRINT: u64 = #krate::rpc::Fingerprint::#parts.finish();
        }
    })
}

fn fields(fields: &Fields, of: &Ident) -> Result<TokenStream> {
    let parts = fields.iter().enumerate();
    parts.map(|(at, it)| field(it, at, of)).collect()
}

/// One field: its type's fingerprint, or the text of its type where that has none that can be computed.
fn field(field: &Field, at: usize, of: &Ident) -> Result<TokenStream> {
    let (name, ty) = (field.ident.as_ref(), &field.ty);
    let name = name.map_or_else(|| at.to_string(), |name| name.unraw().to_string());
    let with = rkyv_with(&field.attrs)?;
    let opaque = is_opaque(&field.attrs)? || with.is_some() || mentions(ty.to_token_stream(), of);
    if !opaque {
        return Ok(quote!(.field::<#ty>(#name)));
    }
    let with = with.map(text).unwrap_or_default();
    let ty = text(ty.to_token_stream());
    Ok(quote!(.text(#name).text(#ty).text(#with)))
}

/// Without blanks, which depend on how the compiler prints.
fn text(tokens: TokenStream) -> String {
    tokens.to_string().split_whitespace().collect()
}

/// Whether the type contains itself: its fingerprint would be computed from itself.
fn mentions(tokens: TokenStream, of: &Ident) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == *of || ident == "Self",
        TokenTree::Group(group) => mentions(group.stream(), of),
        _ => false,
    })
}

/// Takes `#[schema(..)]` off, which no derive is there to know.
pub(crate) fn strip(item: &mut DeriveInput) {
    let strip = |fields: &mut Fields| {
        for field in fields.iter_mut() {
            field.attrs.retain(|attr| !attr.path().is_ident("schema"));
        }
    };
    match &mut item.data {
        Data::Struct(data) => strip(&mut data.fields),
        Data::Enum(data) => data
            .variants
            .iter_mut()
            .for_each(|it| strip(&mut it.fields)),
        Data::Union(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(item: TokenStream) -> String {
        text(derive(&syn::parse2(item).unwrap()).unwrap())
    }

    #[test]
    fn fields_count_by_name_and_type() {
        let it = written(quote!(
            struct Size {
                width: u32,
                r#type: Vec<u8>,
            }
        ));
        assert!(
            it.contains(r#"new("struct").field::<u32>("width").field::<Vec<u8>>("type")"#),
            "{it}"
        );
        let it = written(quote!(
            struct Pair(u8, u8);
        ));
        assert!(it.contains(r#".field::<u8>("0").field::<u8>("1")"#), "{it}");
    }

    #[test]
    fn types_that_contain_themselves_end() {
        let it = written(quote!(
            struct Tree {
                children: Vec<Tree>,
                next: Option<Box<Self>>,
            }
        ));
        assert!(
            it.contains(r#".text("children").text("Vec<Tree>")"#),
            "{it}"
        );
        assert!(
            it.contains(r#".text("next").text("Option<Box<Self>>")"#),
            "{it}"
        );
    }

    #[test]
    fn what_is_archived_as_something_else_counts_by_that() {
        let it = written(quote!(
            struct Job {
                #[rkyv(with = AsString)]
                path: PathBuf,
                #[schema(opaque)]
                at: Time,
            }
        ));
        assert!(
            it.contains(r#".text("path").text("PathBuf").text("with=AsString")"#),
            "{it}"
        );
        assert!(it.contains(r#".text("at").text("Time")"#), "{it}");
    }

    #[test]
    fn unions_and_unknown_arguments_are_refused() {
        let refused = |item| derive(&syn::parse2(item).unwrap()).unwrap_err().to_string();
        assert_eq!(
            refused(quote!(union Either { a: u8, b: i8 })),
            "a union has no schema"
        );
        let text = refused(quote!(
            struct Job {
                #[schema(opaqe)]
                at: Time,
            }
        ));
        assert_eq!(text, "unknown argument: there is opaque");
    }
}
