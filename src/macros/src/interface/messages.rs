//! Writes the messages of an interface, how an implementor handles them, and the set of them.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use super::Interface;
use super::method::Method;
use crate::{message, schema};

pub(super) fn write(interface: &Interface) -> TokenStream {
    let methods = interface.methods.iter();
    let messages: TokenStream = methods.map(|method| one(interface, method)).collect();
    let set = set(interface);
    quote!(#messages #set)
}

fn one(interface: &Interface, method: &Method) -> TokenStream {
    let item = item(interface, method);
    let krate = &interface.krate;
    // A struct without unusual attributes: nothing in it is refused.
    let schema = syn::parse2::<DeriveInput>(item.clone())
        .and_then(|item| schema::implementation(&item, krate))
        .unwrap_or_else(|error| error.to_compile_error());
    let lane = method.args.lane(krate);
    let name = method.wire_name();
    let message = message::implementation(krate, &method.message, &name, &method.reply, lane);
    let handled = handled(interface, method);
    let rkyv = message::rkyv_attributes(krate);
    quote!(#rkyv #item #schema #message #handled)
}

/// The struct.
fn item(interface: &Interface, method: &Method) -> TokenStream {
    let (vis, ident) = (&interface.vis, &method.message);
    let doc = format!("Asks for [`{}::{}`].", interface.ident, method.ident);
    if method.fields.is_empty() {
        return quote!(#[doc = #doc] #vis struct #ident;);
    }
    let fields = method.fields.iter().map(|(name, ty)| {
        let doc = format!("The argument `{name}`.");
        quote!(#[doc = #doc] #vis #name: #ty)
    });
    quote!(#[doc = #doc] #vis struct #ident { #(#fields),* })
}

/// How an endpoint that implements the trait handles it.
fn handled(interface: &Interface, method: &Method) -> TokenStream {
    let (krate, of) = (&interface.krate, &interface.ident);
    let (ident, message, reply) = (&method.ident, &method.message, &method.reply);
    let names: Vec<_> = method.fields.iter().map(|(name, _)| name).collect();
    let take = match names.is_empty() {
        true => quote!(message.take()?;),
        false => quote!(let #message { #(#names),* } = message.take()?;),
    };
    let wait = method.is_async.then(|| quote!(.await));
    let outcome = match method.is_fallible {
        true => quote!(.map_err(#krate::rpc::Failure::from)),
        false => quote!(),
    };
    let mut call = quote!(<E as #of>::#ident(endpoint, #(#names),*) #wait #outcome);
    if !method.is_fallible {
        call = quote!(::core::result::Result::Ok(#call));
    }
    let result = quote!(::core::result::Result<#reply, #krate::rpc::Failure>);
    let (relation, declaration, kind) = match method.is_async {
        true => (
            quote!(HandledByFuture),
            quote!(async fn),
            quote!(Kept<Self>),
        ),
        false => (quote!(HandledBy), quote!(fn), quote!(Received<'_, Self>)),
    };
    quote! {
        #[automatically_derived]
        impl<E: #krate::rpc::RpcEndpoint + #of> #krate::rpc::#relation<E> for #message {
            #declaration handle_by(message: #krate::rpc::#kind, endpoint: &mut E) -> #result {
                #take
                #call
            }
        }
    }
}

/// The set of the messages.
fn set(interface: &Interface) -> TokenStream {
    let (krate, vis, of) = (&interface.krate, &interface.vis, &interface.ident);
    let set = interface.named("Messages");
    let doc = format!(
        "The messages of [`{of}`]: an implementor whose `RpcEndpoint::Messages` this is, or contains, is an endpoint for them."
    );
    let routes = interface.methods.iter().map(|method| {
        let message = &method.message;
        match method.is_async {
            true => quote!(table.add_handled_by_future::<#message>();),
            false => quote!(table.add_handled::<#message>();),
        }
    });
    let implementation = |name, constants| {
        let routes = routes.clone();
        quote! {
            #[automatically_derived]
            impl<E: #krate::rpc::RpcEndpoint + #of> #krate::rpc::#name<E> for #set {
                #constants
                fn add_to(table: &mut #krate::rpc::RouteTable<E>) {
                    #(#routes)*
                }
            }
        }
    };
    let ids = interface.methods.iter().map(|method| {
        let message = &method.message;
        quote!(<#message as #krate::rpc::Message>::ID)
    });
    let ids = quote!(const IDS: &'static [#krate::rpc::MessageId] = &[#(#ids),*];);
    let as_set = implementation(quote!(MessageSet), quote!());
    let as_entry = implementation(quote!(MessageEntry), ids);
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        #vis enum #set {}
        #as_set
        #as_entry
    }
}
