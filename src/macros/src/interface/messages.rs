//! Writes the messages of an interface, how an implementor handles them, and the set of them.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{DeriveInput, Ident};

use super::Interface;
use super::field::Field;
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
    let fields = method.fields.iter().map(|field| {
        let (name, ty) = (&field.ident, &field.ty);
        let doc = format!("The argument `{name}`.");
        quote!(#[doc = #doc] #vis #name: #ty)
    });
    quote!(#[doc = #doc] #vis struct #ident { #(#fields),* })
}

/// How an endpoint that implements the trait handles it.
fn handled(interface: &Interface, method: &Method) -> TokenStream {
    let (krate, of) = (&interface.krate, &interface.ident);
    let (message, reply) = (&method.message, &method.reply);
    let (relation, declaration, kind) = match method.is_async {
        true => (
            quote!(HandledByFuture),
            quote!(async fn),
            quote!(Owned<Self>),
        ),
        false => (quote!(HandledBy), quote!(fn), quote!(Received<'_, Self>)),
    };
    let own = Own::new();
    let (received, endpoint) = (&own.received, &own.endpoint);
    let body = body(interface, method, &own);
    quote! {
        #[automatically_derived]
        impl<__Endpoint: #krate::rpc::RpcEndpoint + #of> #krate::rpc::#relation<__Endpoint> for #message {
            #declaration handle_by(
                #received: #krate::rpc::#kind,
                #endpoint: &mut __Endpoint,
            ) -> ::core::result::Result<#reply, #krate::rpc::Failure> {
                #body
            }
        }
    }
}

/// Variables that no argument's name can hide.
struct Own {
    received: Ident,
    endpoint: Ident,
    view: Ident,
}

impl Own {
    fn new() -> Self {
        let own = |name| Ident::new(name, Span::mixed_site());
        Self {
            received: own("received"),
            endpoint: own("endpoint"),
            view: own("view"),
        }
    }
}

/// Calls the method with the message's fields. One that borrows is lent what lies in the receive buffer, or the value of a
/// caller in this process.
fn body(interface: &Interface, method: &Method, own: &Own) -> TokenStream {
    let (krate, message) = (&interface.krate, &method.message);
    let (received, view) = (&own.received, &own.view);
    let fields = &method.fields;
    let mut body = quote!();
    if fields.iter().any(|field| field.borrowed.is_some()) {
        let of_archive = fields.iter().map(|field| field.of_archive(received, view));
        let call = call(interface, method, own, of_archive.collect());
        let viewed = match method.is_async {
            true => quote!(#received.borrow()?),
            false => quote!(#received.view()),
        };
        body = quote!(if let #krate::rpc::View::Archived(#view) = #viewed { return #call; });
    }
    let names = fields.iter().map(|field| &field.ident);
    let call = call(
        interface,
        method,
        own,
        fields.iter().map(Field::of_value).collect(),
    );
    match fields.is_empty() {
        true => quote!(#body #received.take()?; #call),
        false => quote!(#body let #message { #(#names),* } = #received.take()?; #call),
    }
}

/// The call of the method, and its outcome as the handler's.
fn call(
    interface: &Interface,
    method: &Method,
    own: &Own,
    values: Vec<TokenStream>,
) -> TokenStream {
    let (krate, of) = (&interface.krate, &interface.ident);
    let (ident, endpoint) = (&method.ident, &own.endpoint);
    let wait = method.is_async.then(|| quote!(.await));
    let call = quote!(<__Endpoint as #of>::#ident(#endpoint, #(#values),*) #wait);
    match method.is_fallible {
        true => quote!(#call.map_err(#krate::rpc::Failure::from)),
        false => quote!(::core::result::Result::Ok(#call)),
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
            impl<__Endpoint: #krate::rpc::RpcEndpoint + #of> #krate::rpc::#name<__Endpoint> for #set {
                #constants
                fn add_to(table: &mut #krate::rpc::RouteTable<__Endpoint>) {
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
