//! Writes the clients of an interface: one for any thread, one for the thread of the endpoint or its connection.

use proc_macro2::TokenStream;
use quote::quote;

use super::Interface;
use super::field::Field;
use super::method::Method;

pub(super) fn write(interface: &Interface) -> TokenStream {
    let anywhere = anywhere(interface);
    let local = local(interface);
    quote!(#anywhere #local)
}

fn anywhere(interface: &Interface) -> TokenStream {
    let (krate, vis, of) = (&interface.krate, &interface.vis, &interface.ident);
    let (client, local) = (interface.named("Client"), interface.named("LocalClient"));
    let doc =
        format!("Asks an endpoint for what [`{of}`] has, from any thread and in any runtime.");
    let setting = format!("{client}::with_timeout");
    let methods = methods(interface, &quote!(#krate::rpc::Ask));
    let error = quote!(#krate::rpc::RpcError);
    quote! {
        #[doc = #doc]
        #[derive(Clone, Debug)]
        #vis struct #client {
            client: #krate::rpc::Client,
        }

        #[allow(dead_code, reason = "no program needs all of it")]
        impl #client {
            /// Asks this endpoint, with the time of `ringrail.rpc.askTimeout`.
            #vis fn new<E>(target: &#krate::rpc::RpcEndpointRef<E>) -> Self {
                Self { client: #krate::rpc::Client::new(target) }
            }

            /// Asks the endpoint of this URI, `rail://name@host:port`, once it has been found there.
            ///
            /// # Errors
            /// There is no such endpoint, or no connection.
            #vis async fn connect(env: &#krate::rpc::RpcEnv, uri: &str) -> ::core::result::Result<Self, #error> {
                let client = #krate::rpc::Client::connect(env, uri).await?;
                ::core::result::Result::Ok(Self { client })
            }

            /// As `connect`, blocking this thread.
            ///
            /// # Errors
            /// As there, and on a thread that runs endpoints.
            #vis fn connect_blocking(env: &#krate::rpc::RpcEnv, uri: &str) -> ::core::result::Result<Self, #error> {
                let client = #krate::rpc::Client::connect_blocking(env, uri)?;
                ::core::result::Result::Ok(Self { client })
            }

            /// The same endpoint, asked with this time to wait.
            #[must_use]
            #vis fn with_timeout(&self, timeout: ::core::time::Duration) -> Self {
                Self { client: self.client.with_timeout(timeout, #setting) }
            }

            /// The same endpoint; what is asked passes these first.
            #[must_use]
            #vis fn with_interceptors(&self, interceptors: #krate::rpc::Interceptors) -> Self {
                Self { client: self.client.with_interceptors(interceptors) }
            }

            /// The endpoint.
            #vis fn target(&self) -> &#krate::rpc::RpcEndpointRef {
                self.client.target()
            }

            /// The client as the thread that the endpoint, or the connection to it, lives on can use it, without an
            /// allocation per ask; `None` on every other thread.
            #vis fn as_local(&self) -> ::core::option::Option<#local> {
                let client = self.client.as_local()?;
                ::core::option::Option::Some(#local { client })
            }

            #methods
        }
    }
}

fn local(interface: &Interface) -> TokenStream {
    let (krate, vis, of) = (&interface.krate, &interface.vis, &interface.ident);
    let local = interface.named("LocalClient");
    let doc = format!(
        "Asks an endpoint for what [`{of}`] has, on the thread that it or its connection lives on."
    );
    let methods = methods(interface, &quote!(#krate::rpc::LocalAsk));
    quote! {
        #[doc = #doc]
        #[derive(Debug)]
        #vis struct #local {
            client: #krate::rpc::LocalClient,
        }

        #[allow(dead_code, reason = "no program needs all of it")]
        impl #local {
            #methods
        }
    }
}

fn methods(interface: &Interface, ask: &TokenStream) -> TokenStream {
    let methods = interface.methods.iter();
    methods.map(|method| one(interface, method, ask)).collect()
}

fn one(interface: &Interface, method: &Method, ask: &TokenStream) -> TokenStream {
    let (krate, vis) = (&interface.krate, &interface.vis);
    let (docs, ident, message, reply) =
        (&method.docs, &method.ident, &method.message, &method.reply);
    let arguments = method.fields.iter().map(Field::client_argument);
    let values = method.fields.iter().map(Field::client_value);
    let value = match method.fields.is_empty() {
        true => quote!(#message),
        false => quote!(#message { #(#values),* }),
    };
    let (output, how, doc) = match method.args.one_way {
        true => (
            quote!(::core::result::Result<(), #krate::rpc::RpcError>),
            quote!(send),
            "Sends the message; nobody waits for it.",
        ),
        false => (
            quote!(#ask<#reply>),
            quote!(ask),
            "Asks; await the reply, or wait for it.",
        ),
    };
    let doc = match docs.is_empty() {
        true => quote!(#[doc = #doc]),
        false => quote!(#(#docs)*),
    };
    quote! {
        #doc
        #vis fn #ident(&self, #(#arguments),*) -> #output {
            self.client.#how(#value)
        }
    }
}
